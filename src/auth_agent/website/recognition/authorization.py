"""The `Authorization` header of a visit, and the agent that a verified token describes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.jws import past
from auth_agent.website.agent import Agent, agent_from, text_of

MAX_HEADER = 32_768 + 16
_SCHEME = re.compile(r"bearer(?:\s|$)", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")  # RFC 6750 2.1


def is_bearer(authorization: str) -> bool:
    """Returns whether the header has our scheme; other schemes belong to the website itself."""
    return _SCHEME.match(authorization) is not None


def read_token(authorization: str) -> str:
    """Returns the token; raises `TokenRefused` with `invalid_request` unless there is one."""
    found = _CREDENTIALS.fullmatch(authorization) if len(authorization) <= MAX_HEADER else None
    if found is None:
        raise TokenRefused(
            "The Authorization header is not `Bearer` and one token.",
            code="invalid_request",
            status_code=400,
        )
    return found[1]


def agent_of_token(
    claims: Mapping[str, Any], *, issuer: str, now: float, expires_at: float
) -> Agent:
    """Returns the agent of a verified token: the same `Agent` as a session's."""
    since = past(claims.get("auth_time", claims.get("iat")), now)
    return agent_from(
        claims,
        issuer=issuer,
        client_id=text_of(claims.get("client_id")) or "",
        scopes=tuple((text_of(claims.get("scope")) or "").split()),
        authenticated_at=since or 0,
        expires_at=int(expires_at),
        via="bearer",
    )
