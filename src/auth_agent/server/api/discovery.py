"""The documents and pages in which the server describes itself."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from auth_agent.errors import SettingsError
from auth_agent.protocol.details import OWNER
from auth_agent.protocol.dpop.proof import ADVERTISED
from auth_agent.server.context import Context
from auth_agent.server.oauth.clients.authentication import METHODS
from auth_agent.server.registry.client import CIBA
from auth_agent.server.security.keys.public import ASSERTION_ALGORITHMS
from auth_agent.server.settings import ServerSettings
from auth_agent.server.web.call import Answer, Call, Refusal, json_answer

_PUBLIC = (("cache-control", "public, max-age=300"),)
# The types that the documentation uses; where no setting names others, every type is taken.
TYPES = ["payment", "refund"]
GRANT_TYPES = ["authorization_code", "refresh_token", "client_credentials", CIBA]
CLAIMS = [
    "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
    "agent_id", "model", "model_name", "email", "email_verified", "name", "permissions",
]  # fmt: skip


def server_metadata(context: Context, call: Call) -> Answer:  # noqa: ARG001
    """Serves both well-known documents (RFC 8414, OpenID Connect Discovery), which are equal."""
    algorithms = tuple(context.keyring.current().algorithms())
    return Answer(200, _metadata(context.settings, algorithms), _PUBLIC)


def jwks(context: Context, call: Call) -> Answer:  # noqa: ARG001
    """GET /.well-known/jwks.json: the public keys."""
    return json_answer(context.keyring.current().jwks(), headers=_PUBLIC)


@functools.lru_cache(16)
def _metadata(settings: ServerSettings, algorithms: tuple[str, ...]) -> bytes:
    """Returns the metadata as JSON: only what this server does today."""
    issuer = settings.issuer
    found = {
        "issuer": issuer,
        **_endpoints(issuer),
        "backchannel_token_delivery_modes_supported": ["poll"],
        "backchannel_user_code_parameter_supported": False,
        "require_pushed_authorization_requests": False,
        "authorization_details_types_supported": list(
            settings.authorization_details_types or TYPES
        ),
        "acr_values_supported": [OWNER],
        "scopes_supported": list(settings.scopes),
        "claims_supported": CLAIMS,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": GRANT_TYPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(algorithms),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_methods_supported": METHODS,
        "introspection_endpoint_auth_methods_supported": METHODS[:3],
        **{
            f"{name}_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS)
            for name in ("token", "revocation", "introspection")
        },
        "dpop_signing_alg_values_supported": list(ADVERTISED),
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        **_optional(settings),
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        # An agent answers each request, so that all but `none` need nothing special.
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
    }
    return msgspec.json.encode(found)


def _endpoints(issuer: str) -> dict[str, str]:
    return {
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "pushed_authorization_request_endpoint": f"{issuer}/par",
        "backchannel_authentication_endpoint": f"{issuer}/bc-authorize",
        "end_session_endpoint": f"{issuer}/end-session",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "agent_authentication_endpoint": f"{issuer}/api/agent/authenticate",
    }


def _optional(settings: ServerSettings) -> dict[str, Any]:
    """Returns what is there only if a setting switches it on."""
    found: dict[str, Any] = {}
    if settings.registers_clients != "off":
        found["registration_endpoint"] = f"{settings.issuer}/register"
    if settings.client_documents:
        found["client_id_metadata_document_supported"] = True
    return found


def health(context: Context, call: Call) -> Answer:  # noqa: ARG001
    """GET /health: the process answers."""
    return json_answer({"status": "ok"})


def ready(context: Context, call: Call) -> Answer:  # noqa: ARG001
    """GET /ready: the database answers, too, and its signing keys can be opened."""
    try:
        with context.database.read() as connection:
            connection.execute(text("SELECT 1 FROM signing_key"))
        keys = context.keyring.current()
        keys.signer(context.now())
    except SQLAlchemyError:
        return json_answer({"status": "unavailable", "error": "database"}, 503)
    except SettingsError:
        return json_answer({"status": "unavailable", "error": "signing key"}, 503)
    if keys.unopened:
        return json_answer({"status": "ready", "unopened_keys": list(keys.unopened)})
    return json_answer({"status": "ready"})


def front_page(context: Context, call: Call) -> Answer:  # noqa: ARG001
    """GET /: describes this server to people."""
    return context.pages.page("front.html", issuer=context.settings.issuer)


def static(context: Context, call: Call) -> Answer:
    """GET /static/{name}: the stylesheet."""
    found = context.pages.static(call.path_params["name"])
    if found is None:
        raise Refusal(404, "not_found", "There is nothing at this address")
    return found
