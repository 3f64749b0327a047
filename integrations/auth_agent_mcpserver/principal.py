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
