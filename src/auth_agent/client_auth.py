"""How this website proves itself to the server (RFC 6749 2.3, RFC 7523)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote_plus

import msgspec

from auth_agent.errors import ServerMisbehaved
from auth_agent.metadata import Metadata
from auth_agent.private_key import load_key
from auth_agent.setting_checks import CLIENT_AUTH_METHODS
from auth_agent.settings import Settings
from auth_agent.wire import HttpRequest, form_request

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60


class Credentials(msgspec.Struct, frozen=True):
    """What one request to the server is authenticated with; `jti` is fresh for each."""

    settings: Settings
    metadata: Metadata
    now: float
    jti: str


def client_request(url: str, fields: Mapping[str, str], credentials: Credentials) -> HttpRequest:
    """A form for an endpoint of the server, authenticated by the method that was set or found."""
    settings = credentials.settings
    method = choose_method(settings, credentials.metadata)
    secret = settings.client_secret.reveal() if settings.client_secret else ""
    if method == "client_secret_basic":
        # 2.3.1 wants both form-urlencoded first, or a colon in one of them would move the border.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
        encoded = base64.b64encode(pair.encode()).decode("ascii")
        return form_request(url, fields, (("Authorization", f"Basic {encoded}"),))
    identity = {"client_id": settings.client_id}
    if method == "client_secret_post":
        identity["client_secret"] = secret
    if method == "private_key_jwt":
        identity["client_assertion_type"] = ASSERTION_TYPE
        identity["client_assertion"] = _assertion(credentials)
    return form_request(url, {**fields, **identity})


def choose_method(settings: Settings, metadata: Metadata) -> str:
    """What was set, else the strongest that both sides have; never `none` by itself."""
    if settings.client_auth is not None:
        return settings.client_auth
    at_hand = {
        "private_key_jwt": settings.client_key,
        "client_secret_basic": settings.client_secret,
        "client_secret_post": settings.client_secret,
    }
    for method, credential in at_hand.items():
        if credential is not None and method in metadata.auth_methods:
            return method
    raise ServerMisbehaved(
        "The server accepts no way of client authentication that this site has; "
        f"set AUTH_AGENT_CLIENT_AUTH to one of {', '.join(CLIENT_AUTH_METHODS)}.",
        code="client_auth_unsupported",
    )


def _assertion(credentials: Credentials) -> str:
    """RFC 7523 3: for a minute and for once. The audience is the issuer, which no endpoint is."""
    import jwt  # noqa: PLC0415  # 100 ms that the first request need not wait for

    settings, now = credentials.settings, int(credentials.now)
    if settings.client_key is None:
        raise ServerMisbehaved("private_key_jwt needs AUTH_AGENT_CLIENT_KEY.", code="key_missing")
    private = load_key(settings.client_key)
    claims = {
        "iss": settings.client_id,
        "sub": settings.client_id,
        "aud": settings.issuer,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
        "jti": credentials.jti,
    }
    return jwt.encode(claims, private.key, private.alg, headers={"kid": private.kid})
