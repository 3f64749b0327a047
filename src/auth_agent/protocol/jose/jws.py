"""Signed tokens (RFC 7515, RFC 7519, RFC 8725): the checks that all kinds share.

A token's size is checked before it is parsed, its header is trusted only if our configuration
allows its values, and its signature is verified before any claim is read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import msgspec

from auth_agent.errors import TokenRefused
from auth_agent.flow.documents import read_object
from auth_agent.protocol.jose.algorithms import is_signed, signature_of
from auth_agent.protocol.jose.base64url import decode, decode_strictly, encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.jose.jwks import Key

MAX_TOKEN = 32_768
_LAST_SECOND = 253_402_300_799  # of the year 9999, where the calendars of many systems end

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# `crit` requires extensions, of which we support none (RFC 7515 4.1.11); the others would let the
# token choose its own key.
_FORBIDDEN = ("crit", "jwk", "jku", "x5u", "x5c", "b64")


class Header(msgspec.Struct, frozen=True):
    """The unverified header of a token."""

    alg: str
    kid: str | None
    typ: str | None


class _Protected(msgspec.Struct, frozen=True):
    """What a header says about its signature: the algorithm, and extensions (RFC 7515 4.1.11)."""

    alg: str
    crit: Any = msgspec.UNSET
    b64: Any = msgspec.UNSET


def read_header(token: str) -> Header:
    """Reads the header; refuses a token that is too large, is malformed or names its own key."""
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
            f"The token's header contains {forbidden[0]!r}, which is never accepted.",
            code="header_forbidden",
        )
    alg, kid, typ = fields.get("alg"), fields.get("kid"), fields.get("typ")
    if not isinstance(alg, str) or not isinstance(kid, str | None):
        raise TokenRefused("The token's header is malformed.", code="token_malformed")
    if not isinstance(typ, str | None):
        raise TokenRefused("The token's type is not text.", code="typ_mismatch")
    return Header(alg, kid, typ)


def check_algorithm(header: Header, allowed: Sequence[str]) -> None:
    """Raises `TokenRefused` unless the website allows the token's algorithm."""
    if header.alg not in allowed:
        raise TokenRefused(
            "The token is signed with an algorithm that AUTH_AGENT_ALGORITHMS does not list.",
            code="algorithm_refused",
        )


def check_advertised(header: Header, advertised: Sequence[str] | None) -> None:
    """Raises `TokenRefused` if the server lists its algorithms, and this one is missing."""
    if advertised is not None and header.alg not in advertised:
        raise TokenRefused(
            "The token is signed with an algorithm that the server's metadata does not list.",
            code="algorithm_refused",
        )


def check_type(header: Header, *expected: str) -> None:
    """Checks the type (RFC 8725 3.11); RFC 7515 4.1.9 allows leaving out `application/`."""
    typ = (header.typ or "").lower().removeprefix("application/")
    if typ not in expected:
        raise TokenRefused(f"This is not a token of type {expected[0]!r}.", code="typ_mismatch")


def verify_signature(token: str, key: Key, alg: str) -> dict[str, Any]:
    """Returns the claims of a token that was signed with this key and algorithm."""
    if not key.fits(alg):
        raise TokenRefused(
            ("The token's algorithm and the server's key do not belong together."),
            code="key_mismatch",
        )
    return signed_claims(token, key.public, alg)


def signed_claims(token: str, public: Any, alg: str) -> dict[str, Any]:
    """Returns the claims of a compact JWS that this key has signed with this algorithm.

    The header has to name the algorithm, and no extension. PyJWT's own reader looks at the
    characters of a token one by one, which takes three times as long as checking the signature.
    """
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    try:
        named = msgspec.json.decode(decode_strictly(header), type=_Protected)
        is_right = named == _Protected(alg) and is_signed(
            signed.encode("ascii"), decode_strictly(signature), public, alg
        )
        data = decode_strictly(payload) if is_right else None
    except (ValueError, RecursionError):
        data = None
    if data is None:
        raise TokenRefused("The token's signature is wrong.", code="signature_invalid")
    return _json_object(data)


def sign(header: Mapping[str, str], payload: bytes, private: Any) -> str:
    """Returns a compact JWS, signed with the algorithm that the header names."""
    signed = f"{_protected(tuple(header.items()))}.{encode(payload)}"
    signature = signature_of(signed.encode("ascii"), private, header["alg"])
    return f"{signed}.{encode(signature)}"


@functools.lru_cache(64)
def _protected(header: tuple[tuple[str, str], ...]) -> str:
    """Returns the header of a JWS, which is the same in all tokens of one key and type."""
    return encode(msgspec.json.encode(dict(header)))


def check_times(claims: Mapping[str, Any], *, now: float) -> None:
    """Requires `exp` and `iat`; none of `exp`, `iat`, `nbf` may be off by over a minute."""
    number(claims, "exp")
    number(claims, "iat")
    check_time_bounds(claims, now=now)


def check_time_bounds(claims: Mapping[str, Any], *, now: float) -> None:
    """Checks `exp`, `iat` and `nbf`, if present; none may be off by over a minute."""
    if "exp" in claims and now >= number(claims, "exp") + CLOCK_SKEW:
        raise _off("The token expired", now - number(claims, "exp"), "ago", "token_expired")
    if "iat" in claims and number(claims, "iat") > now + CLOCK_SKEW:
        off = number(claims, "iat") - now
        raise _off("The token was issued in the future,", off, "ahead of this machine", "iat_ahead")
    if "nbf" in claims and number(claims, "nbf") > now + CLOCK_SKEW:
        raise _off("The token becomes valid", number(claims, "nbf") - now, "from now", "nbf_ahead")


def _off(what: str, seconds: float, where: str, code: str) -> TokenRefused:
    """Returns the refusal that says how far two clocks may be apart."""
    shown = f"{int(seconds):,} seconds {where}"
    return TokenRefused(
        f"{what} {shown}; a difference of {CLOCK_SKEW} seconds is allowed. Compare the clocks of "
        "this machine and the server; set both by NTP.",
        code=code,
    )


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
        raise TokenRefused("The token contains no JSON object.", code="token_malformed")
    return value


def number(claims: Mapping[str, Any], name: str) -> float:
    """Returns a NumericDate (RFC 7519 2); refuses a boolean, which Python counts as a number."""
    value = claims.get(name)
    if not _is_number(value) or not 0 <= value <= _LAST_SECOND:
        raise TokenRefused(
            f"The token's `{name}` is missing or is not a number of seconds.", code="time_missing"
        )
    return value


def past(value: object, now: float) -> int | None:
    """Returns a past time in whole seconds; None for a future time or another value."""
    return int(max(0, min(value, now))) if _is_number(value) else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
