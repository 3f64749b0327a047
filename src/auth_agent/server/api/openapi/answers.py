"""The shapes of the JSON answers, for the OpenAPI document; a name ending in `?` may be absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE: dict[str, Any] = {"type": ["string", "null"]}
_WORDS: dict[str, Any] = {"type": "array", "items": _TEXT}
_NUMBER: dict[str, Any] = {"type": "integer"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_THING: dict[str, Any] = {"type": "object"}
_THINGS: dict[str, Any] = {"type": "array", "items": _THING}
_ONE_OR_MORE: dict[str, Any] = {"type": ["string", "array"], "items": _TEXT}


def _list_of(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


_ABOUT_AGENT = {
    **dict.fromkeys(("agent_id", "model?", "model_name?", "name?", "email?"), _TEXT),
    "email_verified?": _FLAG,
    "permissions?": _WORDS,
}
_OWNER = {"acr?": _TEXT, "amr?": _WORDS, "authorization_details?": _THINGS}

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "Tokens": {
        **dict.fromkeys(("access_token", "token_type", "scope"), _TEXT),
        "expires_in": _NUMBER,
        **dict.fromkeys(("refresh_token?", "id_token?"), _TEXT),
        "authorization_details?": _THINGS,
    },
    "Introspection": {
        "active": _FLAG,
        **dict.fromkeys(("scope?", "client_id?", "username?", "token_type?", "sub?"), _TEXT),
        **dict.fromkeys(("iss?", "sid?", "jti?"), _TEXT),
        **dict.fromkeys(("exp?", "iat?", "auth_time?"), _NUMBER),
        "aud?": _ONE_OR_MORE,
        "cnf?": _THING,
        **{f"{name.rstrip('?')}?": kind for name, kind in _ABOUT_AGENT.items()},
        **_OWNER,
    },
    "Revoked": {},
    "PushedRequest": {"request_uri": _TEXT, "expires_in": _NUMBER},
    "OwnerRequest": {"auth_req_id": _TEXT, "expires_in": _NUMBER, "interval": _NUMBER},
    "Userinfo": {"sub": _TEXT, **_ABOUT_AGENT},
    "Approval": {
        "success": _FLAG,
        **dict.fromkeys(("status?", "message?"), _TEXT),
        "requires_2fa?": _FLAG,
        "expires_in?": _NUMBER,
    },
    "SignInStatus": {
        "status": _TEXT,
        **dict.fromkeys(("code?", "state?", "redirect_uri?", "iss?", "location?"), _TEXT),
        **dict.fromkeys(("error?", "error_description?", "waiting_for?"), _TEXT),
        "is_known?": _FLAG,
    },
    "SignInRequest": {
        **dict.fromkeys(("request_id", "client_id", "client_name", "scope", "status"), _TEXT),
        **dict.fromkeys(("redirect_host", "redirect_origin"), _TEXT),
        "expires_in": _NUMBER,
        "resources?": _WORDS,
        "is_native?": _FLAG,
        "owner?": _THING,
        "authorization_details?": _THINGS,
    },
    "RegisteredAgent": {"success": _FLAG, "agent_id": _TEXT, "message": _TEXT},
    "AgentSession": {
        **dict.fromkeys(("session_id", "challenge_url", "next_step"), _TEXT),
        "expires_in": _NUMBER,
    },
    "Profile": {
        **dict.fromkeys(("agent_id", "model_name", "owner_name", "owner_email"), _TEXT),
        **dict.fromkeys(("created_at", "updated_at"), _TEXT),
        **dict.fromkeys(("owner_email_verified", "disabled"), _FLAG),
        "permissions": _WORDS,
    },
    "Accepted": {"ok": _FLAG, "accepted": _NUMBER},
    "Challenge": {
        "ok": _FLAG,
        "verify_ctx_id": _TEXT,
        "expires": _NUMBER,
        **dict.fromkeys(("challenge?", "sig?", "message?"), _TEXT),
    },
    "Verified": {"ok": _FLAG, "verified": _FLAG, "verified_at": _TEXT, "verify_ctx_id": _TEXT},
    "Verification": {
        "ok": _FLAG,
        "verified": _FLAG,
        **dict.fromkeys(("verify_ctx_id?", "agent_id?", "verified_at?"), _MAYBE),
        "expires?": _NUMBER,
        "expired?": _FLAG,
        "pending?": _THING,
    },
    "RegisteredClient": {
        **dict.fromkeys(("client_id", "client_name", "scope", "token_endpoint_auth_method"), _TEXT),
        "id_token_signed_response_alg": _TEXT,
        **dict.fromkeys(("redirect_uris", "grant_types", "response_types"), _WORDS),
        "client_id_issued_at": _NUMBER,
        "client_secret?": _TEXT,
        "client_secret_expires_at?": _NUMBER,
        "post_logout_redirect_uris?": _WORDS,
        "dpop_bound_access_tokens?": _FLAG,
        "backchannel_logout_session_required?": _FLAG,
    },
    "Agent": {
        **dict.fromkeys(("agent_id", "email", "name"), _TEXT),
        **dict.fromkeys(("display_name", "model", "approval"), _MAYBE),
        **dict.fromkeys(("email_verified", "require_origin", "dpop_bound"), _FLAG),
        **dict.fromkeys(("has_key", "disabled"), _FLAG),
        "scopes": {"type": ["array", "null"], "items": _TEXT},
        "permissions": _WORDS,
        **dict.fromkeys(("signing_keys", "created_at"), _NUMBER),
    },
    "Agents": {"agents": _list_of("Agent")},
    "NewAgent": {"agent_id": _TEXT, "agent_secret": _MAYBE},
    "Client": {
        **dict.fromkeys(("client_id", "name"), _TEXT),
        **dict.fromkeys(("redirect_uris", "scopes", "resources"), _WORDS),
        "post_logout_redirect_uris": _WORDS,
        **dict.fromkeys(("public", "has_keys", "strict_audience"), _FLAG),
        **dict.fromkeys(("dpop_bound", "upstream_compat"), _FLAG),
        "backchannel_logout_session_required": _FLAG,
        **dict.fromkeys(("jwks_uri", "backchannel_logout_uri", "id_token_alg", "origin"), _MAYBE),
        "created_at": _NUMBER,
    },
    "Clients": {"clients": _list_of("Client")},
    "NewClient": {"client_id": _TEXT, "client_secret": _MAYBE},
    "SigningKeys": {"signature_agent": _TEXT, "keys": _THINGS},
    "NewSigningKey": {"kid": _TEXT, "signature_agent": _TEXT},
    "Metadata": {
        **dict.fromkeys(("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"), _TEXT),
        **dict.fromkeys(("scopes_supported", "response_types_supported"), _WORDS),
    },
    "Keys": {"keys": _THINGS},
    "AgentDocument": {"client_id": _TEXT, "client_name?": _TEXT, "jwks?": _THING},
    "Document": {"openapi": _TEXT, "info": _THING, "paths": _THING},
    "Health": {"status": _TEXT, "unopened_keys?": _WORDS, "error?": _TEXT},
}
"""Schema: its properties. What has to stay open for later members says so in `OPEN`."""

OPEN = ("Metadata", "Document", "AgentDocument", "SignInRequest")

_ADMIN = "/api/admin"
ANSWERS: Mapping[tuple[str, str], str] = {
    **dict.fromkeys((("POST", "/token"), ("POST", "/oauth2/token")), "Tokens"),
    ("POST", "/introspect"): "Introspection",
    ("POST", "/revoke"): "Revoked",
    ("POST", "/par"): "PushedRequest",
    ("POST", "/bc-authorize"): "OwnerRequest",
    **{
        (method, path): "Userinfo"
        for method in ("GET", "POST")
        for path in ("/userinfo", "/oauth2/userinfo")
    },
    ("POST", "/api/agent/authenticate"): "Approval",
    ("POST", "/api/agent/verify-2fa"): "Approval",
    ("GET", "/api/check-status"): "SignInStatus",
    ("GET", "/api/auth-requests/{request_id}"): "SignInRequest",
    ("POST", "/api/register-agent"): "RegisteredAgent",
    ("POST", "/api/agent-auth"): "AgentSession",
    ("GET", "/api/agents/profile"): "Profile",
    ("PUT", "/api/agents/profile"): "Profile",
    ("POST", "/api/events"): "Accepted",
    ("POST", "/api/verify/challenge"): "Challenge",
    ("POST", "/api/verify/confirm"): "Verified",
    ("GET", "/api/verify/status"): "Verification",
    ("POST", "/register"): "RegisteredClient",
    ("GET", f"{_ADMIN}/agents"): "Agents",
    ("POST", f"{_ADMIN}/agents"): "NewAgent",
    ("GET", f"{_ADMIN}/agents/{{id}}"): "Agent",
    ("PATCH", f"{_ADMIN}/agents/{{id}}"): "Agent",
    ("GET", f"{_ADMIN}/agents/{{id}}/signing-keys"): "SigningKeys",
    ("POST", f"{_ADMIN}/agents/{{id}}/signing-keys"): "NewSigningKey",
    ("GET", f"{_ADMIN}/clients"): "Clients",
    ("POST", f"{_ADMIN}/clients"): "NewClient",
    ("GET", f"{_ADMIN}/clients/{{id}}"): "Client",
    ("PATCH", f"{_ADMIN}/clients/{{id}}"): "Client",
    ("GET", "/.well-known/oauth-authorization-server"): "Metadata",
    ("GET", "/.well-known/openid-configuration"): "Metadata",
    ("GET", "/.well-known/jwks.json"): "Keys",
    ("GET", "/agents/{id}"): "AgentDocument",
    ("GET", "/openapi.json"): "Document",
    **dict.fromkeys((("GET", "/health"), ("GET", "/api/health"), ("GET", "/ready")), "Health"),
}
"""Method and path of an operation: the schema of its answer."""


def schemas() -> dict[str, Any]:
    """Returns the schemas of all answers, for `components`."""
    return {
        name: {
            "type": "object",
            "properties": {member.rstrip("?"): kind for member, kind in shape.items()},
            "required": [member for member in shape if not member.endswith("?")],
        }
        for name, shape in SHAPES.items()
    }
