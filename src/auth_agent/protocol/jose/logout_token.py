"""The logout token of OpenID Connect Back-Channel Logout 1.0, section 2.6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.jose.jwks import Key
from auth_agent.protocol.jose.jws import (
    Header,
    check_algorithm,
    check_issuer,
    check_times,
    check_type,
    number,
    read_header,
    verify_signature,
)

EVENT = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE = 600


class LogoutToken(msgspec.Struct, frozen=True):
    """The sessions to end: the server's session `sid`, or else all of `sub`."""

    sub: str | None
    sid: str | None
    jti: str


def read_logout_token(token: str, *, allowed: Sequence[str]) -> Header:
    """Runs the checks that need no key."""
    header = read_header(token)
    check_algorithm(header, allowed)
    check_type(header, "logout+jwt")
    return header


def verify_logout_token(
    token: str, header: Header, key: Key, *, issuer: str, client_id: str, now: float
) -> LogoutToken:
    """Raises `TokenRefused` naming the first failed check; the caller refuses replays."""
    claims = verify_signature(token, key, header.alg)
    check_issuer(claims, issuer)
    if claims.get("aud") not in (client_id, [client_id]):
        raise TokenRefused("The token was made for another website.", code="audience_mismatch")
    check_times(claims, now=now)
    if number(claims, "iat") < now - MAX_AGE - CLOCK_SKEW:
        raise TokenRefused("The token is too old.", code="iat_too_old")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise TokenRefused("The token has no logout event.", code="events_missing")
    if "nonce" in claims:  # so that an ID token never passes for a logout token
        raise TokenRefused("A logout token has no nonce.", code="nonce_forbidden")
    sub, sid, jti = (_text(claims, name) for name in ("sub", "sid", "jti"))
    if sub is None and sid is None:
        raise TokenRefused("The token has neither `sub` nor `sid`.", code="sub_missing")
    if jti is None:
        raise TokenRefused("The token has no unique ID (`jti`).", code="jti_missing")
    return LogoutToken(sub, sid, jti)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value else None
