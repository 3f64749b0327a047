"""How a website proves itself at the token, introspection and revocation endpoints.

Authlib's own functions do not decode Basic credentials as RFC 6749 section 2.3.1 demands and
tell an unknown client from a wrong secret; these take their places in its registry.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError

from .clients import Client
from .credentials import LONGEST_SECRET, is_too_long

if TYPE_CHECKING:
    from .oauth import OAuthServer

METHODS = ["client_secret_basic", "client_secret_post", "none"]
QueryClient = Callable[[str], Client | None]


class ClientProof:
    """The three methods, for one server."""

    def __init__(self, server: OAuthServer) -> None:
        self._server = server

    def register(self) -> None:
        register = self._server.register_client_auth_method
        register("client_secret_basic", self.basic)
        register("client_secret_post", self.post)
        register("none", self.none)

    def basic(self, _query_client: QueryClient, request: Any) -> Client | None:
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        client_id, secret = _decode_basic(credentials.strip())
        named = request.form.get("client_id", client_id)
        if "client_secret" in request.form or named != client_id:
            # RFC 6749 section 2.3: not more than one method in each request.
            raise InvalidRequestError("Send the client's credentials in one way only")
        return self._proven(request, client_id, secret)

    def post(self, _query_client: QueryClient, request: Any) -> Client | None:
        client_id, secret = request.form.get("client_id"), request.form.get("client_secret")
        if client_id is None or secret is None:
            return None
        return self._proven(request, client_id, secret)

    def none(self, query_client: QueryClient, request: Any) -> Client | None:
        """A public client, which PKCE protects instead of a secret."""
        client_id = request.form.get("client_id")
        client = None if client_id is None else query_client(client_id)
        return client if client is not None and client.is_public else None

    def _proven(self, request: Any, client_id: str, secret: str) -> Client:
        if is_too_long(secret):
            raise invalid_client(f"The client secret is longer than {LONGEST_SECRET} bytes")
        client = self._server.query_client(client_id)
        stored = None if client is None else client.secret_hash
        verifier, limits = self._server.context.verifier, self._server.context.limits
        # Whoever was let in a moment ago is not stopped by the guesses of others beside him.
        if not verifier.recognises(stored, secret):
            limits.refuse_if_spent("client_failures", client_id, request.party)
            if not verifier.verify(stored, secret):
                limits.count("client_failures", client_id, request.party)
                raise invalid_client("Unknown client or wrong secret")
        assert client is not None  # noqa: S101  (a missing hash is never verified)
        return client


def invalid_client(description: str) -> Exception:
    error: Exception = InvalidClientError(description, status_code=401)
    return error


def _decode_basic(credentials: str) -> tuple[str, str]:
    """RFC 6749 section 2.3.1: both halves are form-urlencoded before they are joined."""
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
