"""One client of this server: a website or an app."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, bindparam, select

from auth_agent.server.settings import DEFAULT_SCOPES
from auth_agent.server.storage.tables import parties
from auth_agent.server.web.urls import (
    is_loopback_uri,
    is_native_uri,
    is_private_uri,
    is_within,
    origin_of,
    redirect_matches,
    same_address,
)

_TABLE = parties.client
# Created by the client's own request: registered without a token, or read from its document.
SELF_MADE = ("open", "document")
NEW_DOCUMENT: Mapping[str, Any] = {
    "origin": "document",
    "resources": "",
    "upstream_compat": False,
    "set_by_admin": "",
}
CIBA = "urn:openid:params:grant-type:ciba"
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
# An agent that is a client under its own id keeps its secret and keys in the agent's row.
_FIND = (
    select(
        parties.client,
        parties.agent.c.secret_hash.label("agent_secret_hash"),
        parties.agent.c.jwks.label("agent_jwks"),
        parties.agent.c.dpop_bound.label("agent_dpop_bound"),
    )
    .outerjoin(parties.agent, parties.agent.c.id == parties.client.c.agent_id)
    .where(
        parties.client.c.id == bindparam("id"),
        parties.client.c.removed_at.is_(None),
        parties.agent.c.disabled_at.is_(None),
    )
)


class Client:
    """One registered website or app; its methods have the names that Authlib calls."""

    __slots__ = (
        "agent_id",
        "auth_method",
        "document",
        "dpop_bound",
        "id",
        "id_token_alg",
        "is_public",
        "is_trusted",
        "jwks",
        "jwks_uri",
        "name",
        "origin",
        "post_logout_redirect_uris",
        "redirect_uris",
        "resources",
        "scopes",
        "secret_hash",
        "strict_audience",
        "takes_api_scopes",
        "upstream_compat",
    )

    def __init__(self, row: Any) -> None:
        self.id: str = row.id
        self.name: str = row.name
        self.agent_id: str | None = row.agent_id
        self.auth_method: str = row.auth_method
        self.secret_hash: str | None = row.secret_hash or row.agent_secret_hash
        self.jwks: str | None = row.jwks or row.agent_jwks
        self.jwks_uri: str | None = row.jwks_uri
        # In the older generation an agent's secret is optional: PKCE protects its code.
        self.is_public: bool = row.auth_method in ("none", "agent")
        self.redirect_uris: tuple[str, ...] = tuple(row.redirect_uris.split())
        self.scopes: tuple[str, ...] = tuple(row.scopes.split())
        self.resources: tuple[str, ...] = tuple(row.resources.split())
        self.upstream_compat: bool = row.upstream_compat
        self.id_token_alg: str | None = row.id_token_alg
        self.post_logout_redirect_uris: tuple[str, ...] = tuple(
            row.post_logout_redirect_uris.split()
        )
        self.strict_audience: bool = row.strict_audience
        self.dpop_bound: bool = bool(row.dpop_bound or row.agent_dpop_bound)
        self.origin: str = row.origin
        # Self-registered clients get no errors at their redirect URIs before an agent has approved
        # them (RFC 9700 section 4.11.2).
        self.is_trusted: bool = row.origin not in SELF_MADE or row.approved_at is not None

        # A client gets the scopes of known APIs, too, unless an administrator chose its scopes.
        self.takes_api_scopes: bool = "scopes" not in row.set_by_admin.split()
        self.document: str | None = None  # the client's metadata that is not stored yet; JSON

    @classmethod
    def of_document(cls, client_id: str, columns: Mapping[str, Any]) -> Client:
        """Returns an unstored client, as its document describes it."""
        values = {column.name: None for column in _TABLE.c}
        values |= {"agent_secret_hash": None, "agent_jwks": None, "agent_dpop_bound": None}
        values |= NEW_DOCUMENT
        client = cls(SimpleNamespace(**{**values, **columns, "id": client_id}))
        client.document = json.dumps(columns)
        return client

    def __repr__(self) -> str:
        return f"Client(id={self.id!r})"

    def get_client_id(self) -> str:
        return self.id

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Returns the scope unchanged; its words were checked when the request came in."""
        return scope

    def is_native(self, redirect_uri: str) -> bool:
        """Returns True if the code goes to an app on the visitor's device, not to a website."""
        return self.auth_method == "none" and is_native_uri(redirect_uri)

    def has_resource(self, audience: str) -> bool:
        """Returns True if a token with this audience is meant for this client.

        A resource below the client's own origin counts only if an administrator vouches for the
        origin, or if the client's document lies there.
        """
        if any(same_address(audience, own) for own in self.resources):
            return True
        if self.origin not in ("added", "document"):
            return False
        own = (uri for uri in self.redirect_uris if not self.is_native(uri))
        return any(is_within(audience, origin_of(uri)) for uri in own)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        if is_private_uri(redirect_uri) and not self.is_public:
            return False
        if self.agent_id is not None and is_loopback_uri(redirect_uri):
            return True
        return any(redirect_matches(known, redirect_uri) for known in self.redirect_uris)

    def check_post_logout_uri(self, uri: str) -> bool:
        """Checks a post-logout URI: exactly as registered (RP-Initiated Logout section 3.1)."""
        return any(redirect_matches(known, uri) for known in self.post_logout_redirect_uris)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        if self.auth_method == "agent":
            return method != "none" or endpoint in ("token", "revocation")
        if self.auth_method == "client_secret":
            return method in SECRET_METHODS
        return method == self.auth_method

    def check_grant_type(self, grant_type: str) -> bool:
        if grant_type in ("client_credentials", CIBA):
            return self.agent_id is not None
        return grant_type in ("authorization_code", "refresh_token")


def find_client(connection: Connection, client_id: str) -> Client | None:
    """Returns the client with this id unless it was removed."""
    row = connection.execute(_FIND, {"id": client_id}).one_or_none()
    return None if row is None else Client(row)


def agent_as_client(agent_id: str, now: int) -> dict[str, Any]:
    """Returns the agent as an older-generation client under its own id."""
    return {
        "id": agent_id,
        "name": agent_id,
        "auth_method": "agent",
        "redirect_uris": "",
        "scopes": " ".join(DEFAULT_SCOPES),
        "resources": "",
        "upstream_compat": False,
        "created_at": now,
        "origin": "agent",
        "agent_id": agent_id,
    }
