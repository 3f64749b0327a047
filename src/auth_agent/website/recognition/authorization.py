"""The `Authorization` header of a visit, and the agent that a verified token describes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.jws import past
from auth_agent.website.agent import Agent, Via, agent_from, text_of

MAX_HEADER = 32_768 + 16
_CREDENTIALS = re.compile(r"(?i:bearer|dpop) +([A-Za-z0-9._~+/-]+=*)")  # RFC 6750 2.1, RFC 9449 7.1


def read_token(authorization: str) -> str:
    """Returns the token; raises `TokenRefused` with `invalid_request` unless there is one."""
    found = _CREDENTIALS.fullmatch(authorization) if len(authorization) <= MAX_HEADER else None
    if found is None:
        raise two_credentials()
    return found[1]


def two_credentials() -> TokenRefused:
    """Returns the refusal of a header that holds more or less than one token."""
    return TokenRefused(
        "The Authorization header has to be `Bearer` or `DPoP`, a space and one token.",
        code="invalid_request",
        status_code=400,
    )


def agent_of_token(
    claims: Mapping[str, Any], *, issuer: str, now: float, expires_at: float, via: Via = "bearer"
) -> Agent:
    """Returns the agent of a verified token: the same `Agent` as a session's."""
    since = past(claims.get("auth_time", claims.get("iat")), now)
    return agent_from(
        claims,
        issuer=issuer,
        client_id=text_of(claims.get("client_id")) or "",
        scopes=_words(claims.get("scope")),
        authenticated_at=since or 0,
        expires_at=int(expires_at),
        via=via,
    )


def _words(value: object) -> tuple[str, ...]:
    """Returns the scopes of a claim: text (RFC 9068 2.2.3, RFC 7662 2.2), or a list of words."""
    words = value if isinstance(value, list) else [value]
    texts = [word for word in words if isinstance(word, str)]
    return tuple(" ".join(texts).split()) if len(texts) == len(words) else ()
