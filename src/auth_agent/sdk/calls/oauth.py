"""The agent as an OAuth client of its own: authorization URL, tokens, revocation, introspection.

Each exchange has a function that builds the request and one that parses the answer. The sections
are those of RFC 6749, 7009, 7636, 7662.
"""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import urlencode

from auth_agent.errors import AuthError, ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.pkce import challenge_of
from auth_agent.sdk.exchange.answers import check_answer, read_object
from auth_agent.sdk.flow.effects import Flow
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.identity.proof import client_form
from auth_agent.sdk.results import AuthorizationUrl, IntrospectionResponse, TokenResponse, read

DEFAULT_SCOPE = "openid profile email agent"


def at(options: Options, path: str) -> str:
    return options.server_url.rstrip("/") + path


def state_of(verifier: str) -> str:
    """Returns a state that is derived from its verifier without revealing it."""
    return encode(hmac.digest(verifier.encode("ascii"), b"state", "sha256"))


def authorization_url(
    options: Options,
    *,
    redirect_uri: str,
    scope: str,
    state: str | None,
    verifier: str,
    jkt: str | None = None,
) -> AuthorizationUrl:
    """Returns the authorization URL (4.1.1), with PKCE, and the key that its code is bound to."""
    state = state_of(verifier) if state is None else state
    query = {
        "response_type": "code",
        "client_id": options.agent_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    if jkt is not None:
        query["dpop_jkt"] = jkt  # RFC 9449 10
    url = f"{at(options, '/authorize')}?{urlencode(query)}"
    return AuthorizationUrl(url=url, code_verifier=verifier, state=state)


def check_state(state: str, verifier: str, expected: str | None) -> None:
    """Raises `state_mismatch` if the callback belongs to another sign-in (10.12)."""
    known = state_of(verifier) if expected is None else expected
    if not hmac.compare_digest(state.encode(), known.encode()):
        raise AuthError(
            "The callback's state is not the one that this sign-in began with: it belongs to "
            "another sign-in, or is forged. If you chose the state yourself, pass it as "
            "expected_state, too.",
            code="state_mismatch",
        )


def code_request(
    options: Options, code: str, redirect_uri: str, verifier: str
) -> Flow[HttpRequest]:
    """Builds the request for a code (4.1.3)."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    return (yield from client_form(options, at(options, "/token"), fields))


def refresh_request(options: Options, refresh_token: str) -> Flow[HttpRequest]:
    """Builds the request for a refresh token (6)."""
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return (yield from client_form(options, at(options, "/token"), fields))


def own_token_request(options: Options, resource: str, scope: str | None) -> Flow[HttpRequest]:
    """Builds the request for the agent's own token for one resource (4.4, RFC 8707)."""
    fields = {"grant_type": "client_credentials", "resource": resource}
    if scope is not None:
        fields["scope"] = scope
    if options.model is not None:
        fields["model"] = options.model
    return (yield from client_form(options, at(options, "/token"), fields))


def parse_tokens(
    response: HttpResponse,
    *,
    failure: str,
    refresh_token: str | None = None,
    is_bound: bool = False,
) -> TokenResponse:
    """Parses the tokens (5.1); without a new refresh token the old one stays valid (6).

    Where a proof was sent, a token that is not bound to its key is refused (RFC 9449 5).
    """
    document = read_object(response, "token response", failure=failure)
    tokens = read(TokenResponse, {"refresh_token": refresh_token, **document})
    wanted = "DPoP" if is_bound else "Bearer"
    if tokens.token_type.lower() != wanted.lower():
        raise ServerMisbehaved(f"The token is not of type {wanted}.", code="token_type_unsupported")
    return tokens


def revoke_request(options: Options, token: str) -> Flow[HttpRequest]:
    """Builds a revocation request (RFC 7009 2.1)."""
    return (yield from client_form(options, at(options, "/revoke"), {"token": token}))


def parse_revoked(response: HttpResponse) -> None:
    check_answer(response, failure="revoke_failed")


def introspect_request(options: Options, token: str) -> Flow[HttpRequest]:
    """Builds an introspection request (RFC 7662 2.1)."""
    return (yield from client_form(options, at(options, "/introspect"), {"token": token}))


def parse_introspection(response: HttpResponse) -> IntrospectionResponse:
    document: dict[str, Any] = read_object(
        response, "introspection", failure="introspection_failed"
    )
    return read(IntrospectionResponse, document)
