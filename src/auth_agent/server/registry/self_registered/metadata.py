"""Client metadata (RFC 7591 section 2)."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from auth_agent.server.settings import ALGORITHMS
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.urls import is_native_uri

ID_TOKEN_ALG = "RS256"  # OpenID Connect Registration section 2: the default
_GRANTS = ("authorization_code", "refresh_token")


def client_metadata(body: dict[str, Any], known_scopes: Collection[str]) -> dict[str, Any]:
    """Returns the client's metadata as the registry's arguments.

    Leaves out unsupported values as long as others remain (RFC 7591 section 3.2.1).
    """
    method = auth_method_of(body)
    if method not in ("client_secret_basic", "client_secret_post", "private_key_jwt", "none"):
        raise _bad_metadata("token_endpoint_auth_method is not supported")
    if "authorization_code" not in (_strings(body, "grant_types") or _GRANTS):
        raise _bad_metadata("grant_types has to hold authorization_code")
    if "code" not in (_strings(body, "response_types") or ["code"]):
        raise _bad_metadata("response_types has to hold code")
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
        "scopes": _scopes(body, known_scopes),
        "public": method == "none",
        "jwks": None if jwks is None else json.dumps(jwks),
        "jwks_uri": jwks_uri,
        "backchannel_logout_uri": body.get("backchannel_logout_uri"),
        "backchannel_logout_session_required": _flag(body, "backchannel_logout_session_required"),
        "post_logout_redirect_uris": _strings(body, "post_logout_redirect_uris"),
        "id_token_alg": _id_token_alg(body),
        "dpop_bound": _flag(body, "dpop_bound_access_tokens"),
    }


def auth_method_of(body: dict[str, Any]) -> Any:
    """Returns how the client authenticates; without a stated method it is a public client.

    The default of RFC 7591 section 2 is `client_secret_basic`; a server may choose another.
    """
    uris = _strings(body, "redirect_uris")
    is_app = bool(uris) and all(map(is_native_uri, uris))
    return body.get("token_endpoint_auth_method", "none" if is_app else "client_secret_basic")


def _scopes(body: dict[str, Any], known: Collection[str]) -> list[str]:
    """Drops unknown scopes; an empty list stands for every scope."""
    scope = body.get("scope")
    if not isinstance(scope, str | None):
        raise _bad_metadata("scope is not a string")
    asked = list(known) if scope is None else scope.split()
    return [word for word in dict.fromkeys(asked) if word in known]


def _id_token_alg(body: dict[str, Any]) -> str:
    asked = body.get("id_token_signed_response_alg", ID_TOKEN_ALG)
    if not isinstance(asked, str):
        raise _bad_metadata("id_token_signed_response_alg is not a string")
    return asked if asked in ALGORITHMS else ID_TOKEN_ALG


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise _bad_metadata(f"{name} is neither true nor false")
    return value


def _strings(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _bad_metadata(f"{name} is not a list of strings")
    return value


def _bad_metadata(text: str) -> Refusal:
    return Refusal(400, "invalid_client_metadata", text)
