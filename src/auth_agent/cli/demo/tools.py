"""The demo's MCP server, imported while the story begins: no other import takes as long."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from importlib.metadata import PackageNotFoundError, version

from auth_agent.asgi import App

SCOPES = ("goods:read", "orders:write", "prices:write")
Run = Callable[[str, App], AbstractContextManager[None]]


def has_mcp() -> bool:
    """Returns True if the package `mcp` is there, in the version that the extra names."""
    try:
        return version("mcp").partition(".")[0] == "2"
    except PackageNotFoundError:
        return False


class Tools:
    """An MCP server that can be started; `run` serves an application at a base URL."""

    def __init__(self, issuer: str, base_url: str, run: Run, running: ExitStack) -> None:
        self.url = f"{base_url}/mcp"
        self._base_url = base_url
        self._run = run
        self._running = running
        self._pool = running.enter_context(ThreadPoolExecutor(max_workers=1))
        self._app = self._pool.submit(_load, issuer, base_url)

    def start(self) -> None:
        """Serves the tools until the demo ends."""
        self._running.enter_context(self._run(self._base_url, self._app.result()))


def _load(issuer: str, base_url: str) -> App:
    from auth_agent.cli.demo.sites.tools import create_app  # noqa: PLC0415

    return create_app(issuer, base_url, SCOPES[0])
