"""Client authentication at the token, introspection and revocation endpoints.

These functions replace Authlib's own in its registry, which do not decode Basic credentials as
RFC 6749 section 2.3.1 demands, and tell an unknown client from a wrong secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, OAuth2Error

from auth_agent.server.oauth.clients.keys import ClientKeys
from auth_agent.server.oauth.server import OAuthRequest, OAuthServer
from auth_agent.server.registry.clients import Client
from auth_agent.server.security.assertions import (
    JWT_BEARER,
    BadAssertion,
    claimed_subject,
    header_of,
)
from auth_agent.server.security.credentials import LONGEST_SECRET, is_too_long
from auth_agent.server.sign_in.parties import find_client
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Call, Refusal
from auth_agent.server.web.parameters import Parameters

METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
PUSHED = "pushed request"  # the word of /par in the audit
_PROOFS = ("client_secret", "client_assertion")
QueryClient = Callable[[str], Client | None]


class ClientProof:
    """The four methods, for one server."""

    def __init__(self, server: OAuthServer, keys: ClientKeys) -> None:
        self._server = server
        self._keys = keys

    def register(self) -> None:
        register = self._server.register_client_auth_method
        register("client_secret_basic", self.basic)
        register("client_secret_post", self.post)
        register("private_key_jwt", self.private_key_jwt)
        register("none", self.none)

    def basic(self, _query_client: QueryClient, request: Any) -> Client | None:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        client_id, secret = _decode_basic(credentials.strip())
        named = request.form.get("client_id", client_id)
        if named != client_id or not {*request.form}.isdisjoint(_PROOFS):
            raise _in_two_ways()
        return self._proven(request, client_id, secret)

    def post(self, _query_client: QueryClient, request: Any) -> Client | None:
        client_id, secret = request.form.get("client_id"), request.form.get("client_secret")
        if client_id is None or secret is None:
            return None
        if "client_assertion" in request.form:
            raise _in_two_ways()
        return self._proven(request, client_id, secret)

    def private_key_jwt(self, _query_client: QueryClient, request: Any) -> Client | None:
        """Authenticates a client by an assertion that its key has signed (RFC 7523 section 2.2)."""
        assertion = request.form.get("client_assertion")
        if assertion is None or request.form.get("client_assertion_type") != JWT_BEARER:
            return None
        context, subject = self._server.context, claimed_subject(assertion)
        named = request.form.get("client_id", subject)
        if "client_secret" in request.form or (subject is not None and named != subject):
            raise _in_two_ways()
        context, request.claimed = self._server.context, subject
        client = None if subject is None else self._find(subject, request)
        try:
            self._check(assertion, client, subject or "")
        except BadAssertion as error:
            or_wait()  # to count and to record it
            again = None if client is None else context.documents.read_again(client)
            try:
                if again is None or again.jwks == client.jwks:  # type: ignore[union-attr]
                    raise error from None
                # Its document has other keys now.
                self._check(assertion, again, subject or "")
            except BadAssertion as last:
                # A signature cannot be guessed, so a right one is never refused for the wrong ones.
                context.limits.take("client_failures", subject or "", request.party)
                raise invalid_client(str(last)) from None
            return again
        return client

    def _check(self, assertion: str, client: Client | None, subject: str) -> None:
        """Raises `BadAssertion` unless a key of this client has signed it, for this server."""
        context = self._server.context
        issuer, keys = context.settings.issuer, []
        also_for: tuple[str, ...] = ()
        if client is not None:
            keys = self._keys.of(client, header_of(assertion).get("kid"))
            if not client.strict_audience:
                # What most libraries name; another server could have asked for such an assertion.
                also_for = (f"{issuer}/token", f"{issuer}/oauth2/token")
        context.assertions.check(assertion, keys, subject, also_for)

    def none(self, _query_client: QueryClient, request: Any) -> Client | None:
        """Accepts a public client, which PKCE protects instead of a secret."""
        client_id = request.form.get("client_id")
        if request.headers.get("authorization") or not {*request.form}.isdisjoint(_PROOFS):
            return None
        client = None if client_id is None else self._find(client_id, request)
        return client if client is not None and client.is_public else None

    def _find(self, client_id: str, request: Any) -> Client | None:
        """Returns the client; at /par a document is one before an agent has approved it."""
        if request.kind == PUSHED:
            return find_client(self._server.context, client_id, party=request.party)
        client: Client | None = self._server.query_client(client_id)
        return client

    def _proven(self, request: Any, client_id: str, secret: str) -> Client:
        request.claimed = client_id
        if is_too_long(secret):
            raise invalid_client(f"The client secret is longer than {LONGEST_SECRET} bytes")
        client = self._server.query_client(client_id)
        stored = None if client is None else client.secret_hash
        guesses = self._server.context.guesses
        if not guesses.proves("client_failures", client_id, request.party, stored, secret):
            raise invalid_client("Unknown client or wrong secret")
        assert client is not None  # noqa: S101  (a missing hash is never verified)
        return client


def need_website(server: OAuthServer, call: Call, parameters: Parameters) -> Client:
    """Returns the confidential client that calls; Refusal 401 unless it proves itself."""
    return need_client(server, call, parameters, kind="verification", methods=METHODS[:3])


def need_client(
    server: OAuthServer, call: Call, parameters: Parameters, *, kind: str, methods: list[str]
) -> Client:
    """Returns the client that calls; Refusal unless it proves itself as at the token endpoint."""
    client: Client = prove_client(server, call, parameters, kind=kind, methods=methods).client
    return client


def prove_client(
    server: OAuthServer, call: Call, parameters: Parameters, *, kind: str, methods: list[str]
) -> OAuthRequest:
    """Returns the request with its client and `auth_method`; Refusal as `need_client`."""
    issuer = server.context.settings.issuer
    request = OAuthRequest(issuer, call, parameters, kind)
    try:
        request.client = server.authenticate_client(request, methods)
    except OAuth2Error as error:
        if error.error == "invalid_request":  # credentials in two ways
            raise Refusal(400, error.error, error.description or "") from None
        challenge = (("www-authenticate", f'Basic realm="{issuer}"'),)
        raise Refusal(401, "invalid_client", error.description or "", challenge) from None
    return request


def invalid_client(description: str) -> Exception:
    error: Exception = InvalidClientError(description, status_code=401)
    return error


def _in_two_ways() -> Exception:
    """Finds more than one method in a request, which RFC 6749 section 2.3 forbids."""
    error: Exception = InvalidRequestError("Send the client's credentials in one way only")
    return error


def _decode_basic(credentials: str) -> tuple[str, str]:
    """Decodes both halves, which are form-urlencoded one by one (RFC 6749 section 2.3.1)."""
    try:
        client_id, colon, secret = (
            base64.b64decode(credentials, validate=True).decode().partition(":")
        )
        decoded = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, ValueError):
        raise invalid_client("The Authorization header is not valid Basic authentication") from None
    if not colon or "\0" in decoded[0] or "\0" in decoded[1]:
        raise invalid_client("The Authorization header is not valid Basic authentication")
    return decoded
