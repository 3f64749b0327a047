"""The userinfo endpoint (OpenID Connect Core 1.0, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auth_agent.errors import ServerMisbehaved, ServerUnavailable, TokenRefused
from auth_agent.flow.exchange import HttpRequest, HttpResponse, is_trouble, json_object
from auth_agent.protocol.jose.claims import with_flags
from auth_agent.protocol.jose.jwks import Key
from auth_agent.protocol.jose.jws import (
    Header,
    check_algorithm,
    check_issuer,
    check_time_bounds,
    check_type,
    read_header,
    verify_signature,
)


def userinfo_request(endpoint: str, access_token: str) -> HttpRequest:
    """Builds the request; asks for plain JSON, but a signed answer is accepted, too."""
    headers = (("Accept", "application/json"), ("Authorization", f"Bearer {access_token}"))
    return HttpRequest("GET", endpoint, headers)


def is_signed(response: HttpResponse) -> bool:
    """Returns True for an answer in the form of a JWT (5.3.2)."""
    content_type = response.headers.get("content-type", "").partition(";")[0]
    return response.status == 200 and content_type.strip().lower() == "application/jwt"


def parse_userinfo(response: HttpResponse, *, subject: str) -> Mapping[str, Any]:
    """Parses the claims; raises `TokenRefused` for another agent's (5.3.2: MUST NOT be used)."""
    if is_trouble(response):
        raise ServerUnavailable(
            "The Auth Agent server cannot answer the userinfo request at the moment; sign in "
            "again in a few seconds."
        )
    if response.status != 200:
        raise ServerMisbehaved(
            f"The userinfo endpoint answered {response.status}.", code="userinfo_refused"
        )
    claims = json_object(response, "userinfo")
    _check_subject(claims, subject)
    return with_flags(claims)


def read_signed_userinfo(response: HttpResponse, *, allowed: Sequence[str]) -> tuple[str, Header]:
    """Returns the token and its header after the checks that need no key."""
    token = response.body.decode("ascii", "replace").strip()
    header = read_header(token)
    check_algorithm(header, allowed)
    if header.typ is not None:  # never an access token or a logout token
        check_type(header, "jwt", "userinfo+jwt")
    return token, header


def verify_userinfo(
    token: str, header: Header, key: Key, *, issuer: str, client_id: str, subject: str, now: float
) -> Mapping[str, Any]:
    """Returns the claims; raises `TokenRefused` naming the first check that fails."""
    claims = verify_signature(token, key, header.alg)
    check_issuer(claims, issuer)
    audience = claims.get("aud")
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        raise TokenRefused(
            "The userinfo response is for another website (`aud`).", code="audience_mismatch"
        )
    check_time_bounds(claims, now=now)
    _check_subject(claims, subject)
    return with_flags(claims)


def _check_subject(claims: Mapping[str, Any], subject: str) -> None:
    if claims.get("sub") != subject:
        raise TokenRefused(
            "The userinfo response is about another agent (`sub`).", code="userinfo_sub_mismatch"
        )
