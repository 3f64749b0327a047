"""`auth-agent mcp --http`: the agent's tools behind the guard of every other MCP server.

Who may call these tools acts as the agent at every website. So the guard is not an option: only the
agent itself, and the agents that are named, get in, with a token for this very address.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from auth_agent.errors import SettingsError
from auth_agent.url import is_loopback, url_problem

if TYPE_CHECKING:
    from auth_agent_mcpserver.protection import Protected


def guard(server: Any, url: str, *, issuer: str, agents: Sequence[str]) -> Protected:
    """Returns the guarded application; raises `SettingsError` for a URL that cannot be served."""
    from auth_agent.website.config.settings import Settings  # noqa: PLC0415
    from auth_agent_mcpserver import Requirement, protect  # noqa: PLC0415

    if problem := url_problem(url):
        raise SettingsError([f"--http {problem}"])
    parts = urlsplit(url)
    if parts.path in ("", "/"):
        raise SettingsError(["--http needs a path, e.g. http://127.0.0.1:8765/mcp"])
    origin = f"{parts.scheme}://{parts.netloc}"
    settings = Settings(issuer=issuer, base_url=origin, audience=url, sign_in=False)
    requirement = Requirement(agents=tuple(agents))
    return protect(server, settings=settings, path=parts.path, requirement=requirement)


def listen(url: str, port: int | None) -> socket.socket:
    """Returns a socket on loopback at this port, else the URL's; raises `SettingsError`.

    A proxy with TLS stands before it unless the URL itself is one of this machine.
    """
    parts = urlsplit(url)
    port = port or (parts.port if is_loopback(parts.hostname) else None)
    if port is None:
        raise SettingsError(
            [("--port is missing: give the port at which the proxy reaches this program")]
        )
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise SettingsError([f"--port {port} cannot be used ({error.strerror})"]) from None


def serve(app: Protected, listening: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM."""
    import uvicorn  # noqa: PLC0415

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, workers=1
    )
    uvicorn.Server(config).run(sockets=[listening])
