"""The agent as `mcp` knows users: its sessions then answer nobody else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.authentication import AuthCredentials

from auth_agent.asgi import Scope
from auth_agent.website.agent import Agent


@contextmanager
def principal(scope: Scope, agent: Agent | None) -> Iterator[dict[str, Any]]:
    """A copy of the scope whose user is the agent.

    The user is the identity and nothing of the token: a refreshed token stays in its session, and
    no tool can pass a token on.
    """
    if agent is None:
        yield dict(scope)
        return
    user = AuthenticatedUser(AccessToken(token=_mark(agent), **token_values(agent)))
    token = auth_context_var.set(user)
    try:
        yield {**scope, "user": user, "auth": AuthCredentials(list(agent.scopes))}
    finally:
        auth_context_var.reset(token)


def _mark(agent: Agent) -> str:
    """Stands for the token where a package keys a cache by it: who this is, and what it may do."""
    who = [agent.issuer, agent.id, agent.via, agent.scopes, agent.permissions, agent.model]
    known = [*who, agent.authenticated_at, agent.email, agent.email_verified]
    return f"auth-agent:{hashlib.sha256(msgspec.json.encode(known)).hexdigest()}"


def token_values(agent: Agent) -> dict[str, Any]:
    """The agent as `mcp` describes a token, without the token."""
    return {
        "client_id": agent.id,
        "subject": agent.id,
        "scopes": list(agent.scopes),
        "expires_at": agent.expires_at,
        "claims": {"iss": agent.issuer, "sub": agent.id},
    }
