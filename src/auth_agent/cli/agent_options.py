"""The options of every command that acts as an agent."""

from __future__ import annotations

from typing import Annotated

import typer

AgentIdOption = Annotated[str, typer.Option(envvar="AUTH_AGENT_AGENT_ID", help="The agent's id.")]
IssuerOption = Annotated[
    str,
    typer.Option(
        envvar="AUTH_AGENT_AGENT_ISSUER",
        help="The agent's Auth Agent server; its secret is sent nowhere else.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(envvar="AUTH_AGENT_AGENT_MODEL", help="The model that the agent runs."),
]
