"""What an authorization request has to be (RFC 6749 section 4.1.1, OAuth 2.1, RFC 8707)."""

from __future__ import annotations

import re
from collections.abc import Callable

from authlib.oauth2.rfc6749.errors import InvalidRequestError, InvalidScopeError, OAuth2Error

from auth_agent.server.registry.clients import Client
from auth_agent.server.web.parameters import Parameters
from auth_agent.server.web.urls import origin_of


class UnknownWebsite(OAuth2Error):  # type: ignore[misc]
    """Client or redirect URI are not known together: shown to the visitor, never redirected."""

    error = "invalid_request"


def validated_client(
    query_client: Callable[[str], Client | None], parameters: Parameters
) -> tuple[Client, str]:
    """The website and the redirect URI that it has registered."""
    client_id, redirect_uri = parameters.get("client_id"), parameters.get("redirect_uri")
    if parameters.duplicates & {"client_id", "redirect_uri"}:
        raise UnknownWebsite("client_id or redirect_uri is given more than once")
    if not client_id:
        raise UnknownWebsite("The website sent no client_id")
    if not redirect_uri:
        raise UnknownWebsite("The website sent no redirect_uri")
    client = query_client(client_id)
    if client is None:
        raise UnknownWebsite("No website with this client_id is registered here")
    if not client.check_redirect_uri(redirect_uri):
        raise UnknownWebsite("The website has not registered this redirect_uri")
    return client, redirect_uri


def check_payload(client: Client, parameters: Parameters, issuer: str) -> str:
    """Everything but client and redirect URI; returns the scope that is asked for."""
    if parameters.duplicates:
        raise InvalidRequestError("A parameter is given more than once")
    if "response_type" not in parameters:
        raise InvalidRequestError("Missing required parameter: response_type")
    if parameters["response_type"] != "code":
        raise OAuth2Error("Only response_type=code is supported", error="unsupported_response_type")
    if parameters.get("response_mode", "query") != "query":
        raise InvalidRequestError("Only response_mode=query is supported")
    for name in ("request", "request_uri"):
        if name in parameters:
            raise OAuth2Error("Request objects are not supported", error=f"{name}_not_supported")
    if not parameters.get("max_age", "0").isdecimal():
        raise InvalidRequestError("max_age has to be a number of seconds")
    # Whatever it is, it is kept: an agent proves itself anew for each request.
    audience_of(client, parameters, issuer)
    scope = _scope(client, parameters.get("scope", "openid"))
    if "none" in parameters.get("prompt", "").split():
        # There is no session to use silently; whatever else is wrong has been said before.
        raise OAuth2Error("An agent has to answer this request", error="interaction_required")
    check_challenge(parameters.get("code_challenge", ""), parameters.get("code_challenge_method"))
    return scope


def audience_of(client: Client, parameters: Parameters, issuer: str) -> tuple[str, ...]:
    """Who the access token is for: the resources asked for, else the website itself.

    A website may name only its own resources: otherwise it could act as the agent elsewhere. An
    agent that is its own client gets a token for this server alone; for other APIs it uses its
    client credentials.
    """
    if client.agent_id is not None:
        if set(parameters.resources) - {issuer}:
            raise OAuth2Error("Use client_credentials for this resource", error="invalid_target")
        return (issuer,)
    origin = origin_of(parameters["redirect_uri"])
    if not set(parameters.resources) <= {*client.resources, origin}:
        raise OAuth2Error("The resource is not one of this website's", error="invalid_target")
    return tuple(dict.fromkeys(parameters.resources)) or (origin,)


def _scope(client: Client, asked: str) -> str:
    words = tuple(dict.fromkeys(word for word in asked.split(" ") if word))
    if not words or not set(words) <= set(client.scopes):
        raise InvalidScopeError("The website asks for a scope that it is not registered for")
    return " ".join(words)


# SHA-256 in base64url (RFC 7636 section 4.2).
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def check_challenge(challenge: str, method: str | None) -> None:
    """InvalidRequestError unless it is a PKCE challenge of the method S256."""
    if method != "S256" or not _CODE_CHALLENGE.fullmatch(challenge):
        raise InvalidRequestError("PKCE is required: send code_challenge and method S256")
