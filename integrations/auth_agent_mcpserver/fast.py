"""FastMCP servers, whose tools can run each other."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import Middleware
from fastmcp.server.providers.addressing import parse_hashed_backend_name
from mcp.shared.exceptions import MCPError

from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry
from auth_agent.website.mcp.door import LISTS, Door, refusal_text
from auth_agent.website.mcp.message import REFUSED, Malformed, Target, targets_of
from auth_agent.website.mcp.rules import Rules
from auth_agent.website.policy.requirement import Requirement
from auth_agent_mcpserver.guarded import Guarded, hosts, said
from auth_agent_mcpserver.principal import with_own_events
from auth_agent_mcpserver.tools import entered, entry_in_scope, refused

KNOWN_SECONDS = 10.0
MAX_KNOWN = 1_024


def guard_fast(
    server: Any, door: Door, settings: Settings, path: str, *, hide: bool, options: dict[str, Any]
) -> Guarded:
    """Allows the hosts and origins of the base URL; an option overrides them."""
    catalogue = _Catalogue(server, door.rules)
    server.middleware.insert(0, _InnerLine(door, catalogue, hide))
    defaults = {
        "path": path,
        "host_origin_protection": True,
        "allowed_hosts": hosts(settings),
        "allowed_origins": [settings.base_url],
    }
    application = server.http_app(**{**defaults, **with_own_events(options)})
    return Guarded(application, catalogue.requirements_of)


class _Catalogue:
    """The requirements of the components behind a name, cached for a while.

    A component may be listed under another name than it is called by. A tool may be another
    server's, so only an agent's request causes a look-up. The function itself refuses a call that a
    stale answer admits.
    """

    def __init__(self, server: Any, rules: Rules) -> None:
        self._server = server
        self._rules = rules
        self._known: dict[Target, tuple[float, tuple[Requirement, ...]]] = {}

    async def requirements_of(
        self, targets: Iterable[Target], entry: Entry
    ) -> tuple[Requirement, ...]:
        found: tuple[Requirement, ...] = ()
        for target in targets:
            until, requirements = self._known.get(target, (0.0, ()))
            if until <= time.monotonic() and not entry.is_nobody:
                requirements = await self._look(target)
            found += requirements
        return found

    async def _look(self, target: Target) -> tuple[Requirement, ...]:
        components = await _components(self._server, target)
        if not components:  # unknown, or not for this agent
            return ()
        functions = [one for component in components for one in await _functions(component, target)]
        listed = [Target(target.kind, _name_of(one)) for one in components]
        requirements = (*said(functions), *self._rules.requirements(listed))
        if len(self._known) >= MAX_KNOWN:
            self._known.pop(next(iter(self._known)), None)
        self._known[target] = (time.monotonic() + KNOWN_SECONDS, requirements)
        return requirements


async def _components(server: Any, target: Target) -> list[Any]:
    """Returns the components that the server runs for a name: an app's tool has two."""
    if target.kind == "tools":
        tool = await server.get_tool(target.name)
        hashed = None if tool is not None else parse_hashed_backend_name(target.name)
        found = [tool if hashed is None else await server.get_tool_by_hash(*hashed)]
    elif target.kind == "prompts":
        found = [await server.get_prompt(target.name)]
    else:
        found = [
            await server.get_resource(target.name),
            await server.get_resource_template(target.name),
        ]
    return [one for one in found if one is not None]


async def _functions(component: Any, target: Target, depth: int = 0) -> list[object]:
    """Returns the functions of a component, through transforms and mounted servers."""
    found: list[object] = []
    while component is not None:
        found.append(getattr(component, "fn", None))
        child = getattr(component, "_server", None)
        name = next(filter(None, (getattr(component, one, None) for one in _ORIGINALS)), None)
        if child is not None and name is not None and depth < 8:
            inner = Target(target.kind, str(name))
            for one in await _components(child, inner):
                found += await _functions(one, inner, depth + 1)
        component = getattr(component, "parent_tool", None)
    return found


def _name_of(component: Any) -> str:
    names = (getattr(component, member, None) for member in ("uri_template", "uri", "name"))
    return str(next(filter(None, names)))


_ORIGINALS = ("_original_name", "_original_uri", "_original_uri_template")


class _InnerLine(Middleware):
    """Checks every message that the server dispatches, and every call from one tool to another."""

    def __init__(self, door: Door, catalogue: _Catalogue, hide: bool) -> None:
        self._door = door
        self._catalogue = catalogue
        self._hide = hide

    async def __call__(self, context: Any, call_next: Any) -> Any:
        entry = _running_entry()
        method = context.method or ""
        if entry is None:
            raise _refusal(
                method,
                "This server admits agents over HTTP only: serve the app that protect(server) "
                "returns.",
            )
        params = _params(context.message)
        said_there = await self._catalogue.requirements_of(_targets(method, params), entry)
        reply = self._door.refuse_call(entry, method, params, said_there)
        if reply is not None:
            raise _refusal(method, refusal_text(reply))
        with entered(entry):
            result = await call_next(context)
        if self._hide and method in LISTS:
            return await self._shown(result, method, entry)
        return result

    async def _shown(self, items: Any, method: str, entry: Entry) -> list[Any]:
        _, kind, _ = LISTS[method]
        shown = []
        for item in items:
            target = Target(kind, _name_of(item))
            said_there = await self._catalogue.requirements_of([target], entry)
            if self._door.shows(entry, target, said_there):
                shown.append(item)
        return shown


def _running_entry() -> Entry | None:
    try:
        return entry_in_scope(get_http_request().scope)
    except RuntimeError:  # no HTTP request
        return None


def _targets(method: str, params: Any) -> tuple[Target, ...]:
    try:
        return targets_of(method, params)
    except Malformed:  # the door has refused it
        return ()


def _params(message: Any) -> Any:
    """Returns the parameters as JSON: FastMCP passes its own models for some messages."""
    for member in ("name", "uri"):
        if hasattr(message, member):
            return {member: str(getattr(message, member))}
    return message


def _refusal(method: str, text: str) -> Exception:
    if method in ("tools/call", "resources/read", "prompts/get"):
        return refused(text)
    return MCPError(REFUSED, text)
