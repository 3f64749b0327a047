"""Servers of `mcp` (`MCPServer`, and the low-level `Server`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry
from auth_agent.website.mcp.door import LISTS, Door, refusal_text
from auth_agent.website.mcp.message import REFUSED, Target
from auth_agent.website.policy.requirement import Requirement
from auth_agent_mcpserver.guarded import Guarded, hosts, said
from auth_agent_mcpserver.principal import with_own_events
from auth_agent_mcpserver.tools import entered, entry_in_scope


def guard_plain(
    server: Any, door: Door, settings: Settings, path: str, *, hide: bool, options: dict[str, Any]
) -> Guarded:
    """Allows the hosts and origins of the base URL; an option overrides them."""

    async def requirements_of(targets: Iterable[Target], _entry: Entry) -> tuple[Requirement, ...]:
        return said(function for target in targets for function in _functions(server, target))

    async def inner_line(ctx: Any, call_next: Any) -> Any:
        entry = entry_in_scope(getattr(ctx.request, "scope", None))
        if entry is None:
            raise MCPError(
                REFUSED,
                "This server admits agents over HTTP only: serve the app that protect(server) "
                "returns.",
            )
        reply = door.refuse_call(entry, ctx.method, ctx.params)
        if reply is not None:
            raise MCPError(REFUSED, refusal_text(reply))
        with entered(entry):
            result = await call_next(ctx)
        if hide and ctx.method in LISTS:
            return _without_hidden(result, ctx.method, entry, door, server)
        return result

    server.middleware.insert(0, inner_line)
    defaults = {
        "streamable_http_path": path,
        "max_request_body_size": door.max_body,
        "transport_security": TransportSecuritySettings(
            allowed_hosts=hosts(settings), allowed_origins=[settings.base_url]
        ),
    }
    application = server.streamable_http_app(**{**defaults, **with_own_events(options)})
    return Guarded(application, requirements_of)


def _functions(server: Any, target: Target) -> Iterator[object]:
    """Returns the functions that a call would run. The managers are the package's own; if they are
    missing, the inner check refuses the call.
    """
    manager = getattr(server, f"_{target.kind[:-1]}_manager", None)
    if manager is None:
        return
    if target.kind == "resources":
        yield from (
            getattr(one, "fn", None)
            for one in manager.list_resources()
            if str(one.uri) == target.name
        )
        yield from (
            one.fn
            for one in manager.list_templates()
            if target.name == one.uri_template or one.matches(target.name) is not None
        )
        return
    find = manager.get_tool if target.kind == "tools" else manager.get_prompt
    yield getattr(find(target.name), "fn", None)


def _without_hidden(result: Any, method: str, entry: Entry, door: Door, server: Any) -> Any:
    """Returns the list without items that this agent may not call; marks it as private."""
    member, kind, key = LISTS[method]
    if not isinstance(result, dict):
        result = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    shown = [
        item
        for item in result.get(member, ())
        if door.shows(
            entry, Target(kind, item[key]), said(_functions(server, Target(kind, item[key])))
        )
    ]
    return {**result, member: shown, "cacheScope": "private"}
