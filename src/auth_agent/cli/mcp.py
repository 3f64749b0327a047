"""`auth-agent mcp`: an agent's identity as a tool for models, over stdio."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from auth_agent.sdk import AsyncAgentSDK

MCP_EXIT_CODES = "Exit codes: 0 the client has hung up, 2 wrong usage, or a package is missing."
USAGE = 2


def mcp(
    *,
    agent_id: Annotated[str, typer.Option(envvar="AUTH_AGENT_AGENT_ID", help="The agent's id.")],
    issuer: Annotated[
        str,
        typer.Option(
            envvar="AUTH_AGENT_AGENT_ISSUER",
            help="The agent's Auth Agent server; its secret is sent nowhere else.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(envvar="AUTH_AGENT_AGENT_MODEL", help="The model that the agent runs."),
    ] = None,
) -> None:
    """Serve the tools sign_in_with_auth_agent and who_am_i to one MCP client, over stdio.

    The secret comes from AUTH_AGENT_AGENT_SECRET, from the file of AUTH_AGENT_AGENT_SECRET_FILE
    (chmod 600), or from the keyring; a key instead of it from AUTH_AGENT_AGENT_PRIVATE_KEY.
    """
    from auth_agent.errors import SettingsError  # noqa: PLC0415
    from auth_agent.sdk.tools import build_server  # noqa: PLC0415

    try:
        sdk = _sdk(agent_id, issuer, model)
    except SettingsError as error:
        typer.echo(error.description, err=True)
        raise typer.Exit(USAGE) from None
    build_server(sdk).run("stdio")


def _sdk(agent_id: str, issuer: str, model: str | None) -> AsyncAgentSDK:
    """Raises `SettingsError` where the agent has no credential that it may use."""
    from auth_agent.errors import SettingsError  # noqa: PLC0415
    from auth_agent.sdk import AsyncAgentSDK  # noqa: PLC0415
    from auth_agent.sdk.identity.credentials import HOW, find_key, find_secret  # noqa: PLC0415

    key = find_key(os.environ)
    secret = None if key else find_secret(os.environ, agent_id)
    if not key and secret is None:
        raise SettingsError([f"the agent's secret is missing: {HOW}"])
    return AsyncAgentSDK(
        agent_id=agent_id, agent_secret=secret, private_key=key, server_url=issuer, model=model
    )
