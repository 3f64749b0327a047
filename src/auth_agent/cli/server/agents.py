"""`auth-agent agent`: the AI agents that have an identity here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from auth_agent.cli.output import EXIT_CODES, fail, print_credentials, print_json, print_table
from auth_agent.cli.server.storage import DEFAULT_DATABASE, DatabaseOption, JsonOption, opened

app = typer.Typer(no_args_is_help=True, help="AI agents and their owners.", epilog=EXIT_CODES)


@app.command("add", epilog=EXIT_CODES)
def add(
    email: Annotated[str, typer.Argument(help="The owner's e-mail, for which you vouch.")],
    *,
    name: Annotated[str, typer.Option("--name", help="The owner's name.")] = "",
    model: Annotated[str, typer.Option("--model", help="The model it runs on by default.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="A scope it may give; default: any.")
    ] = None,
    permission: Annotated[
        list[str] | None, typer.Option("--permission", help="Told to websites; repeatable.")
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key",
            exists=True,
            dir_okay=False,
            help="PEM, JWK or JWKS: it signs with the private key and has no secret.",
        ),
    ] = None,
    require_origin: Annotated[
        bool, typer.Option("--require-origin", help="It has to say which website it means.")
    ] = False,
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Do not vouch: the e-mail stays out of tokens.")
    ] = False,
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Register an agent; its secret is shown once."""
    from auth_agent.server.registry import agents  # noqa: PLC0415

    with opened(database) as db:
        made = agents.add_agent(
            db,
            email,
            name=name,
            model=model,
            scopes=[w for s in scope for w in s.split()] if scope else None,
            permissions=permission or (),
            require_origin=require_origin,
            verified=not unverified,
            public_key=public_key.read_text() if public_key else None,
            now=int(time.time()),
        )
    secret = made.agent_secret.reveal() or None
    values = {"agent_id": made.agent_id, "agent_secret": secret}
    print_credentials(values, as_json=as_json)


@app.command("list", epilog=EXIT_CODES)
def list_(database: DatabaseOption = DEFAULT_DATABASE, as_json: JsonOption = False) -> None:
    """List the registered agents."""
    from auth_agent.server.registry import agents  # noqa: PLC0415

    with opened(database) as db:
        found = agents.list_agents(db)
    if as_json:
        print_json(found)
        return
    print_table(
        ("agent_id", "owner", "model", "state"),
        [
            (
                row["agent_id"],
                row["email"] + ("" if row["email_verified"] else " (not verified)"),
                row["model"],
                "disabled" if row["disabled"] else "active",
            )
            for row in found
        ],
    )


@app.command("disable", epilog=EXIT_CODES)
def disable(
    agent_id: Annotated[str, typer.Argument(help="As `agent list` shows it.")],
    database: DatabaseOption = DEFAULT_DATABASE,
) -> None:
    """Disable an agent and revoke all its tokens."""
    from auth_agent.server.tokens import endings  # noqa: PLC0415

    with opened(database) as db:
        disabled = endings.disable_agent(db, agent_id, int(time.time()))
    if not disabled:
        raise fail(f"There is no active agent {agent_id}")
    typer.echo(f"{agent_id} is disabled and its tokens are revoked.")


@app.command("rotate-secret", epilog=EXIT_CODES)
def rotate_secret(
    agent_id: Annotated[str, typer.Argument(help="As `agent list` shows it.")],
    database: DatabaseOption = DEFAULT_DATABASE,
    as_json: JsonOption = False,
) -> None:
    """Replace an agent's secret; the old one is void at once."""
    from auth_agent.server.registry import agents  # noqa: PLC0415

    with opened(database) as db:
        secret = agents.rotate_agent_secret(db, agent_id, int(time.time()))
    if secret is None:
        raise fail(f"There is no active agent {agent_id} that has a secret")
    values = {"agent_id": agent_id, "agent_secret": secret.reveal()}
    print_credentials(values, as_json=as_json)
