"""The signed-in agent, as a website sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec


class Agent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """An agent that proved itself to the Auth Agent server.

    `issuer` and `id` together are its identity; everything else may change between two sign-ins.
    `model` is what the agent says of itself, not a proof. Times are seconds since 1970.
    """

    id: str
    issuer: str
    client_id: str
    authenticated_at: int
    expires_at: int
    model: str | None = None
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    scopes: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    claims: Mapping[str, Any] = msgspec.field(default_factory=dict)
    account_id: str | None = None
    """What the website's own `on_sign_in` hook returned."""
    via: Literal["session", "bearer"] = "session"


def copied(agent: Agent) -> Agent:
    """The same agent for one request: what it writes into the claims is not the next one's."""
    claims = {**agent.claims}
    for name, value in claims.items():
        if isinstance(value, (dict, list)):
            claims[name] = _copied(value)
    return msgspec.structs.replace(agent, claims=claims)


def _copied(value: Any) -> Any:
    """What JSON holds, in objects and arrays of its own."""
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_copied(one) for one in value]
    return value
