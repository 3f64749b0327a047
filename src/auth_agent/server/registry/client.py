"""Websites: the clients of this server."""

from __future__ import annotations

import time
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import Connection, bindparam, select

from auth_agent.server.storage import tables
from auth_agent.server.storage.database import Database
from auth_agent.server.web.urls import is_loopback_uri, origin_of, redirect_matches

# An agent that is a client under its own id has its secret and its keys as an agent.
_FIND = (
    select(
        tables.client,
        tables.agent.c.secret_hash.label("agent_secret_hash"),
        tables.agent.c.jwks.label("agent_jwks"),
    )
    .outerjoin(tables.agent, tables.agent.c.id == tables.client.c.agent_id)
    .where(
        tables.client.c.id == bindparam("id"),
        tables.client.c.removed_at.is_(None),
        tables.agent.c.disabled_at.is_(None),
    )
)
_ORIGINS = select(tables.client.c.redirect_uris).where(tables.client.c.removed_at.is_(None))

MOST_REMEMBERED = 1_000
ORIGINS_SECONDS = 10
SECRET_METHODS = ("client_secret_basic", "client_secret_post")


class Client(ClientMixin):  # type: ignore[misc]
    """One registered website, in the words that Authlib asks for."""

    __slots__ = (
        "agent_id",
        "auth_method",
        "id",
        "is_public",
        "jwks",
        "jwks_uri",
        "name",
        "redirect_uris",
        "resources",
        "scopes",
        "secret_hash",
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
        # For an agent a secret is optional in the older generation: PKCE protects its code.
        self.is_public: bool = row.auth_method in ("none", "agent")
        self.redirect_uris: tuple[str, ...] = tuple(row.redirect_uris.split())
        self.scopes: tuple[str, ...] = tuple(row.scopes.split())
        self.resources: tuple[str, ...] = tuple(row.resources.split())
        self.upstream_compat: bool = row.upstream_compat

    def __repr__(self) -> str:
        return f"Client(id={self.id!r})"

    def get_client_id(self) -> str:
        return self.id

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The scope itself; which words it may hold was checked when the request came in."""
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        if self.agent_id is not None and is_loopback_uri(redirect_uri):
            return True
        return any(redirect_matches(known, redirect_uri) for known in self.redirect_uris)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        if self.auth_method == "agent":
            return method != "none" or endpoint in ("token", "revocation")
        if self.auth_method == "client_secret":
            return method in SECRET_METHODS
        return method == self.auth_method

    def check_grant_type(self, grant_type: str) -> bool:
        if grant_type == "client_credentials":
            return self.agent_id is not None
        return grant_type in ("authorization_code", "refresh_token")


def find_client(connection: Connection, client_id: str) -> Client | None:
    """The client with this id unless it was removed."""
    row = connection.execute(_FIND, {"id": client_id}).one_or_none()
    return None if row is None else Client(row)


def registered_origins(connection: Connection) -> frozenset[str]:
    """The origins of all websites, for CORS."""
    rows = connection.execute(_ORIGINS).scalars()
    return frozenset(origin_of(uri) for uris in rows for uri in uris.split())


class Clients:
    """Finds clients; remembers them only until anything is written by another connection.

    Calls done at once never write clients or agents themselves, so that what is remembered is
    what the database holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Client | None] = {}
        self._version: int | None = None

    def find(self, client_id: str) -> Client | None:
        version = self._database.version()
        if version is not None:
            if version != self._version or len(self._known) > MOST_REMEMBERED:
                self._known, self._version = {}, version
            if client_id in self._known:
                return self._known[client_id]
        with self._database.read() as connection:
            client = find_client(connection, client_id)
        if version is not None:
            self._known[client_id] = client
        return client


class Origins:
    """The origins of the registered websites, read again when ten seconds old."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def __contains__(self, origin: object) -> bool:
        read_at, origins = self._known
        if time.monotonic() - read_at > ORIGINS_SECONDS:
            with self._database.read() as connection:
                origins = registered_origins(connection)
            self._known = (time.monotonic(), origins)
        return origin in origins
