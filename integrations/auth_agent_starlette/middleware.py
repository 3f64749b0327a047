"""The ASGI middleware, with the agent in `request.state`."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from auth_agent.asgi import App, Receive, Scope, Send
from auth_agent.asgi import AuthAgentMiddleware as AsgiMiddleware
from auth_agent.errors import SettingsError
from auth_agent.website.config.settings import Settings
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.policy.guard import check_order, check_sources


class AuthAgentMiddleware(AsgiMiddleware):
    """Attaches the agent as `request.state.agent`; reading it makes the response private."""

    def __init__(
        self,
        app: App,
        settings: Settings | None = None,
        *,
        relying_party: RelyingParty | None = None,
    ) -> None:
        try:
            super().__init__(app, settings, relying_party=relying_party)
            routes = list(_routes(app))
            check_order(route.endpoint for route in routes)
            check_sources((route.path, _calls(route)) for route in routes)
        except SettingsError as error:
            self.app = self.relying_party = _Unstartable(error)  # type: ignore[assignment]

    def attach(self, scope: Scope, entry: Entry) -> None:
        scope["auth_agent.entry"] = entry
        scope["state"] = _State(entry, scope.get("state", {}))


def _routes(app: Any) -> Iterator[Any]:
    """Yields an application's routes that have endpoints, also from inside other middleware."""
    while not hasattr(app, "routes") and hasattr(app, "app"):
        app = app.app
    for route in getattr(app, "routes", None) or ():
        if hasattr(route, "endpoint"):
            yield route
        else:  # FastAPI keeps a router that was included as it is
            yield from _routes(getattr(route, "original_router", route))


def _calls(route: Any) -> Iterator[Any]:
    """Yields what FastAPI calls before an endpoint: its dependencies, and theirs."""
    found = [*getattr(getattr(route, "dependant", None), "dependencies", ())]
    while found:
        needed = found.pop()
        yield needed.call
        found += needed.dependencies


class _State(MutableMapping[str, Any]):
    """Holds `request.state`; reading the agent makes the response private.

    Writes go to the state that other middleware shares.
    """

    __slots__ = ("_entry", "_shared")

    def __init__(self, entry: Entry, state: MutableMapping[str, Any]) -> None:
        self._entry = entry
        self._shared = state

    def __getitem__(self, key: str) -> Any:
        if key == "agent" and key not in self._shared:
            return self._entry.look()
        return self._shared[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._shared[key] = value

    def __delitem__(self, key: str) -> None:
        del self._shared[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shared)

    def __len__(self) -> int:
        return len(self._shared)


class _Unstartable:
    """Stands in for a website with wrong settings, so that no server starts it.

    Starlette builds its middleware at the first message. A server reads an exception there as "has
    no lifespan" and continues; only this message stops it.
    """

    def __init__(self, error: SettingsError) -> None:
        self._error = error

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": str(self._error)})
        raise self._error

    def enter(self, _visit: object) -> None:
        raise self._error

    enter_socket = enter
