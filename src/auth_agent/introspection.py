"""Token introspection (RFC 7662): does the server still call this token active?"""

from __future__ import annotations

from auth_agent.client_auth import client_request
from auth_agent.errors import ServerUnavailable
from auth_agent.metadata import Metadata
from auth_agent.settings import Settings
from auth_agent.wire import HttpRequest, HttpResponse, json_object


def introspection_request(
    endpoint: str, token: str, hint: str, settings: Settings, metadata: Metadata
) -> HttpRequest:
    fields = {"token": token, "token_type_hint": hint}
    return client_request(endpoint, fields, settings, metadata)


def parse_active(response: HttpResponse) -> bool:
    """Raises `ServerUnavailable` where there is no answer to rely on."""
    if response.status != 200:
        raise ServerUnavailable(f"The introspection endpoint answered {response.status}.")
    return json_object(response, "introspection response").get("active") is True
