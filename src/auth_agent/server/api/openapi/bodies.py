"""The bodies of the JSON endpoints, for the OpenAPI document.

A name that ends with `?` may be left out.
"""

from __future__ import annotations

from typing import Any

from auth_agent.server.registry.client import CIBA

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
WORDS: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
FLAG: dict[str, Any] = {"type": "boolean"}
ANY: dict[str, Any] = {}

CLIENT = {"client_id?": TEXT, "client_secret?": TEXT}
ASSERTION = {"client_assertion?": TEXT, "client_assertion_type?": TEXT}
TOKEN_REQUEST = {
    "grant_type": {"enum": ["authorization_code", "refresh_token", "client_credentials", CIBA]},
    **{f"{name}?": TEXT for name in ("code", "redirect_uri", "code_verifier", "refresh_token")},
    "auth_req_id?": TEXT,
    **{f"{name}?": TEXT for name in ("scope", "resource", "model", "authorization_details")},
    **CLIENT,
    **ASSERTION,
}
TOKEN = {"token": TEXT, "token_type_hint?": TEXT, **CLIENT, **ASSERTION}
BACKCHANNEL = {
    "scope": TEXT,
    **{f"{name}?": TEXT for name in ("login_hint", "id_token_hint", "binding_message")},
    **{f"{name}?": TEXT for name in ("requested_expiry", "authorization_details", "resource")},
    **CLIENT,
    **ASSERTION,
}
PUSHED = {
    **dict.fromkeys(("response_type", "redirect_uri", "code_challenge"), TEXT),
    "code_challenge_method": {"enum": ["S256"]},
    **{f"{name}?": TEXT for name in ("scope", "state", "nonce", "resource", "prompt", "max_age")},
    **{f"{name}?": TEXT for name in ("acr_values", "authorization_details")},
    **CLIENT,
    **ASSERTION,
}
CHALLENGE = {
    **dict.fromkeys(("challenge", "sig", "verify_ctx_id"), TEXT),
    "expires": {"type": "integer"},
    "expected_origin?": TEXT,
}
AGENT = {
    **{f"{name}?": {"type": "string"} for name in ("name", "model")},
    **{f"{name}?": WORDS for name in ("scopes", "permissions")},
    "require_origin?": FLAG,
    "dpop_bound?": FLAG,
    "email_verified?": FLAG,
}
METADATA = {
    "redirect_uris": {**WORDS, "minItems": 1},
    **{f"{name}?": TEXT for name in ("client_name", "scope", "jwks_uri")},
    **{f"{name}?": WORDS for name in ("grant_types", "response_types")},
    **{f"{name}?": TEXT for name in ("token_endpoint_auth_method", "backchannel_logout_uri")},
    "post_logout_redirect_uris?": WORDS,
    "id_token_signed_response_alg?": TEXT,
    **dict.fromkeys(("dpop_bound_access_tokens?", "backchannel_logout_session_required?"), FLAG),
    "jwks?": ANY,
}
AUTHENTICATE = {
    **dict.fromkeys(("request_id", "agent_id"), TEXT),
    **{f"{name}?": TEXT for name in ("agent_secret", "agent_assertion")},
    **{f"{name}?": TEXT for name in ("model", "expected_origin")},
}
REGISTER = {
    **dict.fromkeys(("agent_id", "agent_secret", "owner_email"), TEXT),
    **{f"{name}?": {"type": "string"} for name in ("model_name", "owner_name")},
}
AGENT_AUTH = {
    **dict.fromkeys(("agent_id", "agent_secret", "client_id", "redirect_uri"), TEXT),
    **dict.fromkeys(("code_challenge", "code_challenge_method"), TEXT),
    **{f"{name}?": TEXT for name in ("model_name", "state", "scope")},
}
EVENT = {"event?": TEXT, "events?": {"type": "array", "items": {"type": "object"}}}
ADD_AGENT = {"email": TEXT, "agent_id?": TEXT, "public_key?": TEXT, **AGENT}
ADD_AGENT |= {"signing_key?": TEXT}
EDIT_CLIENT = {
    "name?": TEXT,
    **{f"{name}?": WORDS for name in ("redirect_uris", "scopes", "resources")},
}
