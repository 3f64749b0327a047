"""The userinfo endpoint (OpenID Connect Core 1.0, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auth_agent.errors import ServerMisbehaved, ServerUnavailable, TokenRefused
from auth_agent.flow.exchange import HttpRequest, HttpResponse, is_trouble, json_object


def userinfo_request(endpoint: str, access_token: str) -> HttpRequest:
    headers = (("Accept", "application/json"), ("Authorization", f"Bearer {access_token}"))
    return HttpRequest("GET", endpoint, headers)


def parse_userinfo(response: HttpResponse, *, subject: str) -> Mapping[str, Any]:
    """Raises `TokenRefused` where the claims are another agent's (5.3.2: they MUST NOT be used)."""
    if is_trouble(response):
        raise ServerUnavailable("The Auth Agent server could not say who the agent is.")
    if response.status != 200:
        raise ServerMisbehaved(
            f"The userinfo endpoint answered {response.status}.", code="userinfo_refused"
        )
    claims = json_object(response, "userinfo")
    if claims.get("sub") != subject:
        raise TokenRefused("Userinfo speaks of another agent.", code="userinfo_sub_mismatch")
    return claims
