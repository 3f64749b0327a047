"""Token introspection (RFC 7662): asks whether a token is still active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auth_agent.errors import ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse, json_object
from auth_agent.protocol.client_auth import Credentials, client_request


def introspection_request(token: str, hint: str, credentials: Credentials) -> HttpRequest | None:
    """Builds the request; None if the server has no such endpoint."""
    endpoint = credentials.metadata.introspection_endpoint
    if endpoint is None:
        return None
    return client_request(endpoint, {"token": token, "token_type_hint": hint}, credentials)


def parse_introspection(response: HttpResponse) -> Mapping[str, Any] | None:
    """Returns the claims of an active token, None for any other; null counts as absent.

    Raises `ServerUnavailable` if there is no usable answer.
    """
    if response.status != 200:
        raise ServerUnavailable(f"The introspection endpoint answered {response.status}.")
    document = json_object(response, "introspection response")
    if document.get("active") is not True:
        return None
    return {name: value for name, value in document.items() if value is not None}
