"""Tells the kinds of servers apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from auth_agent.errors import SettingsError
from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry
from auth_agent.website.mcp.door import Door
from auth_agent.website.mcp.message import Target
from auth_agent.website.policy.requirement import Requirement
from auth_agent_mcpserver.guarded import Guarded
from auth_agent_mcpserver.tools import requirements_of


def guard_server(
    server: Any,
    door: Door,
    settings: Settings,
    path: str | None,
    *,
    hide: bool,
    options: dict[str, Any],
) -> Guarded:
    """Puts the inner check into a server and makes its application."""
    path = path or urlsplit(settings.expected_audience).path.rstrip("/") or "/mcp"
    if hasattr(server, "http_app"):
        if server.auth is not None:
            raise SettingsError([_TWICE])
        from auth_agent_mcpserver.fast import guard_fast  # noqa: PLC0415

        return guard_fast(server, door, settings, path, hide=hide, options=options)
    if hasattr(server, "streamable_http_app"):
        if getattr(getattr(server, "settings", None), "auth", None) is not None:
            raise SettingsError([_TWICE])
        from auth_agent_mcpserver.plain import guard_plain  # noqa: PLC0415

        return guard_plain(server, door, settings, path, hide=hide, options=options)
    if not callable(server):
        raise TypeError(
            f"{server!r} is not an MCP server: pass the server or its application to protect()"
        )
    if hide or options:
        raise TypeError(
            "hide and a server's options need the server itself: pass it to protect() "
            "instead of its application"
        )
    return Guarded(server, _nothing_said)


def declared_scopes(server: Any) -> Iterator[str]:
    """Returns the scopes that a server's own tools, resources and prompts declare."""
    managers = [
        getattr(server, f"_{kind}_manager", None) for kind in ("tool", "resource", "prompt")
    ]
    kept = [getattr(one, store, None) for one in managers for store in _STORES]
    kept.append(getattr(getattr(server, "_local_provider", None), "_components", None))
    for components in filter(None, kept):
        for component in components.values():
            for requirement in requirements_of(getattr(component, "fn", None)):
                yield from requirement.scopes


# The packages' own; without them the metadata names fewer scopes, and each challenge its own.
_STORES = ("_tools", "_resources", "_templates", "_prompts")

_TWICE = "the MCP server has its own `auth`: remove it, because protect() admits agents"


async def _nothing_said(_targets: Iterable[Target], _entry: Entry) -> tuple[Requirement, ...]:
    """Returns no declarations: an application hides its tools; `requires_agent` refuses."""
    return ()
