"""Checks of the website's registration: its credentials, its redirect URI, its scopes.

Sends requests without lasting effect: about a token that does not exist, and for a sign-in that may
show nothing (`prompt=none`). A wrong secret is sent only once, since servers count.
"""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import parse_qsl, urlsplit

import msgspec

from auth_agent.doctor.finding import Finding, failure, in_words, note, ok, plain, warning
from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow, send
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.protocol.client_auth import choose_method
from auth_agent.protocol.introspection import introspection_request
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.metadata import Metadata
from auth_agent.protocol.token import refresh_request
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Site
from auth_agent.website.sign_in.login import authorization_url
from auth_agent.website.sign_in.transaction import Transaction

# OpenID Connect Core 3.1.2.6: the request was good, and an agent would have had to answer it.
_WELL = (
    *("interaction_required", "login_required", "consent_required"),
    "account_selection_required",
)


def examine_client(site: Site, metadata: Metadata) -> Flow[list[Finding]]:
    """Checks both together, because a server answers vaguely about an unknown client."""
    try:
        method = choose_method(site.settings.client, metadata)
    except AuthError:
        registration = yield from _examine_registration(site, metadata, is_known=False)
        return [_no_method(site.settings, metadata), registration]
    credentials, is_known = None, None
    try:
        is_known = yield from _is_known(site, metadata, method)
    except AuthError as error:
        credentials = _unreachable(metadata, in_words(error))
    registration = yield from _examine_registration(site, metadata, is_known=is_known is True)
    if credentials is None:
        named = registration.check == "client.redirect_uri" and registration.level == "ok"
        credentials = _judge_credentials(site.settings, metadata, method, is_known, named=named)
    return [credentials, registration]


def _judge_credentials(
    settings: Settings, metadata: Metadata, method: str, is_known: bool | None, *, named: bool
) -> Finding:
    """Checks the credentials; `named` tells whether the server knows the client id."""
    if is_known is None:
        return note(
            "client.unclear",
            "The server's answer does not show whether it knows this website.",
            "Try a sign-in; if it fails, look into the server's log.",
        )
    is_promised = method in metadata.auth_methods
    if not is_known:
        return _refused(settings, method, named) if is_promised else _unsupported(method, metadata)
    if not is_promised:
        message = (
            f"The server accepts this website's credentials ({method}), but its metadata does not "
            "list this method."
        )
        return note("client.known", message, "Correct the server's metadata.")
    return ok("client.known", f"The server accepts this website's credentials ({method}).")


def _unreachable(metadata: Metadata, why: str) -> Finding:
    return failure(
        "client.token_endpoint",
        f"The server's token endpoint {plain(metadata.token_endpoint)} cannot be used: {why}.",
        "Make it reachable from this machine: the website redeems codes there.",
    )


def _is_known(site: Site, metadata: Metadata, method: str) -> Flow[bool | None]:
    """Returns whether the server knows the client; None if the answer is ambiguous."""
    token = encode(site.random(16))
    asked = introspection_request(token, "access_token", site.credentials(metadata))
    if asked is not None and method != "none":  # RFC 7662 2.1: introspection needs authentication
        with suppress(AuthError):  # codes are redeemed elsewhere
            response = yield from send(asked)
            if response.status == 200 or _error(response) == "invalid_client":
                return response.status == 200
    response = yield from send(refresh_request(token, site.credentials(metadata)))
    return {"invalid_client": False, "invalid_grant": True}.get(_error(response))


def _error(response: HttpResponse) -> str:
    """Returns the OAuth error of an answer (RFC 6749 5.2), or ""."""
    try:
        error = msgspec.json.decode(response.body, type=dict[str, object]).get("error")
    except ValueError:
        return ""
    return error if isinstance(error, str) else ""


def _no_method(settings: Settings, metadata: Metadata) -> Finding:
    has = "a key" if settings.client_key is not None else "a client secret"
    return failure(
        "client.auth_unsupported",
        f"This website has {has}, and the server supports only "
        f"{plain(', '.join(metadata.auth_methods))}.",
        "Give the website what the server supports: AUTH_AGENT_CLIENT_SECRET for "
        "client_secret_basic or client_secret_post, AUTH_AGENT_CLIENT_KEY for private_key_jwt, "
        "or AUTH_AGENT_CLIENT_AUTH=none for a public client.",
    )


def _unsupported(method: str, metadata: Metadata) -> Finding:
    theirs = plain(", ".join(metadata.auth_methods))
    return failure(
        "client.auth_unsupported",
        f"AUTH_AGENT_CLIENT_AUTH is {method}; the server supports {theirs} and refuses this "
        "website.",
        "Remove AUTH_AGENT_CLIENT_AUTH: the website then chooses a method that both sides support.",
    )


def _refused(settings: Settings, method: str, named: bool) -> Finding:
    client = plain(settings.client_id)
    if method == "none":
        what, remedy = "as a public client", "register it with `auth-agent client add … --public`"
    elif method == "private_key_jwt":
        what = "by the key that is set"
        remedy = "register its public half with `auth-agent client add … --jwks FILE`"
    else:
        what = "with the secret that is set"
        remedy = (
            "correct AUTH_AGENT_CLIENT_SECRET; if it is lost, `auth-agent client rotate-secret "
            "ID` makes a new one, and the old one stops working immediately"
        )
    if named:
        message = f"The server knows the client {client}, but not {what}."
        return failure("client.refused", message, f"{remedy[:1].upper()}{remedy[1:]}.")
    message = f"The server does not know the client {client} {what}."
    return failure("client.refused", message, f"Correct AUTH_AGENT_CLIENT_ID, or {remedy}.")


def _examine_registration(site: Site, metadata: Metadata, *, is_known: bool) -> Flow[Finding]:
    """Checks the redirect URI: a server redirects only to registered ones (RFC 6749 4.1.2.1)."""
    state, nonce, verifier = (encode(site.random(32)) for _ in range(3))
    begun = Transaction(state=state, nonce=nonce, verifier=verifier, next="/", cookie_name="")
    try:
        url = authorization_url(begun, site.settings, metadata)
        response = yield from send(HttpRequest("GET", f"{url}&prompt=none"))
    except AuthError as error:
        return warning(
            "client.redirect_uri_unclear",
            f"The server's authorization endpoint cannot be reached: {in_words(error)}.",
            "Agents sign in there: make it reachable for them.",
        )
    return judge_registration(response, site.settings, is_known=is_known)


def _no_scope(settings: Settings, missing: str) -> Finding:
    kept = " ".join(s for s in settings.scope.split() if s not in missing.split())
    return warning(
        "client.scope_narrowed",
        f"The server leaves {plain(missing)} out of this website's sign-ins: the client is not "
        "registered for it.",
        "Register it with the client (`auth-agent client add … --scope`, or in the console), or "
        f"write AUTH_AGENT_SCOPE={plain(kept)!r}.",
    )


def judge_registration(response: HttpResponse, settings: Settings, *, is_known: bool) -> Finding:
    """Reads the website's registration from the answer to a sign-in without interaction."""
    location = response.headers.get("location", "")
    if 300 <= response.status < 400 and location.partition("?")[0] == settings.redirect_uri:
        return _judge_answer(dict(parse_qsl(urlsplit(location).query)), settings)
    if response.status not in (400, 401, 403):
        return note(
            "client.redirect_uri_unclear",
            f"The server's answer does not show whether {settings.redirect_uri} is registered: "
            f"it answers {response.status} to a request with prompt=none.",
            "Compare it with the redirect URIs that are registered at the server, or try a "
            "sign-in.",
        )
    known = "knows this website, but not" if is_known else "does not accept the client id with"
    return failure(
        "client.redirect_uri",
        f"The server {known} the redirect URI {settings.redirect_uri}.",
        "Register exactly this URI at the "
        f"server{'' if is_known else ', and check AUTH_AGENT_CLIENT_ID'}; or correct "
        "AUTH_AGENT_BASE_URL and AUTH_AGENT_PREFIX, from which it is built.",
    )


# RFC 6749 3.3 lets a server grant less than was asked for; ours says so in its description.
_GRANTED = re.compile(r"\(scope: (.{1,1000})\)$")


def _judge_answer(answer: dict[str, str], settings: Settings) -> Finding:
    error = answer.get("error", "")
    granted = _GRANTED.search(answer.get("error_description", ""))
    if error in _WELL and granted:
        kept = granted[1].split()
        if missing := [scope for scope in settings.scope.split() if scope not in kept]:
            return _no_scope(settings, " ".join(missing))
    if error in _WELL or not error:
        return ok("client.redirect_uri", f"{settings.redirect_uri} is registered at the server.")
    if error == "invalid_scope":
        return failure(
            "client.scope",
            f"The server does not give this website all that AUTH_AGENT_SCOPE asks for: "
            f"{settings.scope}.",
            "Register the missing scope with the client (`auth-agent client add … --scope`), or "
            "remove it from AUTH_AGENT_SCOPE.",
        )
    if error == "invalid_target":
        return failure(
            "client.audience",
            f"AUTH_AGENT_AUDIENCE is {settings.audience}, which the server does not know as this "
            "website's.",
            "Register it with the client (`auth-agent client add … --resource`), or remove "
            "AUTH_AGENT_AUDIENCE.",
        )
    return warning(
        "client.sign_in_refused",
        f"The redirect URI is registered, but the server would refuse a sign-in: {plain(error)}.",
        "Check how the client is registered at the server, and look into the server's log.",
    )
