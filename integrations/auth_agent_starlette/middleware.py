"""The ASGI middleware, with the agent in `request.state`."""

from __future__ import annotations

from typing import Any

from auth_agent.asgi import AuthAgentMiddleware as AsgiMiddleware
from auth_agent.asgi import Scope
from auth_agent.gate import Entry


class AuthAgentMiddleware(AsgiMiddleware):
    """Attaches the agent as `request.state.agent`, and notices whether anybody reads it."""

    def attach(self, scope: Scope, entry: Entry) -> None:
        scope["auth_agent.entry"] = entry
        scope["state"] = _State(entry, scope.get("state") or {})


class _State(dict[str, Any]):
    """What `request.state` looks into; reading the agent makes the response a private one."""

    def __init__(self, entry: Entry, state: dict[str, Any]) -> None:
        super().__init__(state)
        self._entry = entry

    def __missing__(self, key: str) -> Any:
        if key != "agent":
            raise KeyError(key)
        self._entry.read = True
        return self._entry.agent
