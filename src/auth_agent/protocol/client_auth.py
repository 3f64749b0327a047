"""The website's authentication at the server (RFC 6749 2.3, RFC 7523)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote_plus

import msgspec

from auth_agent.errors import ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, form_request
from auth_agent.protocol.jose.private_key import load_key
from auth_agent.protocol.metadata import Metadata
from auth_agent.secret import Discreet, Secret

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
METHODS = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
ClientAuth = Literal["private_key_jwt", "client_secret_basic", "client_secret_post", "none"]


class Client(Discreet, frozen=True, kw_only=True):
    """The website's client id at its server, and its secret or key."""

    id: str
    issuer: str
    secret: Secret | None = None
    key: Secret | None = None
    method: ClientAuth | None = None

    def __repr__(self) -> str:
        return f"Client({self.id!r})"


class Credentials(msgspec.Struct, frozen=True):
    """The credentials for one request to the server; `jti` is fresh for each."""

    client: Client
    metadata: Metadata
    now: float
    jti: str


def client_request(url: str, fields: Mapping[str, str], credentials: Credentials) -> HttpRequest:
    """Builds a form for an endpoint of the server, authenticated by the chosen method."""
    client = credentials.client
    method = choose_method(client, credentials.metadata)
    secret = client.secret.reveal() if client.secret else ""
    if method == "client_secret_basic":
        # 2.3.1 requires form-urlencoding of both, or a colon in one of them would move the border.
        pair = f"{quote_plus(client.id)}:{quote_plus(secret)}"
        encoded = base64.b64encode(pair.encode()).decode("ascii")
        return form_request(url, fields, (("Authorization", f"Basic {encoded}"),))
    identity = {"client_id": client.id}
    if method == "client_secret_post":
        identity["client_secret"] = secret
    if method == "private_key_jwt":
        identity["client_assertion_type"] = ASSERTION_TYPE
        identity["client_assertion"] = _assertion(credentials)
    return form_request(url, {**fields, **identity})


def choose_method(client: Client, metadata: Metadata) -> str:
    """Returns the configured method, else the strongest that both sides have, except `none`."""
    if client.method is not None:
        return client.method
    at_hand = {
        "private_key_jwt": client.key,
        "client_secret_basic": client.secret,
        "client_secret_post": client.secret,
    }
    for method, credential in at_hand.items():
        if credential is not None and method in metadata.auth_methods:
            return method
    raise ServerMisbehaved(
        "The server's metadata lists no client authentication method that this website has "
        "credentials for. Set AUTH_AGENT_CLIENT_SECRET or AUTH_AGENT_CLIENT_KEY, whichever the "
        "server supports: `auth-agent doctor` shows its methods.",
        code="client_auth_unsupported",
    )


def _assertion(credentials: Credentials) -> str:
    """Builds an assertion (RFC 7523 3), single-use, for a minute; its audience is the issuer."""
    import jwt  # noqa: PLC0415  # 100 ms that the first request need not wait for

    client, now = credentials.client, int(credentials.now)
    if client.key is None:
        raise ServerMisbehaved("private_key_jwt needs AUTH_AGENT_CLIENT_KEY.", code="key_missing")
    private = load_key(client.key)
    claims = {
        "iss": client.id,
        "sub": client.id,
        "aud": client.issuer,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
        "jti": credentials.jti,
    }
    return jwt.encode(claims, private.key, private.alg, headers={"kid": private.kid})
