"""What a website calls: token, userinfo, introspection, revocation."""

from __future__ import annotations

from .agents import claims_about
from .audit import refused
from .call import Answer, Call, Refusal, json_answer
from .context import Context
from .oauth import OAuthRequest
from .parameters import from_body
from .token_endpoints import find_presented


def token(context: Context, call: Call) -> Answer:
    """POST /token: a code or a refresh token for tokens."""
    request = _request(context, call)
    request.parameters.need("grant_type")
    answer: Answer = context.oauth.create_token_response(request)
    if answer.status != 200:
        _record_refusal(context, call, request, "token")
    return answer


def introspect(context: Context, call: Call) -> Answer:
    """POST /introspect (RFC 7662)."""
    answer: Answer = context.oauth.create_endpoint_response(
        "introspection", _request(context, call)
    )
    return answer


def revoke(context: Context, call: Call) -> Answer:
    """POST /revoke (RFC 7009)."""
    answer: Answer = context.oauth.create_endpoint_response("revocation", _request(context, call))
    return answer


def userinfo(context: Context, call: Call) -> Answer:
    """GET or POST /userinfo (OpenID Connect Core section 5.3): what the access token allows."""
    presented = find_presented(context, _bearer(call))
    if presented is None or presented.claims is None or presented.is_revoked():
        raise _bearer_refusal(
            401, "invalid_token", "The access token is expired, revoked or not from here"
        )
    family = presented.family
    scope = presented.claims["scope"].split()
    return json_answer({"sub": family.agent.id, **claims_about(family.agent, family.model, scope)})


def _request(context: Context, call: Call) -> OAuthRequest:
    parameters = from_body(call.content_type, call.body).refuse_duplicates()
    return OAuthRequest(context.settings.issuer, call, parameters)


def _record_refusal(context: Context, call: Call, request: OAuthRequest, kind: str) -> None:
    client_id = request.client.id if request.client else request.payload.client_id
    refused(context, kind=kind, outcome="refused", client_id=client_id, address=call.address)


def _bearer(call: Call) -> str:
    """The one access token of a request (RFC 6750 section 2)."""
    header = call.headers.get("authorization", "")
    scheme, _, token = header.partition(" ")
    in_header = token.strip() if scheme.lower() == "bearer" else ""
    in_body = ""
    if call.method == "POST" and call.body:
        in_body = from_body(call.content_type, call.body).get("access_token", "")
    if in_header and in_body:
        raise _bearer_refusal(400, "invalid_request", "Send the access token in one way only")
    found = in_header or in_body
    if not found:
        # RFC 6750 section 3.1: no error code for a request without any authentication.
        challenge = (("www-authenticate", "Bearer"),)
        raise Refusal(401, "invalid_token", "An access token is required", challenge)
    return found


def _bearer_refusal(status: int, error: str, description: str) -> Refusal:
    challenge = f'Bearer error="{error}", error_description="{description}"'
    return Refusal(status, error, description, (("www-authenticate", challenge),))
