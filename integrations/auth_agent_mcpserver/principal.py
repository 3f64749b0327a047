"""The agent as a user of `mcp`, so that a session answers its own agent only."""

from __future__ import annotations

import hashlib
from contextvars import Token
from functools import lru_cache
from typing import Any

import msgspec
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from starlette.authentication import AuthCredentials

from auth_agent.asgi import Scope
from auth_agent.website.agent import Agent


class principal:  # noqa: N801  (a class is quicker than a generator, at every call)
    """Gives a copy of the scope with the agent as its user.

    The user holds the identity and nothing of the token: a refreshed token stays in its session,
    and no tool can pass a token on.
    """

    __slots__ = ("_agent", "_scope", "_token")

    def __init__(self, scope: Scope, agent: Agent | None) -> None:
        self._scope = scope
        self._agent = agent
        self._token: Token[AuthenticatedUser | None] | None = None

    def __enter__(self) -> dict[str, Any]:
        agent = self._agent
        if agent is None:
            return dict(self._scope)
        known = (agent.issuer, agent.id, agent.via, agent.scopes, agent.permissions, agent.model)
        times = (agent.authenticated_at, agent.expires_at, agent.email, agent.email_verified)
        user = _user(*known, *times)
        self._token = auth_context_var.set(user)
        return {**self._scope, "user": user, "auth": AuthCredentials(list(agent.scopes))}

    def __exit__(self, *_error: object) -> None:
        if self._token is not None:
            auth_context_var.reset(self._token)


@lru_cache(maxsize=1_024)
def _user(issuer: str, agent_id: str, via: str, scopes: tuple[str, ...], *more: Any) -> Any:
    """Returns the `AuthenticatedUser` of an agent.

    A package that uses the token as a cache key gets a digest of the identity and the permissions.
    """
    digest = hashlib.sha256(msgspec.json.encode([issuer, agent_id, via, scopes, *more])).hexdigest()
    values = _values(issuer, agent_id, scopes, expires_at=more[-3])
    return AuthenticatedUser(AccessToken(token=f"auth-agent:{digest}", **values))


def token_values(agent: Agent) -> dict[str, Any]:
    """Returns the fields of `mcp`'s token for this agent, without the token."""
    return _values(agent.issuer, agent.id, agent.scopes, expires_at=agent.expires_at)


def _values(
    issuer: str, agent_id: str, scopes: tuple[str, ...], *, expires_at: int
) -> dict[str, Any]:
    return {
        "client_id": agent_id,
        "subject": agent_id,
        "scopes": list(scopes),
        "expires_at": expires_at,
        "claims": {"iss": issuer, "sub": agent_id},
    }


class OwnEvents(EventStore):
    """Keeps the events of each agent apart in a store that the sessions of all agents share.

    A stream is called by the id of its request, which the clients of other sessions choose, too.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def store_event(self, stream_id: str, message: Any) -> str:
        return await self._store.store_event(_owner() + stream_id, message)

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        """Replays a stream of the agent that asks; no event of another agent's is sent."""
        found: list[EventMessage] = []

        async def hold(event: EventMessage) -> None:
            found.append(event)

        owner = _owner()
        stream_id = await self._store.replay_events_after(last_event_id, hold)
        if stream_id is None or not stream_id.startswith(owner):
            return None
        for event in found:
            await send_callback(event)
        return stream_id.removeprefix(owner)


def with_own_events(options: dict[str, Any]) -> dict[str, Any]:
    """Returns a server's options with an event store that keeps agents apart, if it has any."""
    store = options.get("event_store")
    return options if store is None else {**options, "event_store": OwnEvents(store)}


def _owner() -> str:
    """Returns the identity of the running request's agent, which no other one begins with.

    The task of a session runs in the context of the request that has opened it.
    """
    user = auth_context_var.get()
    token = None if user is None else user.access_token
    named = [] if token is None else [(token.claims or {}).get("iss"), token.subject]
    return msgspec.json.encode(named).decode()
