"""What a client says of itself (RFC 7591 section 2)."""

from __future__ import annotations

import json
from typing import Any

from auth_agent.server.web.call import Refusal


def client_metadata(body: dict[str, Any], known_scopes: tuple[str, ...]) -> dict[str, Any]:
    """What a client says of itself (RFC 7591 section 2), as the registry's arguments."""
    method = body.get("token_endpoint_auth_method", "client_secret_basic")
    if method not in ("client_secret_basic", "client_secret_post", "private_key_jwt", "none"):
        raise _bad_metadata("token_endpoint_auth_method is not supported")
    if set(_strings(body, "grant_types")) - {"authorization_code", "refresh_token"}:
        raise _bad_metadata("grant_types may hold authorization_code and refresh_token only")
    if set(_strings(body, "response_types")) - {"code"}:
        raise _bad_metadata("response_types may hold code only")
    scope = body.get("scope", " ".join(known_scopes))
    if not isinstance(scope, str) or not set(scope.split()) <= set(known_scopes):
        raise _bad_metadata("scope holds a word that this server does not know")
    jwks, jwks_uri = body.get("jwks"), body.get("jwks_uri")
    has_keys = jwks is not None or jwks_uri is not None
    if has_keys != (method == "private_key_jwt") or (jwks is not None and jwks_uri is not None):
        raise _bad_metadata("private_key_jwt needs jwks or jwks_uri, the other methods neither")
    for name in ("client_name", "jwks_uri", "backchannel_logout_uri"):
        if not isinstance(body.get(name), str | None):
            raise _bad_metadata(f"{name} is not a string")
    return {
        "name": body.get("client_name") or "A website that registered itself",
        "redirect_uris": _strings(body, "redirect_uris"),
        "scopes": scope.split(),
        "public": method == "none",
        "jwks": None if jwks is None else json.dumps(jwks),
        "jwks_uri": jwks_uri,
        "backchannel_logout_uri": body.get("backchannel_logout_uri"),
    }


def _strings(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _bad_metadata(f"{name} is not a list of strings")
    return value


def _bad_metadata(text: str) -> Refusal:
    return Refusal(400, "invalid_client_metadata", text)
