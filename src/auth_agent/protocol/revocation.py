"""Token revocation (RFC 7009)."""

from __future__ import annotations

from auth_agent.flow.exchange import HttpRequest
from auth_agent.protocol.client_auth import Credentials, client_request


def revocation_request(refresh_token: str, credentials: Credentials) -> HttpRequest | None:
    """Builds the request; None if the server has no such endpoint."""
    endpoint = credentials.metadata.revocation_endpoint
    if endpoint is None:
        return None
    fields = {"token": refresh_token, "token_type_hint": "refresh_token"}
    return client_request(endpoint, fields, credentials)
