"""The OpenAPI document of the JSON endpoints, made from one table."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from auth_agent.extras import DISTRIBUTION
from auth_agent.server.context import Context
from auth_agent.server.web.call import Answer, Call, json_answer

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_WORDS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_FLAG: dict[str, Any] = {"type": "boolean"}
_ANY: dict[str, Any] = {}
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


_CLIENT = {"client_id?": _TEXT, "client_secret?": _TEXT}
_ASSERTION = {"client_assertion?": _TEXT, "client_assertion_type?": _TEXT}
_TOKEN_REQUEST = {
    "grant_type": {"enum": ["authorization_code", "refresh_token", "client_credentials"]},
    **{f"{name}?": _TEXT for name in ("code", "redirect_uri", "code_verifier", "refresh_token")},
    **{f"{name}?": _TEXT for name in ("scope", "resource", "model", "authorization_details")},
    **_CLIENT,
    **_ASSERTION,
}
_TOKEN = {"token": _TEXT, "token_type_hint?": _TEXT, **_CLIENT, **_ASSERTION}
_PUSHED = {
    **dict.fromkeys(("response_type", "redirect_uri", "code_challenge"), _TEXT),
    "code_challenge_method": {"enum": ["S256"]},
    **{f"{name}?": _TEXT for name in ("scope", "state", "nonce", "resource", "prompt", "max_age")},
    **{f"{name}?": _TEXT for name in ("acr_values", "authorization_details")},
    **_CLIENT,
    **_ASSERTION,
}
_CHALLENGE = {
    **dict.fromkeys(("challenge", "sig", "verify_ctx_id"), _TEXT),
    "expires": {"type": "integer"},
    "expected_origin?": _TEXT,
}
_AGENT = {
    **{f"{name}?": {"type": "string"} for name in ("name", "model")},
    **{f"{name}?": _WORDS for name in ("scopes", "permissions")},
    "require_origin?": _FLAG,
    "dpop_bound?": _FLAG,
    "email_verified?": _FLAG,
}
_METADATA = {
    "redirect_uris": {**_WORDS, "minItems": 1},
    **{f"{name}?": _TEXT for name in ("client_name", "scope", "jwks_uri")},
    **{f"{name}?": _WORDS for name in ("grant_types", "response_types")},
    **{f"{name}?": _TEXT for name in ("token_endpoint_auth_method", "backchannel_logout_uri")},
    "jwks?": _ANY,
}
_AUTHENTICATE = {
    **dict.fromkeys(("request_id", "agent_id"), _TEXT),
    **{f"{name}?": _TEXT for name in ("agent_secret", "agent_assertion")},
    **{f"{name}?": _TEXT for name in ("model", "expected_origin")},
}
_REGISTER = {
    **dict.fromkeys(("agent_id", "agent_secret", "owner_email"), _TEXT),
    **{f"{name}?": {"type": "string"} for name in ("model_name", "owner_name")},
}
_AGENT_AUTH = {
    **dict.fromkeys(("agent_id", "agent_secret", "client_id", "redirect_uri"), _TEXT),
    **dict.fromkeys(("code_challenge", "code_challenge_method"), _TEXT),
    **{f"{name}?": _TEXT for name in ("model_name", "state", "scope")},
}
_EVENT = {"event?": _TEXT, "events?": {"type": "array", "items": {"type": "object"}}}
_ADD_AGENT = {"email": _TEXT, "agent_id?": _TEXT, "public_key?": _TEXT, **_AGENT}
_ADD_AGENT |= {"signing_key?": _TEXT}
_EDIT_CLIENT = {
    "name?": _TEXT,
    **{f"{name}?": _WORDS for name in ("redirect_uris", "scopes", "resources")},
}
_AGENTS, _CLIENTS = "/api/admin/agents", "/api/admin/clients"
_SIGNING_KEYS = _AGENTS + "/{id}/signing-keys"

OPERATIONS = (
    Operation("POST", "/token", "Tokens for a code", "client", _TOKEN_REQUEST, is_form=True),
    Operation("POST", "/introspect", "RFC 7662", "client", _TOKEN, is_form=True),
    Operation("POST", "/revoke", "RFC 7009", "client", _TOKEN, is_form=True),
    Operation("POST", "/par", "RFC 9126", "client", _PUSHED, success=201, is_form=True),
    Operation("GET", "/userinfo", "Who the agent is", "access token"),
    Operation("POST", "/userinfo", "Who the agent is", "access token"),
    Operation("POST", "/oauth2/token", "As /token", "client", _TOKEN_REQUEST, is_form=True),
    Operation("GET", "/oauth2/userinfo", "As /userinfo", "access token"),
    Operation("POST", "/oauth2/userinfo", "As /userinfo", "access token"),
    Operation("POST", "/api/agent/authenticate", "The agent approves", "", _AUTHENTICATE),
    Operation(
        "POST",
        "/api/agent/verify-2fa",
        "The second factor",
        "",
        {
            "request_id": _TEXT,
            "code": _TEXT,
            "model?": _TEXT,
            "agent_id?": _TEXT,
            "agent_secret?": _TEXT,
            "agent_assertion?": _TEXT,
        },
    ),
    Operation("GET", "/api/check-status", "The browser's poll", "", query=("request_id",)),
    Operation("GET", "/api/auth-requests/{request_id}", "What is about to be approved"),
    Operation("POST", "/api/register-agent", "An agent registers", "", _REGISTER, success=201),
    Operation("POST", "/api/agent-auth", "An agent opens a request", "", _AGENT_AUTH),
    Operation("GET", "/api/agents/profile", "The agent's profile", "access token"),
    Operation(
        "PUT",
        "/api/agents/profile",
        "Changes the profile",
        "access token",
        {"owner_name?": {"type": "string"}, "model_name?": {"type": "string"}},
    ),
    Operation("POST", "/api/events", "What an agent did", "access token", _EVENT, success=202),
    Operation(
        "POST",
        "/api/verify/challenge",
        "Opens a verification",
        "access token",
        {"agent_id?": _TEXT, **_CLIENT, **_ASSERTION},
    ),
    Operation(
        "POST", "/api/verify/confirm", "The challenge comes back", "access token", _CHALLENGE
    ),
    Operation(
        "GET", "/api/verify/status", "Whether it did", "access token", query=("verify_ctx_id?",)
    ),
    Operation("POST", "/register", "RFC 7591", "registration token", _METADATA, success=201),
    Operation("GET", _AGENTS, "All agents", "administrator"),
    Operation("POST", _AGENTS, "Adds an agent", "administrator", _ADD_AGENT, success=201),
    Operation("GET", _AGENTS + "/{id}", "One agent", "administrator"),
    Operation(
        "PATCH", _AGENTS + "/{id}", "Changes it", "administrator", {"email?": _TEXT, **_AGENT}
    ),
    Operation("DELETE", _AGENTS + "/{id}", "Disables it for good", "administrator", success=204),
    Operation("GET", _SIGNING_KEYS, "The keys it signs requests with", "administrator"),
    Operation(
        "POST", _SIGNING_KEYS, "Adds one", "administrator", {"public_key": _TEXT}, success=201
    ),
    Operation(
        "DELETE", _SIGNING_KEYS + "/{kid}", "Removes one for good", "administrator", success=204
    ),
    Operation("GET", _CLIENTS, "All clients", "administrator"),
    Operation(
        "POST",
        _CLIENTS,
        "Adds a client",
        "administrator",
        {**_METADATA, "resources?": _WORDS},
        success=201,
    ),
    Operation("GET", _CLIENTS + "/{id}", "One client", "administrator"),
    Operation("PATCH", _CLIENTS + "/{id}", "Changes it", "administrator", _EDIT_CLIENT),
    Operation("DELETE", _CLIENTS + "/{id}", "Removes it for good", "administrator", success=204),
    Operation("GET", "/.well-known/oauth-authorization-server", "RFC 8414"),
    Operation("GET", "/.well-known/openid-configuration", "OpenID Connect Discovery"),
    Operation("GET", "/.well-known/jwks.json", "The signing keys"),
    Operation("GET", "/agents/{id}", "An agent's document: its keys, and it as a client"),
    Operation("GET", "/openapi.json", "This document"),
    Operation("GET", "/health", "The process answers"),
    Operation("GET", "/api/health", "The process answers"),
    Operation("GET", "/ready", "The database answers, too"),
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
    error = {"type": "object", "properties": {"error": _TEXT, "error_description": _TEXT}}
    schemes = {_scheme(name): scheme for name, scheme in _SCHEMES.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Auth Agent server", "version": version(DISTRIBUTION)},
        "servers": [{"url": issuer}],
        "paths": paths,
        "components": {"schemas": {"Error": error}, "securitySchemes": schemes},
    }


def _described(operation: Operation) -> dict[str, Any]:
    problem = {
        "description": "Refused",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    answer: dict[str, Any] = {"description": "Done"}
    if operation.success != 204:
        answer["content"] = {"application/json": {"schema": {"type": "object"}}}
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
        {"name": part[1:-1], "in": "path", "required": True, "schema": _TEXT}
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    for name in operation.query:
        required = not name.endswith("?")
        found.append(
            {"name": name.rstrip("?"), "in": "query", "required": required, "schema": _TEXT}
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
