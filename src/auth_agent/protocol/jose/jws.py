"""Signed tokens (RFC 7515, RFC 7519, RFC 8725): what is true of every kind of them.

A token is measured before it is parsed, its header is believed only where our configuration
already allows what it says, and its signature is checked before any claim is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from auth_agent.errors import TokenRefused
from auth_agent.flow.documents import read_object
from auth_agent.protocol.jose.algorithms import verifier
from auth_agent.protocol.jose.base64url import decode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.jose.jwks import Key

MAX_TOKEN = 32_768
_LAST_SECOND = 253_402_300_799  # of the year 9999, where the calendars of many systems end

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# `crit` demands extensions that we have none of (RFC 7515 4.1.11); the others would let the token
# choose its own key.
_FORBIDDEN = ("crit", "jwk", "jku", "x5u", "x5c", "b64")


class Header(msgspec.Struct, frozen=True):
    """What a token says of its own signature; nothing of it is verified."""

    alg: str
    kid: str | None
    typ: str | None


def read_header(token: str) -> Header:
    """Raises `TokenRefused` where the token is too large, malformed or names its own key."""
    if len(token) > MAX_TOKEN:
        raise TokenRefused("The token is larger than 32 KiB.", code="token_too_large")
    if not _COMPACT.fullmatch(token):
        raise TokenRefused("This is not a signed token.", code="token_malformed")
    try:
        header = decode(token.partition(".")[0])
    except ValueError:
        raise TokenRefused("The token's header cannot be read.", code="token_malformed") from None
    fields = _json_object(header)
    forbidden = [name for name in _FORBIDDEN if name in fields]
    if forbidden:
        raise TokenRefused(
            f"The token's header holds {forbidden[0]!r}, which is never trusted.",
            code="header_forbidden",
        )
    alg, kid, typ = fields.get("alg"), fields.get("kid"), fields.get("typ")
    if not isinstance(alg, str) or not isinstance(kid, str | None):
        raise TokenRefused("The token's header is malformed.", code="token_malformed")
    if not isinstance(typ, str | None):
        raise TokenRefused("The token's type is not text.", code="typ_mismatch")
    return Header(alg, kid, typ)


def check_algorithm(header: Header, allowed: Sequence[str]) -> None:
    """Raises `TokenRefused` unless the algorithm is one that the website allows."""
    if header.alg not in allowed:
        raise TokenRefused(
            "The token is signed with an algorithm that AUTH_AGENT_ALGORITHMS does not hold.",
            code="algorithm_refused",
        )


def check_advertised(header: Header, advertised: Sequence[str] | None) -> None:
    """Raises `TokenRefused` if the server lists its algorithms, and this is none of them."""
    if advertised is not None and header.alg not in advertised:
        raise TokenRefused(
            "The token is signed with an algorithm that the server's metadata does not list.",
            code="algorithm_refused",
        )


def check_type(header: Header, *expected: str) -> None:
    """RFC 8725 3.11; RFC 7515 4.1.9 lets the prefix `application/` be left out."""
    typ = (header.typ or "").lower().removeprefix("application/")
    if typ not in expected:
        raise TokenRefused(f"This is not a token of type {expected[0]!r}.", code="typ_mismatch")


def verify_signature(token: str, key: Key, alg: str) -> dict[str, Any]:
    """The claims of a token that this key has signed with this algorithm."""
    import jwt  # noqa: PLC0415  # 100 ms that the first request need not wait for

    if not key.fits(alg):
        raise TokenRefused("The key does not fit the token's algorithm.", code="key_mismatch")
    try:
        payload = verifier(alg).decode(token, key.public, algorithms=[alg])
    except (jwt.PyJWTError, ValueError, TypeError):
        raise TokenRefused("The token's signature is wrong.", code="signature_invalid") from None
    return _json_object(payload)


def check_times(claims: Mapping[str, Any], *, now: float) -> None:
    """`exp` and `iat` must be there; none of `exp`, `iat`, `nbf` may be off by over a minute."""
    number(claims, "exp")
    number(claims, "iat")
    check_time_bounds(claims, now=now)


def check_time_bounds(claims: Mapping[str, Any], *, now: float) -> None:
    """None of `exp`, `iat`, `nbf` may be off by over a minute, as far as they are there."""
    if "exp" in claims and now >= number(claims, "exp") + CLOCK_SKEW:
        raise TokenRefused("The token has expired; compare the clocks.", code="token_expired")
    if "iat" in claims and number(claims, "iat") > now + CLOCK_SKEW:
        raise TokenRefused("The token comes from the future; compare the clocks.", code="iat_ahead")
    if "nbf" in claims and number(claims, "nbf") > now + CLOCK_SKEW:
        raise TokenRefused("The token is not valid yet; compare the clocks.", code="nbf_ahead")


def check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    if claims.get("iss") != issuer:
        raise TokenRefused("The token comes from another issuer.", code="issuer_mismatch")


def check_subject(claims: Mapping[str, Any]) -> None:
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise TokenRefused("The token names no agent (`sub`).", code="sub_missing")


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        value = read_object(data)
    except ValueError:
        raise TokenRefused("The token is nested too deeply.", code="token_too_deep") from None
    if value is None:
        raise TokenRefused("The token holds no JSON object.", code="token_malformed")
    return value


def number(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519 2); a boolean is none, although Python counts it as a number."""
    value = claims.get(name)
    if not _is_number(value) or not 0 <= value <= _LAST_SECOND:
        raise TokenRefused(f"The token's `{name}` is missing or no time.", code="time_missing")
    return value


def past(value: object, now: float) -> int | None:
    """A time that has been, in whole seconds, or None for what is no time; never the future."""
    return int(max(0, min(value, now))) if _is_number(value) else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
