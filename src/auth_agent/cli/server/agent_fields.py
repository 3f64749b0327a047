"""The options of the commands that add and change agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AgentArgument = Annotated[str, typer.Argument(help="The agent's id, as `agent list` shows it.")]
DisplayNameOption = Annotated[
    str | None,
    typer.Option("--display-name", help="What the agent is called, e.g. 'Shopping agent'."),
]
ApprovalOption = Annotated[
    str | None,
    typer.Option(
        "--approval",
        help=(
            "When its owner is asked: off, notify, first or always; default: the server's setting."
        ),
    ),
]
ScopeOption = Annotated[
    list[str] | None,
    typer.Option("--scope", help="A scope that the agent may grant; default: any; repeatable."),
]
PermissionOption = Annotated[
    list[str] | None,
    typer.Option("--permission", help="A permission that websites see; repeatable."),
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--public-key",
        exists=True,
        dir_okay=False,
        help="PEM, JWK or JWKS: the agent authenticates with the private key and has no secret.",
    ),
]
SigningKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--signing-key",
        exists=True,
        dir_okay=False,
        help="It signs its requests with this Ed25519 key (PEM); the public half is registered.",
    ),
]
NewSigningKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--new-signing-key",
        help="Make a key to sign requests with, and write it to this file (0600).",
    ),
]
NewKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--new-key",
        help="Make a key (Ed25519) and write it to this file (0600).",
    ),
]
EnvOption = Annotated[
    Path | None,
    typer.Option(
        "--env", help="Write the agent's variables to this file; `auth-agent login` reads .env."
    ),
]
RequireOriginOption = Annotated[
    bool | None,
    typer.Option(
        "--require-origin/--no-require-origin",
        help="Require the agent to name the website.",
    ),
]
