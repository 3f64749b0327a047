"""`auth-agent mcp`: an agent's identity as tools for models, over stdio or guarded HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from auth_agent.cli.agent import mcp_http
from auth_agent.cli.agent.options import AgentIdOption, IssuerOption, ModelOption

if TYPE_CHECKING:
    from auth_agent.sdk import AsyncAgentSDK

MCP_EXIT_CODES = (
    "Exit codes: 0 the client has disconnected, 2 wrong usage, or a package is missing."
)
USAGE = 2


def mcp(
    *,
    agent_id: AgentIdOption,
    issuer: IssuerOption,
    model: ModelOption = None,
    cdp: Annotated[
        str | None,
        typer.Option(
            "--cdp",
            envvar="AUTH_AGENT_AGENT_CDP",
            help="Sign in to this browser: its DevTools address, e.g. http://127.0.0.1:9222.",
        ),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            help="Serve over HTTP at this URL, e.g. http://127.0.0.1:8765/mcp, to agents with a "
            "token for it.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help=("With --http: the port on 127.0.0.1 to listen on, behind a proxy with TLS.")
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="With --http: another agent that can act as this one; repeatable."),
    ] = None,
) -> None:
    """Serve the tools sign_in_with_auth_agent, fetch and who_am_i to one MCP client, over stdio.

    The secret comes from AUTH_AGENT_AGENT_SECRET, from the file of AUTH_AGENT_AGENT_SECRET_FILE
    (chmod 600), or from the keyring; a key instead of it from AUTH_AGENT_AGENT_PRIVATE_KEY.
    AUTH_AGENT_AGENT_WEBSITES and AUTH_AGENT_AGENT_SCOPES, comma separated, bound what the model
    may sign in to.

    With --http the tools are served to many clients. Each needs a token of the agent itself, or of
    an agent named with --allow, whose audience is the URL; the agent's SDK gets one by mcp_auth().
    """
    from auth_agent.cli.output import Lines  # noqa: PLC0415
    from auth_agent.errors import SettingsError  # noqa: PLC0415
    from auth_agent.sdk.tools.server import build_server  # noqa: PLC0415

    try:
        server = build_server(_sdk(agent_id, issuer, model), cdp_url=cdp)
        if http is None:
            server.run("stdio")
            return
        agents = [agent_id, *(allow or ())]
        app = mcp_http.guard(server, http, issuer=issuer, agents=agents)
        listening = mcp_http.listen(http, port)
    except SettingsError as error:
        Lines(stderr=True).print(error.description)
        raise typer.Exit(USAGE) from None
    mcp_http.serve(app, listening)


def _sdk(agent_id: str, issuer: str, model: str | None) -> AsyncAgentSDK:
    """Raises `SettingsError` if the agent has no credential that it may use."""
    from auth_agent.errors import SettingsError  # noqa: PLC0415
    from auth_agent.sdk import AsyncAgentSDK  # noqa: PLC0415
    from auth_agent.sdk.identity.credentials import (  # noqa: PLC0415
        HOW,
        find_bounds,
        find_key,
        find_secret,
        find_signing,
    )

    key = find_key(os.environ)
    secret = None if key else find_secret(os.environ, agent_id)
    if not key and secret is None:
        raise SettingsError([f"the agent's secret is missing: {HOW}"])
    return AsyncAgentSDK(
        agent_id=agent_id,
        agent_secret=secret,
        private_key=key,
        server_url=issuer,
        model=model,
        **find_signing(os.environ),
        **find_bounds(os.environ),
    )
