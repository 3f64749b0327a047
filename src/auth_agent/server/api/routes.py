"""The addresses of the JSON API, and of what the server publishes about itself."""

from __future__ import annotations

from auth_agent.server.api import (
    admin,
    agent_documents,
    agents,
    discovery,
    metrics,
    registration,
    signing_keys,
    verification,
)
from auth_agent.server.api.openapi import document
from auth_agent.server.context import Context
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.web.route import Route

# RFC 8414 section 3.1 puts these names before the path of an issuer.
WELL_KNOWN = tuple(
    Route[Context](
        "GET", f"/.well-known/{name}", discovery.server_metadata, cors="any", is_quick=True
    )
    for name in ("oauth-authorization-server", "openid-configuration")
)

ROUTES: tuple[Route[Context], ...] = (
    *WELL_KNOWN,
    Route("GET", "/.well-known/jwks.json", discovery.jwks, cors="any", is_quick=True),
    Route("GET", "/agents/{id}", agent_documents.agent_document, cors="any", is_quick=True),
    Route("GET", "/health", discovery.health, is_quick=True),
    Route("GET", "/api/health", discovery.health, is_quick=True),
    Route("GET", "/ready", discovery.ready),
    Route("GET", "/metrics", metrics.metrics),
    Route("GET", "/openapi.json", document.openapi),
    Route("GET", "/static/{name}", discovery.static),
    Route("GET", "/", discovery.front_page),
    Route("GET", "/api/agents/profile", agents.profile),
    Route("PUT", "/api/agents/profile", agents.profile),
    Route("POST", "/api/events", agents.events),
    Route("POST", "/api/register-agent", registration.register_agent),
    Route("POST", "/register", registration.register_client, cors="any"),
    Route("GET", "/api/admin/agents", admin.agents),
    Route("POST", "/api/admin/agents", admin.agents),
    Route("GET", "/api/admin/agents/{id}", admin.agent),
    Route("PATCH", "/api/admin/agents/{id}", admin.agent),
    Route("DELETE", "/api/admin/agents/{id}", admin.agent),
    Route("GET", "/api/admin/agents/{id}/signing-keys", signing_keys.signing_keys),
    Route("POST", "/api/admin/agents/{id}/signing-keys", signing_keys.signing_keys),
    Route("DELETE", "/api/admin/agents/{id}/signing-keys/{kid}", signing_keys.signing_key),
    Route("GET", "/api/admin/clients", admin.clients),
    Route("POST", "/api/admin/clients", admin.clients),
    Route("GET", "/api/admin/clients/{id:path}", admin.client),
    Route("PATCH", "/api/admin/clients/{id:path}", admin.client),
    Route("DELETE", "/api/admin/clients/{id:path}", admin.client),
)

# Websites prove themselves there as at the token endpoint.
VERIFICATION: tuple[Route[OAuthServer], ...] = (
    Route("POST", "/api/verify/challenge", verification.challenge),
    Route("POST", "/api/verify/confirm", verification.confirm),
    Route("GET", "/api/verify/status", verification.status),
)
