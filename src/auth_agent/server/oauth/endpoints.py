"""The endpoints for websites: token, userinfo, introspection, revocation."""

from __future__ import annotations

from auth_agent.server.oauth.server import OAuthRequest, OAuthServer
from auth_agent.server.registry.claims import claims_about
from auth_agent.server.tokens.bearer import need_bearer
from auth_agent.server.web.call import NO_STORE, Answer, Call, json_answer
from auth_agent.server.web.parameters import from_body


def token(oauth: OAuthServer, call: Call) -> Answer:
    """POST /token: a code or a refresh token for tokens."""
    request = _request(oauth, call, "token")
    request.parameters.need("grant_type")
    answer: Answer = oauth.create_token_response(request)
    if answer.status != 200 and not (request.lacks_nonce or request.is_waiting):
        oauth.record_refusal(request)
    return answer.with_headers(oauth.context.proofs.nonce_header())


def introspect(oauth: OAuthServer, call: Call) -> Answer:
    """POST /introspect (RFC 7662)."""
    answer: Answer = oauth.create_endpoint_response(
        "introspection", _request(oauth, call, "introspection")
    )
    return answer


def revoke(oauth: OAuthServer, call: Call) -> Answer:
    """POST /revoke (RFC 7009)."""
    answer: Answer = oauth.create_endpoint_response(
        "revocation", _request(oauth, call, "revocation")
    )
    return answer


def userinfo(oauth: OAuthServer, call: Call) -> Answer:
    """GET or POST /userinfo (OpenID Connect Core section 5.3): what the access token allows."""
    family, claims = need_bearer(oauth.context, call, in_form=True)
    scope = claims["scope"].split()
    told = {"sub": family.agent.id, **claims_about(family.agent, family.model, scope)}
    return json_answer(told, headers=(*NO_STORE, *oauth.context.proofs.nonce_header()))


def _request(oauth: OAuthServer, call: Call, kind: str) -> OAuthRequest:
    parameters = from_body(call.content_type, call.body).refuse_duplicates()
    return OAuthRequest(oauth.context.settings.issuer, call, parameters, kind)
