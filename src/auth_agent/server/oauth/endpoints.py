"""What a website calls: token, userinfo, introspection, revocation."""

from __future__ import annotations

from auth_agent.server.context import Context
from auth_agent.server.oauth.server import OAuthRequest, OAuthServer
from auth_agent.server.registry.claims import claims_about
from auth_agent.server.tokens.bearer import need_bearer, token_anywhere
from auth_agent.server.web.call import Answer, Call, json_answer
from auth_agent.server.web.parameters import from_body


def token(oauth: OAuthServer, call: Call) -> Answer:
    """POST /token: a code or a refresh token for tokens."""
    request = _request(oauth, call)
    request.parameters.need("grant_type")
    answer: Answer = oauth.create_token_response(request)
    if answer.status != 200:
        _record_refusal(oauth.context, call, request, "token")
    return answer


def introspect(oauth: OAuthServer, call: Call) -> Answer:
    """POST /introspect (RFC 7662)."""
    answer: Answer = oauth.create_endpoint_response("introspection", _request(oauth, call))
    return answer


def revoke(oauth: OAuthServer, call: Call) -> Answer:
    """POST /revoke (RFC 7009)."""
    answer: Answer = oauth.create_endpoint_response("revocation", _request(oauth, call))
    return answer


def userinfo(oauth: OAuthServer, call: Call) -> Answer:
    """GET or POST /userinfo (OpenID Connect Core section 5.3): what the access token allows."""
    family, claims = need_bearer(oauth.context, token_anywhere(call))
    scope = claims["scope"].split()
    return json_answer({"sub": family.agent.id, **claims_about(family.agent, family.model, scope)})


def _request(oauth: OAuthServer, call: Call) -> OAuthRequest:
    parameters = from_body(call.content_type, call.body).refuse_duplicates()
    return OAuthRequest(oauth.context.settings.issuer, call, parameters)


def _record_refusal(context: Context, call: Call, request: OAuthRequest, kind: str) -> None:
    client_id = request.client.id if request.client else request.payload.client_id
    context.record_refusal(kind=kind, outcome="refused", client_id=client_id, address=call.address)
