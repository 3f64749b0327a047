"""Token revocation (RFC 7009)."""

from __future__ import annotations

from auth_agent.client_auth import client_request
from auth_agent.metadata import Metadata
from auth_agent.settings import Settings
from auth_agent.wire import HttpRequest


def revocation_request(
    endpoint: str, refresh_token: str, settings: Settings, metadata: Metadata
) -> HttpRequest:
    fields = {"token": refresh_token, "token_type_hint": "refresh_token"}
    return client_request(endpoint, fields, settings, metadata)
