"""What an authorization request has to be (RFC 6749 section 4.1.1, OAuth 2.1, RFC 8707)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from auth_agent.protocol.jose.private_key import is_thumbprint
from auth_agent.server.registry.client import Client
from auth_agent.server.registry.resources import KnownResource
from auth_agent.server.sign_in.authorization.wishes import Wishes, read_wishes
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.parameters import Parameters
from auth_agent.server.web.urls import (
    is_loopback_uri,
    is_within,
    return_origin,
    same_address,
    url_problem,
)

CLIENTS_PAGE = "docs/websites/clients.md"
LONGEST_STATE, LONGEST_NONCE = 2_048, 512  # characters; both are stored for each sign-in
# SHA-256 in base64url (RFC 7636 section 4.2).
_UNSAFE, _LONGEST_SHOWN, _MOST_SHOWN = re.compile(r"[^\x21-\x7e]"), 200, 5
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


FindResources = Callable[[Collection[str]], Mapping[str, KnownResource]]


class AuthorizationRequest(NamedTuple):
    """A request that was checked: what a sign-in is opened with."""

    client: Client
    redirect_uri: str
    scope: str
    audience: tuple[str, ...]
    state: str | None
    nonce: str | None
    code_challenge: str
    wishes: Wishes = Wishes()
    dpop_jkt: str | None = None


def validated_client(
    find_client: Callable[[str], Client | None], parameters: Parameters
) -> tuple[Client, str]:
    """Returns the website and its redirect URI.

    Refusal unless both are registered together: it is shown to the visitor, never redirected.
    """
    client_id, redirect_uri = parameters.get("client_id"), parameters.get("redirect_uri")
    if parameters.duplicates & {"client_id", "redirect_uri"}:
        raise _invalid("client_id or redirect_uri is given more than once")
    if not client_id:
        raise _invalid("The website sent no client_id")
    if not redirect_uri:
        raise _invalid("The website sent no redirect_uri")
    client = find_client(client_id)
    if client is None:
        raise _invalid(
            f"No website with the client id {_shown(client_id)} is registered here. The website's "
            "operator has to correct AUTH_AGENT_CLIENT_ID, or register the website with: "
            "auth-agent client add"
        )
    if not client.check_redirect_uri(redirect_uri):
        raise _invalid(_unregistered(client, redirect_uri))
    return client, redirect_uri


def _unregistered(client: Client, redirect_uri: str) -> str:
    """Returns cause and remedy; what is registered only for the developer's own machine.

    The command has no foreign words in it, so that it is safe to paste.
    """
    text = f"The website has not registered the redirect URI {_shown(redirect_uri)}."
    local = [known for known in client.redirect_uris if is_loopback_uri(known)]
    if local and is_loopback_uri(redirect_uri):
        text += f" It has registered {', '.join(map(_shown, local[:_MOST_SHOWN]))}."
    return (
        f"{text} The website's operator has to correct AUTH_AGENT_BASE_URL, or register the URI "
        "with: auth-agent client update CLIENT_ID --redirect-uri URI"
    )


def _shown(text: str) -> str:
    """Returns foreign text bounded, as plain ASCII without spaces."""
    return _UNSAFE.sub("?", text[:_LONGEST_SHOWN]) + "..." * (len(text) > _LONGEST_SHOWN)


def check_request(
    client: Client,
    redirect_uri: str,
    parameters: Parameters,
    issuer: str,
    find_resources: FindResources,
    *,
    details_types: Collection[str],
) -> AuthorizationRequest:
    """Checks all other parameters; a Refusal from here is for the website."""
    _check_form(parameters)
    wishes = read_wishes(parameters, details_types)
    known: Mapping[str, KnownResource] = {}
    if parameters.resources and client.is_native(redirect_uri):
        known = find_resources(parameters.resources)
    audience = _audience(client, redirect_uri, parameters.resources, issuer, known)
    if wishes.act is not None and len(audience) > 1:
        # An approval is for one website: at each of two it could be used once.
        raise Refusal(400, "invalid_target", "authorization_details are for one resource")
    scope = _scope(client, parameters.get("scope"), known)
    _check_prompt(parameters.get("prompt", "").split(), scope)
    challenge = parameters.get("code_challenge", "")
    _check_challenge(challenge, parameters.get("code_challenge_method"))
    state = _bounded(parameters, "state", LONGEST_STATE)
    nonce = _bounded(parameters, "nonce", LONGEST_NONCE)
    jkt = parameters.get("dpop_jkt")
    if jkt is not None and not is_thumbprint(jkt):
        raise _invalid("dpop_jkt has to be the SHA-256 thumbprint of a key (RFC 9449 section 10)")
    return AuthorizationRequest(
        client, redirect_uri, scope, audience, state, nonce, challenge, wishes, jkt
    )


def _check_form(parameters: Parameters) -> None:
    """Refuses a request in a form that is not supported."""
    if parameters.duplicates:
        raise _invalid("A parameter is given more than once")
    if "response_type" not in parameters:
        raise _invalid("Missing required parameter: response_type")
    if parameters["response_type"] != "code":
        text = "Only response_type=code is supported"
        raise Refusal(400, "unsupported_response_type", text)
    if parameters.get("response_mode", "query") != "query":
        raise _invalid("Only response_mode=query is supported")
    for name in ("request", "request_uri"):
        if name in parameters:
            raise Refusal(400, f"{name}_not_supported", "Request objects are not supported")


def _audience(
    client: Client,
    redirect_uri: str,
    resources: Sequence[str],
    issuer: str,
    known: Mapping[str, KnownResource],
) -> tuple[str, ...]:
    """Returns the audience of the access token: the resources asked for, else the website itself.

    A website may name only its own resources: otherwise it could act as the agent elsewhere. A
    native client belongs to no website and can name any known API. An agent that is its own client
    gets a token for this server alone; for other APIs it uses its client credentials.
    """
    if client.agent_id is not None:
        if set(resources) - {issuer}:
            raise Refusal(400, "invalid_target", "Use client_credentials for this resource")
        return (issuer,)
    origin = return_origin(redirect_uri)
    for resource in resources:
        is_own = is_within(resource, origin) or any(
            same_address(resource, own) for own in client.resources
        )
        if url_problem(resource) or not (is_own or resource in known):
            raise Refusal(400, "invalid_target", _TARGET[client.is_native(redirect_uri)])
    return tuple(dict.fromkeys(resources)) or (origin,)


# By whether the client is a native one.
_TARGET = {
    False: (
        "The website has not registered this resource (auth-agent client update CLIENT_ID "
        "--resource URL)"
    ),
    True: (
        "The resource is not registered here; an administrator can add it (auth-agent resource add)"
    ),
}


def _scope(client: Client, asked: str | None, known: Mapping[str, KnownResource]) -> str:
    """Leaves out what the client may not ask for (RFC 6749 section 3.3).

    Without a scope in the request, `openid` is meant, or all that a client without it may have.
    """
    allowed = set(client.scopes)
    if client.takes_api_scopes:
        allowed.update(word for api in known.values() for word in api.scopes)
    if asked is None:
        asked = "openid" if "openid" in allowed else " ".join(client.scopes)
    words = [word for word in dict.fromkeys(asked.split(" ")) if word in allowed]
    if not words:
        text = (
            "The client is registered for none of the scopes that it asks for (auth-agent client "
            "update CLIENT_ID --scope)"
        )
        raise Refusal(400, "invalid_scope", text)
    return " ".join(words)


def _check_prompt(prompts: Collection[str], scope: str) -> None:
    """Refuses `none` (OpenID Connect Core 3.1.2.1); every sign-in honours the other values."""
    if "none" in prompts:
        if len(prompts) > 1:
            raise _invalid("prompt=none excludes every other value")
        # No session could answer silently. Other mistakes have been reported before this one; the
        # scope is named for `auth-agent doctor`, because what was left out of it is no mistake.
        text = f"An agent has to answer this request (scope: {scope})"
        raise Refusal(400, "interaction_required", text)


def _bounded(parameters: Parameters, name: str, longest: int) -> str | None:
    value = parameters.get(name)
    if value is not None and len(value) > longest:
        raise _invalid(f"{name} is longer than {longest} characters")
    return value


def _check_challenge(challenge: str, method: str | None) -> None:
    if method != "S256" or not _CODE_CHALLENGE.fullmatch(challenge):
        raise _invalid(
            "PKCE is required: send code_challenge and code_challenge_method=S256; how to do "
            f"that with your library: {CLIENTS_PAGE}"
        )


def _invalid(description: str) -> Refusal:
    return Refusal(400, "invalid_request", description)
