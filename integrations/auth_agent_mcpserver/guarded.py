"""A guarded server, and the parts that every kind of server shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

import msgspec

from auth_agent.asgi import App
from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry
from auth_agent.website.mcp.message import Target
from auth_agent.website.policy.requirement import Requirement
from auth_agent_mcpserver.tools import requirements_of

RequirementsOf = Callable[[Iterable[Target], Entry], Awaitable[tuple[Requirement, ...]]]


class Guarded(msgspec.Struct, frozen=True):
    """A server's application, and access to the requirements of its tools."""

    app: App
    requirements_of: RequirementsOf


def hosts(settings: Settings) -> list[str]:
    """Returns this server's `Host` values, with and without its port."""
    parts = urlsplit(settings.base_url)
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return list(dict.fromkeys([parts.netloc, f"{host}:{port}"]))


def said(functions: Iterable[object]) -> tuple[Requirement, ...]:
    return tuple(one for function in functions for one in requirements_of(function))
