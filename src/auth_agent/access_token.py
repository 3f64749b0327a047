"""Bearer tokens for this website: JWT access tokens (RFC 9068) and opaque ones (RFC 7662)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auth_agent.agent import Agent
from auth_agent.errors import TokenRefused
from auth_agent.jwks import Key
from auth_agent.jws import (
    Header,
    check_algorithm,
    check_issuer,
    check_subject,
    check_times,
    check_type,
    number,
    past,
    read_header,
    verify_signature,
)
from auth_agent.settings import Settings

# RFC 9068 2.2: what an access token's claims are, beside those of the agent.
_PROTOCOL = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope"})


def read_access_token(token: str, *, allowed: Sequence[str]) -> Header:
    """The checks that need no key. An ID token is not an access token: the type is compulsory."""
    header = read_header(token)
    check_algorithm(header, allowed=allowed, advertised=None)
    check_type(header, "at+jwt")
    return header


def verify_access_token(
    token: str, header: Header, key: Key, *, settings: Settings, now: float
) -> dict[str, Any]:
    """The claims, once all of RFC 9068 4 holds; raises `TokenRefused` naming what does not."""
    claims = verify_signature(token, key, header.alg)
    check_issuer(claims, settings.issuer)
    if settings.expected_audience not in _list(claims.get("aud")):
        raise TokenRefused("The token was made for another website.", code="audience_mismatch")
    check_times(claims, now=now)
    check_subject(claims)
    if not isinstance(claims.get("client_id"), str):
        raise TokenRefused("The token names no client.", code="client_id_missing")
    _check_unbound(claims)
    return claims


def check_introspected(
    claims: Mapping[str, Any], *, settings: Settings, now: float
) -> Mapping[str, Any]:
    """An active token may still be another website's, or no access token at all (RFC 7662 2.2)."""
    kind = claims.get("token_type")
    if kind is not None and str(kind).lower() not in ("bearer", "access_token"):
        raise TokenRefused("This is no access token.", code="typ_mismatch")
    if claims.get("iss") not in (None, settings.issuer):
        raise TokenRefused("The token comes from another issuer.", code="issuer_mismatch")
    ours = {settings.expected_audience, settings.client_id}
    audience = _list(claims.get("aud")) or _list(claims.get("client_id"))
    if not ours & set(audience):
        raise TokenRefused("The token was made for another website.", code="audience_mismatch")
    if "exp" in claims and now >= number(claims, "exp"):
        raise TokenRefused("The token has expired.", code="token_expired")
    check_subject(claims)
    _check_unbound(claims)
    return claims


def _check_unbound(claims: Mapping[str, Any]) -> None:
    """RFC 7800 3: whoever brings such a token must prove a key, which no Bearer header can do."""
    if "cnf" in claims:
        raise TokenRefused("The token is bound to a key (`cnf`).", code="token_bound")


def agent_of(
    claims: Mapping[str, Any], *, settings: Settings, now: float, expires_at: int
) -> Agent:
    """The same `Agent` as a session's."""
    email = _text(claims.get("email"))
    permissions = claims.get("permissions")
    return Agent(
        id=claims["sub"],
        issuer=settings.issuer,
        client_id=_text(claims.get("client_id")) or "",
        authenticated_at=past(claims.get("auth_time", claims.get("iat")), now) or 0,
        expires_at=expires_at,
        model=_text(claims.get("model")) or _text(claims.get("model_name")),
        email=email,
        email_verified=email is not None and claims.get("email_verified") is True,
        name=_text(claims.get("name")),
        scopes=tuple((_text(claims.get("scope")) or "").split()),
        permissions=tuple(_list(permissions)) if isinstance(permissions, list) else (),
        claims={name: value for name, value in claims.items() if name not in _PROTOCOL},
        via="bearer",
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _list(value: object) -> list[str]:
    """A string, or the strings of a list."""
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]
