"""Tokens for this website: JWT access tokens (RFC 9068) and opaque ones (RFC 7662).

A token with `cnf` is bound to a key (RFC 7800 3): `bound_key` says to which, and its checks are
those of `auth_agent.protocol.dpop`. The caller has to look, whatever the scheme it came with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from auth_agent.errors import TokenRefused
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
from auth_agent.protocol.jose.private_key import is_thumbprint


class ExpectedAccess(msgspec.Struct, frozen=True):
    """The issuer and audience that an access token must have."""

    issuer: str
    audience: str
    client_id: str

    def audiences(self) -> set[str]:
        """Returns the spellings of the audience: clients write an origin with a slash behind it,
        or without, and both are one URI (RFC 3986 6.2.3)."""
        bare = self.audience.removesuffix("/")
        return {bare, f"{bare}/"} if bare.count("/") == 2 else {self.audience}


def read_access_token(token: str, *, allowed: Sequence[str]) -> Header:
    """Runs the checks that need no key. Refuses an ID token: the type is compulsory."""
    header = read_header(token)
    check_algorithm(header, allowed)
    check_type(header, "at+jwt")
    return header


def verify_access_token(
    token: str, header: Header, key: Key, *, expected: ExpectedAccess, now: float
) -> dict[str, Any]:
    """Returns the claims if all of RFC 9068 4 holds; raises `TokenRefused` naming what does not."""
    claims = verify_signature(token, key, header.alg)
    check_issuer(claims, expected.issuer)
    if not expected.audiences() & set(_list(claims.get("aud"))):
        raise TokenRefused("The token was made for another website.", code="audience_mismatch")
    check_times(claims, now=now)
    check_subject(claims)
    if not isinstance(claims.get("client_id"), str):
        raise TokenRefused("The token names no client (`client_id`).", code="client_id_missing")
    return with_flags(claims)


def check_introspected(
    claims: Mapping[str, Any], *, expected: ExpectedAccess, now: float
) -> Mapping[str, Any]:
    """Checks an active token, which may be another website's or no access token (RFC 7662 2.2)."""
    kind = claims.get("token_type")
    if kind is not None and str(kind).lower() not in ("bearer", "access_token", "dpop"):
        raise TokenRefused("This is not an access token.", code="typ_mismatch")
    if claims.get("iss") not in (None, expected.issuer):
        raise TokenRefused("The token comes from another issuer.", code="issuer_mismatch")
    ours = {*expected.audiences(), expected.client_id}
    audience = _list(claims.get("aud") or claims.get("client_id"))  # some say [] for no audience
    if not ours & set(audience):
        raise TokenRefused("The token was made for another website.", code="audience_mismatch")
    if "exp" in claims and now >= number(claims, "exp"):
        raise TokenRefused("The token has expired.", code="token_expired")
    check_subject(claims)
    if str(kind).lower() == "dpop" and "cnf" not in claims:
        raise TokenRefused(
            "The server says that the token is bound to a key, but does not name the key.",
            code="token_bound",
        )
    return with_flags(claims)


def bound_key(claims: Mapping[str, Any]) -> str | None:
    """Returns the thumbprint of the key that a token is bound to (RFC 9449 6), None if to none.

    Raises `TokenRefused` for every other binding (`cnf`), which nothing here could check.
    """
    if "cnf" not in claims:
        return None
    confirmation = claims["cnf"]
    jkt = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not is_thumbprint(jkt) or len(confirmation) != 1:
        raise TokenRefused(
            "The token is bound (`cnf`) in a way that this website does not support; it "
            "supports DPoP.",
            code="token_bound",
        )
    return str(jkt)


def _list(value: object) -> list[str]:
    """Returns a string, or a list's strings, as a list."""
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]
