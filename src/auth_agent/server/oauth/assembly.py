"""The grants and endpoints of this server, put together."""

from __future__ import annotations

import logging
from typing import Any

from auth_agent.server.context import Context
from auth_agent.server.oauth.clients.authentication import ClientProof
from auth_agent.server.oauth.clients.keys import ClientKeys
from auth_agent.server.oauth.grants.agent import AgentGrant
from auth_agent.server.oauth.grants.authorization_code import CodeGrant, RefreshGrant
from auth_agent.server.oauth.grants.backchannel import BackchannelGrant
from auth_agent.server.oauth.grants.extensions import IdTokenExtension, S256Verifier
from auth_agent.server.oauth.introspection import Introspection, Revocation
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.registry.clients import Client
from auth_agent.server.tokens.signed import Issue, sign_access_token


def build_oauth(context: Context) -> OAuthServer:
    """Returns Authlib's server with the grants and endpoints of this one."""
    # Authlib logs whole token answers at DEBUG.
    logging.getLogger("authlib").setLevel(logging.INFO)
    server = OAuthServer(context)
    ClientProof(server, ClientKeys(context.fetcher)).register()
    server.register_grant(CodeGrant, [S256Verifier(required=True), IdTokenExtension()])
    server.register_grant(AgentGrant)
    server.register_grant(BackchannelGrant, [IdTokenExtension()])
    server.register_grant(RefreshGrant, [IdTokenExtension()])
    server.register_token_generator("default", _token)
    server.register_endpoint(Introspection)
    server.register_endpoint(Revocation)
    return server


def _token(  # noqa: PLR0917
    grant_type: str,  # noqa: ARG001  (the names are Authlib's)
    client: Client,  # noqa: ARG001
    user: Issue,
    scope: str,
    expires_in: int | None = None,  # noqa: ARG001
    include_refresh_token: bool = True,  # noqa: ARG001
) -> dict[str, Any]:
    """Returns the token endpoint's answer (RFC 6749 section 5.1); a hook adds the ID token."""
    return {
        "access_token": sign_access_token(user.key, user, scope),
        "token_type": user.token_type,
        "expires_in": user.access_lifetime,
        "refresh_token": user.refresh_token.reveal(),
        "scope": scope,
        **({"authorization_details": list(user.details)} if user.details else {}),
    }
