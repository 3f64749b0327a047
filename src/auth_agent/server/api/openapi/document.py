"""The OpenAPI document of the JSON endpoints, made from one table."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from auth_agent.extras import DISTRIBUTION
from auth_agent.server.api.openapi.answers import ANSWERS, schemas
from auth_agent.server.api.openapi.bodies import (
    ADD_AGENT,
    AGENT,
    AGENT_AUTH,
    ASSERTION,
    AUTHENTICATE,
    BACKCHANNEL,
    CHALLENGE,
    CLIENT,
    EDIT_CLIENT,
    EVENT,
    METADATA,
    PUSHED,
    REGISTER,
    TEXT,
    TOKEN,
    TOKEN_REQUEST,
    WORDS,
)
from auth_agent.server.context import Context
from auth_agent.server.web.call import Answer, Call, json_answer

_PUBLIC = (("cache-control", "public, max-age=300"),)


class Operation(NamedTuple):
    """One method at one address; a name in `body` that ends with `?` may be left out."""

    method: str
    path: str
    summary: str
    secured_by: str = ""
    body: Mapping[str, Any] = {}
    query: tuple[str, ...] = ()
    success: int = 200
    is_form: bool = False


_AGENTS, _CLIENTS = "/api/admin/agents", "/api/admin/clients"
_SIGNING_KEYS = _AGENTS + "/{id}/signing-keys"

OPERATIONS = (
    Operation(
        "POST",
        "/token",
        "Issues tokens for a code, a refresh token or an agent",
        "client",
        TOKEN_REQUEST,
        is_form=True,
    ),
    Operation(
        "POST", "/introspect", "Says whether a token is active", "client", TOKEN, is_form=True
    ),
    Operation("POST", "/revoke", "Revokes a token", "client", TOKEN, is_form=True),
    Operation(
        "POST", "/bc-authorize", "Asks an agent's owner (CIBA)", "client", BACKCHANNEL, is_form=True
    ),
    Operation(
        "POST",
        "/par",
        "Takes a pushed authorization request",
        "client",
        PUSHED,
        success=201,
        is_form=True,
    ),
    Operation("GET", "/userinfo", "Returns the agent's claims", "access token"),
    Operation("POST", "/userinfo", "Returns the agent's claims", "access token"),
    Operation("POST", "/oauth2/token", "The same as /token", "client", TOKEN_REQUEST, is_form=True),
    Operation("GET", "/oauth2/userinfo", "The same as /userinfo", "access token"),
    Operation("POST", "/oauth2/userinfo", "The same as /userinfo", "access token"),
    Operation("POST", "/api/agent/authenticate", "The agent approves a sign-in", "", AUTHENTICATE),
    Operation(
        "POST",
        "/api/agent/verify-2fa",
        "Checks the code of the second factor",
        "",
        {
            "request_id": TEXT,
            "code": TEXT,
            "model?": TEXT,
            "agent_id?": TEXT,
            "agent_secret?": TEXT,
            "agent_assertion?": TEXT,
        },
    ),
    Operation(
        "GET", "/api/check-status", "Returns the state of a sign-in", "", query=("request_id",)
    ),
    Operation("GET", "/api/auth-requests/{request_id}", "Returns what a sign-in asks for"),
    Operation("POST", "/api/register-agent", "Registers an agent", "", REGISTER, success=201),
    Operation("POST", "/api/agent-auth", "Starts a sign-in for an agent", "", AGENT_AUTH),
    Operation("GET", "/api/agents/profile", "Returns the agent's profile", "access token"),
    Operation(
        "PUT",
        "/api/agents/profile",
        "Changes the profile",
        "access token",
        {"owner_name?": {"type": "string"}, "model_name?": {"type": "string"}},
    ),
    Operation(
        "POST", "/api/events", "Records what an agent did", "access token", EVENT, success=202
    ),
    Operation(
        "POST",
        "/api/verify/challenge",
        "Starts a verification",
        "access token",
        {"agent_id?": TEXT, **CLIENT, **ASSERTION},
    ),
    Operation("POST", "/api/verify/confirm", "Confirms a challenge", "access token", CHALLENGE),
    Operation(
        "GET",
        "/api/verify/status",
        "Returns the state of a verification",
        "access token",
        query=("verify_ctx_id?",),
    ),
    Operation(
        "POST",
        "/register",
        "Registers a client (RFC 7591)",
        "registration token",
        METADATA,
        success=201,
    ),
    Operation("GET", _AGENTS, "Lists the agents", "administrator"),
    Operation("POST", _AGENTS, "Adds an agent", "administrator", ADD_AGENT, success=201),
    Operation("GET", _AGENTS + "/{id}", "Returns an agent", "administrator"),
    Operation(
        "PATCH", _AGENTS + "/{id}", "Changes an agent", "administrator", {"email?": TEXT, **AGENT}
    ),
    Operation("DELETE", _AGENTS + "/{id}", "Disables an agent", "administrator", success=204),
    Operation("GET", _SIGNING_KEYS, "Lists an agent's signing keys", "administrator"),
    Operation(
        "POST",
        _SIGNING_KEYS,
        "Adds a signing key",
        "administrator",
        {"public_key": TEXT},
        success=201,
    ),
    Operation(
        "DELETE",
        _SIGNING_KEYS + "/{kid}",
        "Removes a signing key for good",
        "administrator",
        success=204,
    ),
    Operation("GET", _CLIENTS, "Lists the clients", "administrator"),
    Operation(
        "POST",
        _CLIENTS,
        "Adds a client",
        "administrator",
        {**METADATA, "resources?": WORDS},
        success=201,
    ),
    Operation("GET", _CLIENTS + "/{id}", "Returns a client", "administrator"),
    Operation("PATCH", _CLIENTS + "/{id}", "Changes a client", "administrator", EDIT_CLIENT),
    Operation(
        "DELETE", _CLIENTS + "/{id}", "Removes a client for good", "administrator", success=204
    ),
    Operation(
        "GET", "/.well-known/oauth-authorization-server", "Metadata of the server (RFC 8414)"
    ),
    Operation(
        "GET", "/.well-known/openid-configuration", "Metadata of the server (OpenID Connect)"
    ),
    Operation("GET", "/.well-known/jwks.json", "The public keys of the server"),
    Operation("GET", "/agents/{id}", "An agent's keys and client metadata"),
    Operation("GET", "/openapi.json", "This document"),
    Operation("GET", "/health", "Says that the process runs"),
    Operation("GET", "/api/health", "Says that the process runs"),
    Operation("GET", "/ready", "Says that the database answers"),
)
_SCHEMES = {
    "client": {"type": "http", "scheme": "basic"},
    "access token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "registration token": {"type": "http", "scheme": "bearer"},
    "administrator": {"type": "http", "scheme": "bearer"},
}


def openapi(context: Context, call: Call) -> Answer:  # noqa: ARG001
    """GET /openapi.json."""
    return json_answer(document(context.settings.issuer), headers=_PUBLIC)


def document(issuer: str) -> dict[str, Any]:
    """Returns the description of the API, as OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    error = {"type": "object", "properties": {"error": TEXT, "error_description": TEXT}}
    schemes = {_scheme(name): scheme for name, scheme in _SCHEMES.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Auth Agent server", "version": version(DISTRIBUTION)},
        "servers": [{"url": issuer}],
        "paths": paths,
        "components": {"schemas": {"Error": error, **schemas()}, "securitySchemes": schemes},
    }


def _described(operation: Operation) -> dict[str, Any]:
    problem = {
        "description": "Refused",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    answer: dict[str, Any] = {"description": "Done"}
    if operation.success != 204:
        name = ANSWERS[operation.method, operation.path]
        schema = {"$ref": f"#/components/schemas/{name}"}
        answer["content"] = {"application/json": {"schema": schema}}
    found: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": f"{operation.method} {operation.path}",
        "responses": {str(operation.success): answer, "4XX": problem},
    }
    if parameters := _parameters(operation):
        found["parameters"] = parameters
    if operation.secured_by:
        found["security"] = [{_scheme(operation.secured_by): []}]
    if operation.body:
        found["requestBody"] = {"required": True, "content": _content(operation)}
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": TEXT}
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    for name in operation.query:
        required = not name.endswith("?")
        found.append(
            {"name": name.rstrip("?"), "in": "query", "required": required, "schema": TEXT}
        )
    return found


def _content(operation: Operation) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name.rstrip("?"): kind for name, kind in operation.body.items()},
        "required": [name for name in operation.body if not name.endswith("?")],
    }
    kinds = ["application/x-www-form-urlencoded"] * operation.is_form + ["application/json"]
    return {kind: {"schema": schema} for kind in kinds}


def _scheme(name: str) -> str:
    return name.replace(" ", "_")
