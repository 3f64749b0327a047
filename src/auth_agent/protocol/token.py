"""The token endpoint: exchanges a code for tokens (RFC 6749 4.1.3, 5; RFC 7636 4.5)."""

from __future__ import annotations

import re

from auth_agent.errors import ServerMisbehaved, ServerUnavailable, SignInRefused
from auth_agent.flow.exchange import HttpRequest, HttpResponse, is_trouble, json_object
from auth_agent.protocol.client_auth import Credentials, client_request
from auth_agent.secret import Discreet

DEFAULT_SECONDS = 300

_ERROR_CODE = re.compile(r"[a-z_]{1,64}")


class Tokens(Discreet, frozen=True, kw_only=True):
    """The tokens of a sign-in; `scopes` is None if the server granted exactly those requested."""

    access_token: str
    id_token: str | None
    expires_in: int
    refresh_token: str | None
    scopes: tuple[str, ...] | None

    def __repr__(self) -> str:
        return "Tokens(**********)"


def code_request(
    code: str,
    verifier: str,
    credentials: Credentials,
    *,
    redirect_uri: str,
    resource: str | None = None,
) -> HttpRequest:
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    if resource is not None:
        fields["resource"] = resource
    return client_request(credentials.metadata.token_endpoint, fields, credentials)


def refresh_request(refresh_token: str, credentials: Credentials) -> HttpRequest:
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return client_request(credentials.metadata.token_endpoint, fields, credentials)


def parse_tokens(response: HttpResponse, *, needs_id_token: bool = True) -> Tokens:
    """Parses the tokens; raises `SignInRefused` for a refused grant, else `ServerUnavailable` or
    `ServerMisbehaved`.
    """
    if is_trouble(response):
        raise ServerUnavailable(
            "The Auth Agent server cannot issue tokens at the moment; sign in again in a few "
            "seconds."
        )
    if response.status != 200:
        raise _refusal(response)
    document = json_object(response, "token response")
    token_type = document.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":  # RFC 6749 5.1, 7.1
        raise ServerMisbehaved(
            "The server issued a token of another type than Bearer.",
            code="token_type_unsupported",
        )
    refresh, id_token = document.get("refresh_token"), document.get("id_token")
    if not isinstance(refresh, str | None):
        raise ServerMisbehaved("The token response is malformed.", code="token_response_invalid")
    return Tokens(
        access_token=_text(document.get("access_token"), "access_token"),
        id_token=_text(id_token, "id_token") if needs_id_token or id_token else None,
        expires_in=_seconds(document.get("expires_in")),
        refresh_token=refresh or None,
        scopes=_scopes(document.get("scope")),
    )


def _scopes(value: object) -> tuple[str, ...] | None:
    """Returns the granted scopes: text (RFC 6749 5.1) or a list of words; refuses other forms."""
    if value is None:
        return None
    words = value if isinstance(value, list) else value.split() if isinstance(value, str) else None
    if words is None or not all(isinstance(word, str) for word in words):
        raise ServerMisbehaved("The token response is malformed.", code="token_response_invalid")
    return tuple(part for word in words for part in word.split())


def _seconds(value: object) -> int:
    """Returns the lifetime; if it is missing (RFC 6749 5.1: RECOMMENDED), assumes the default."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return DEFAULT_SECONDS
    return int(min(value, 86_400))


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ServerMisbehaved(
            f"The token response contains no {name}. The original Auth Agent server sends no ID "
            "token; for such a server set AUTH_AGENT_IDENTITY=introspection.",
            code=f"{name}_missing",
        )
    return value


def _refusal(response: HttpResponse) -> SignInRefused | ServerMisbehaved:
    error = json_object(response, "token response").get("error")
    code = error if isinstance(error, str) and _ERROR_CODE.fullmatch(error) else "unknown_error"
    if code == "invalid_grant":
        return SignInRefused(
            "The server refused the code or refresh token: it has expired, was used before "
            "or was revoked.",
            code="invalid_grant",
        )
    if code == "invalid_client":
        return ServerMisbehaved(
            "The Auth Agent server did not accept this website's credentials; check "
            "AUTH_AGENT_CLIENT_ID, AUTH_AGENT_CLIENT_SECRET and AUTH_AGENT_CLIENT_AUTH.",
            code="invalid_client",
        )
    return ServerMisbehaved(
        f"The Auth Agent server refused to issue tokens ({code}).", code="token_refused"
    )
