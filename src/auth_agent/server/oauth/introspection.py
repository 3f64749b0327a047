"""Introspection (RFC 7662) and revocation (RFC 7009), as Authlib's endpoints."""

from __future__ import annotations

import json
from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from auth_agent.server.context import Context
from auth_agent.server.oauth.clients.authentication import METHODS
from auth_agent.server.oauth.server import OAuthRequest
from auth_agent.server.registry.claims import claims_about
from auth_agent.server.registry.clients import Client
from auth_agent.server.storage.audit import record
from auth_agent.server.tokens import families
from auth_agent.server.tokens.presented import Presented, find_presented

_OF_APPROVAL = ("acr", "amr", "authorization_details")


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """Tells a website about its own tokens and about those meant for its resources."""

    CLIENT_AUTH_METHODS = METHODS[:3]

    def check_params(self, request: OAuthRequest, client: Client) -> None:  # noqa: ARG002
        _need_token(request)

    def query_token(self, token: str, _hint: str | None) -> Presented | None:
        return find_presented(self.server.context, token)

    def check_permission(self, token: Presented, client: Client, _request: Any) -> bool:
        if token.check_client(client):
            return True
        return token.claims is not None and any(map(client.has_resource, token.audience()))

    def introspect_token(self, token: Presented) -> dict[str, Any]:
        family, claims = token.family, token.claims
        scope = family.scope if claims is None else claims["scope"]
        audience = token.audience()
        return {
            "active": True,
            "scope": scope,
            "client_id": family.client_id,
            "username": family.agent.id,
            "token_type": _type_of(claims),
            "exp": family.refreshable_until() if claims is None else claims["exp"],
            "iat": family.refresh_issued_at if claims is None else claims["iat"],
            "sub": family.agent.id,
            "aud": audience[0] if len(audience) == 1 else audience,
            "iss": self.server.context.settings.issuer,
            "sid": family.id,
            "auth_time": family.auth_time,
            **({} if claims is None else {"jti": claims.get("jti")}),
            **_key_of(token),
            **_approval(token),
            **claims_about(family.agent, family.model, scope.split()),
        }


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """Revoking either token of a family ends the family."""

    CLIENT_AUTH_METHODS = METHODS

    def check_params(self, request: OAuthRequest, client: Client) -> None:  # noqa: ARG002
        _need_token(request)

    def query_token(self, token: str, _hint: str | None) -> Presented | None:
        return find_presented(self.server.context, token)

    def revoke_token(self, token: Presented, request: OAuthRequest) -> None:
        context: Context = self.server.context
        with context.database.begin() as connection:
            if families.revoke(connection, token.family.id, context.now()):
                record(
                    connection,
                    at=context.now(),
                    kind="revocation",
                    outcome="revoked",
                    agent_id=token.family.agent.id,
                    client_id=token.family.client_id,
                    address=request.address,
                )


def _type_of(claims: dict[str, Any] | None) -> str:
    if claims is None:
        return "refresh_token"
    return "DPoP" if "cnf" in claims else "Bearer"


def _key_of(token: Presented) -> dict[str, Any]:
    """Returns the key that the token is bound to (RFC 9449 section 6.2)."""
    if token.claims is not None:
        return {"cnf": token.claims["cnf"]} if "cnf" in token.claims else {}
    jkt = token.family.dpop_jkt
    return {} if jkt is None else {"cnf": {"jkt": jkt}}


def _approval(token: Presented) -> dict[str, Any]:
    """Returns the owner's approval, as the access token tells it."""
    family, claims = token.family, token.claims
    if family.acr is None:
        return {}
    if claims is not None:
        return {name: claims[name] for name in _OF_APPROVAL if name in claims}
    found: dict[str, Any] = {"acr": family.acr, "amr": list(family.amr)}
    if family.granted_details:
        found["authorization_details"] = json.loads(family.granted_details)
    return found


def _need_token(request: OAuthRequest) -> None:
    if "token" not in request.form:
        raise InvalidRequestError("Missing required parameter: token")
