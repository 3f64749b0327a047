"""The signed-in agent, as a website sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Via = Literal["session", "bearer", "dpop", "signature"]
"""The door by which an agent came in; `DOORS` describes each."""

DOORS: Mapping[Via, str] = {
    "session": "a sign-in (session)",
    "bearer": "a bearer token (bearer)",
    "dpop": "a token that is bound to a key (dpop)",
    "signature": "a signed request (signature)",
}

# Protocol claims, and claims with their own field in `Agent`.
_NOT_KEPT = frozenset(
    {
        *("iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash"),
        *("sid", "scope", "agent_id", "model", "model_name", "email", "email_verified", "name"),
        *("permissions", "cnf"),
        *("active", "client_id", "token_type", "username"),
    }
)

_IMMUTABLE = frozenset({str, int, float, bool, type(None)})


class Agent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """An agent that proved its identity to the Auth Agent server.

    `issuer` and `id` together are its identity; everything else can change between two sign-ins.
    `model` is what the agent claims, not a proof. Times are seconds since 1970.
    """

    id: str
    """The agent's ID at its server."""
    issuer: str
    """The URL of its server."""
    client_id: str
    """The client that the sign-in or the token was for."""
    authenticated_at: int
    """When the agent authenticated at the server."""
    expires_at: int
    """When the session or the token ends."""
    model: str | None = None
    """The model that the agent says it runs."""
    email: str | None = None
    """The address of the agent's owner."""
    email_verified: bool = False
    """True if the server has verified the address."""
    name: str | None = None
    """The owner's name."""
    scopes: tuple[str, ...] = ()
    """The scopes that were granted."""
    permissions: tuple[str, ...] = ()
    """Words that an administrator of the server gave the agent."""
    claims: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """Everything else that the token says."""
    account_id: str | None = None
    """The return value of the website's own `on_sign_in` hook."""
    via: Via = "session"
    """The way of coming in."""


def agent_from(
    claims: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    scopes: tuple[str, ...],
    authenticated_at: int,
    expires_at: int,
    via: Via,
) -> Agent:
    """Returns the agent that verified claims describe, the same for every kind of credential."""
    email = text_of(claims.get("email"))
    permissions = claims.get("permissions")
    return Agent(
        id=claims["sub"],
        issuer=issuer,
        client_id=client_id,
        authenticated_at=authenticated_at,
        expires_at=expires_at,
        model=text_of(claims.get("model")) or text_of(claims.get("model_name")),
        email=email,
        email_verified=email is not None and claims.get("email_verified") is True,
        name=text_of(claims.get("name")),
        scopes=scopes,
        permissions=_texts(permissions),
        claims={name: value for name, value in claims.items() if name not in _NOT_KEPT},
        via=via,
    )


def text_of(value: object) -> str | None:
    """Returns a claim that is text and not empty, else None."""
    return value if isinstance(value, str) and value else None


def copied(agent: Agent) -> Agent:
    """Returns the agent for one request, so that changed claims do not reach the next request."""
    claims = {**agent.claims}
    for value in claims.values():
        if type(value) not in _IMMUTABLE:
            claims = _copied(claims)
            break
    return msgspec.structs.replace(agent, claims=claims)


def _texts(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else ()
    return tuple(item for item in items if isinstance(item, str))


def _copied(value: Any) -> Any:
    """Returns a copy of the JSON, with its own objects and arrays."""
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_copied(one) for one in value]
    return value
