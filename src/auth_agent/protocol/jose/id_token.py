"""The ID token (OpenID Connect Core 1.0, 3.1.3.7). No check can be switched off."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from auth_agent.errors import TokenRefused
from auth_agent.protocol.jose.algorithms import half_hash
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.jose.claims import with_flags
from auth_agent.protocol.jose.jwks import Key
from auth_agent.protocol.jose.jws import (
    Header,
    check_algorithm,
    check_issuer,
    check_subject,
    check_times,
    check_type,
    number,
    read_header,
    verify_signature,
)
from auth_agent.secret import Discreet


class Expected(Discreet, frozen=True, kw_only=True):
    """The values that this sign-in's ID token must have; `max_age` is in seconds."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str
    max_age: int
    now: float
    trusted: tuple[str, ...] = ()
    """Audiences that a token may have beside the client."""
    max_auth_age: int | None = None
    """How old the agent's authentication may be; the request asked for it (`max_age`)."""

    def __repr__(self) -> str:
        return f"Expected(issuer={self.issuer!r}, client_id={self.client_id!r})"


def read_id_token(token: str, *, allowed: Sequence[str]) -> Header:
    """Runs the checks that need no key; they come first, so that garbage causes no fetch."""
    header = read_header(token)
    check_algorithm(header, allowed)
    if header.typ is not None:
        check_type(header, "jwt", "id_token+jwt")
    return header


def verify_id_token(token: str, header: Header, key: Key, expected: Expected) -> dict[str, Any]:
    """Returns the claims if all are right; raises `TokenRefused` naming the first that is not."""
    claims = verify_signature(token, key, header.alg)
    check_issuer(claims, expected.issuer)
    _check_audience(claims, expected)
    check_times(claims, now=expected.now)
    if number(claims, "iat") < expected.now - expected.max_age - CLOCK_SKEW:
        raise TokenRefused(
            "The ID token was issued longer ago than a session can last "
            "(AUTH_AGENT_SESSION_LIFETIME).",
            code="iat_too_old",
        )
    check_subject(claims)
    _check_nonce(claims, expected.nonce)
    _check_access_token_hash(claims, header.alg, key, expected.access_token)
    _check_auth_time(claims, expected)
    return with_flags(claims)


def _check_audience(claims: Mapping[str, Any], expected: Expected) -> None:
    """Refuses an untrusted second audience, which could use this token against us (3.1.3.7, 3)."""
    audience, client_id = claims.get("aud"), expected.client_id
    if audience not in (client_id, [client_id]):
        parties = audience if isinstance(audience, list) else []
        others = [one for one in parties if one != client_id]
        if client_id not in parties or any(one not in expected.trusted for one in others):
            raise TokenRefused(
                "The ID token is for another website, or it is also for audiences that "
                "AUTH_AGENT_TRUSTED_AUDIENCES does not list.",
                code="audience_mismatch",
            )
        if "azp" not in claims:  # 3.1.3.7, 4
            raise TokenRefused(
                "The ID token has several audiences and does not name the one that it was "
                "issued to (`azp`).",
                code="azp_mismatch",
            )
    if "azp" in claims and claims["azp"] != client_id:
        raise TokenRefused("The token was issued to another website.", code="azp_mismatch")


def _check_auth_time(claims: Mapping[str, Any], expected: Expected) -> None:
    """Checks `auth_time`, which is required if `max_age` was requested (3.1.3.7, 13)."""
    if expected.max_auth_age is None:
        return
    if number(claims, "auth_time") < expected.now - expected.max_auth_age - CLOCK_SKEW:
        raise TokenRefused(
            f"The agent signed in at the server more than {expected.max_auth_age} seconds ago, "
            "and the server did not make it sign in again.",
            code="authentication_too_old",
        )


def _check_nonce(claims: Mapping[str, Any], nonce: str) -> None:
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise TokenRefused(
            "The ID token belongs to another sign-in (`nonce`).", code="nonce_mismatch"
        )


def _check_access_token_hash(
    claims: Mapping[str, Any], alg: str, key: Key, access_token: str
) -> None:
    if "at_hash" in claims and claims["at_hash"] != half_hash(access_token, alg, key.crv):
        raise TokenRefused(
            "The access token does not belong to the ID token (`at_hash`).",
            code="at_hash_mismatch",
        )
