"""Authentication by access token (RFC 6750), at userinfo and at the agent's own API."""

from __future__ import annotations

from typing import Any, NamedTuple

from auth_agent.server.context import Context
from auth_agent.server.tokens.families import Family
from auth_agent.server.tokens.presented import find_presented
from auth_agent.server.web.call import Call, Headers, Refusal
from auth_agent.server.web.parameters import from_body


class Bearer(NamedTuple):
    """A valid access token: its family and its claims."""

    family: Family
    claims: dict[str, Any]


def need_bearer(context: Context, token: str) -> Bearer:
    """Returns the token's family and claims; Refusal 401 if it is not valid."""
    presented = find_presented(context, token)
    if presented is None or presented.claims is None or presented.is_revoked():
        raise bearer_refusal(
            401, "invalid_token", "The access token is expired, revoked or not from here"
        )
    return Bearer(presented.family, presented.claims)


def need_agent(context: Context, call: Call) -> tuple[Bearer, Headers]:
    """Returns the agent that calls this server's own API, and its rate-limit headers.

    Refuses a website's token, or each website could rewrite the agent's profile: the agent must
    have got the token for itself, and for this server.
    """
    bearer = need_bearer(context, token_in_header(call))
    headers = context.limits.take("calls", bearer.claims["client_id"])
    audience = bearer.claims["aud"]
    is_ours = context.settings.issuer in ([audience] if isinstance(audience, str) else audience)
    if not is_ours or bearer.claims["client_id"] != bearer.family.agent.id:
        raise bearer_refusal(
            403, "insufficient_scope", "Use an access token that the agent got for this server"
        )
    return bearer, headers


def token_in_header(call: Call) -> str:
    """Returns the access token from the Authorization header, the only accepted place."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        # RFC 6750 section 3.1: no error code for a request without any authentication.
        challenge = (("www-authenticate", "Bearer"),)
        raise Refusal(401, "invalid_token", "An access token is required", challenge)
    return token.strip()


def token_anywhere(call: Call) -> str:
    """Returns the one access token of a request, from the header or a form (RFC 6750 section 2)."""
    in_body = ""
    if call.method == "POST" and call.body:
        in_body = from_body(call.content_type, call.body).get("access_token", "")
    if not in_body:
        return token_in_header(call)
    if "authorization" in call.headers:
        raise bearer_refusal(400, "invalid_request", "Send the access token in one way only")
    return in_body


def bearer_refusal(status: int, error: str, description: str) -> Refusal:
    challenge = f'Bearer error="{error}", error_description="{description}"'
    return Refusal(status, error, description, (("www-authenticate", challenge),))
