"""How this website proves itself to the server (RFC 6749 2.3)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote_plus

from auth_agent.errors import ServerMisbehaved
from auth_agent.metadata import Metadata
from auth_agent.settings import CLIENT_AUTH_METHODS, Settings
from auth_agent.wire import HttpRequest, form_request


def client_request(
    url: str, fields: Mapping[str, str], settings: Settings, metadata: Metadata
) -> HttpRequest:
    """A form for an endpoint of the server, authenticated by the method that was set or found."""
    method = choose_method(settings, metadata)
    secret = settings.client_secret.reveal() if settings.client_secret else ""
    if method == "client_secret_basic":
        # 2.3.1 wants both form-urlencoded first, or a colon in one of them would move the border.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
        credentials = base64.b64encode(pair.encode()).decode("ascii")
        return form_request(url, fields, (("Authorization", f"Basic {credentials}"),))
    identity = {"client_id": settings.client_id}
    if method == "client_secret_post":
        identity["client_secret"] = secret
    return form_request(url, {**fields, **identity})


def choose_method(settings: Settings, metadata: Metadata) -> str:
    if settings.client_auth is not None:
        return settings.client_auth
    usable = [name for name in CLIENT_AUTH_METHODS if name != "none"]
    for method in usable:
        if method in metadata.auth_methods:
            return method
    raise ServerMisbehaved(
        "The server accepts no way of client authentication that this site has; "
        f"set AUTH_AGENT_CLIENT_AUTH to one of {', '.join(CLIENT_AUTH_METHODS)}.",
        code="client_auth_unsupported",
    )
