"""Websites, the clients of this server: added, listed, changed, found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select, update

from auth_agent.secret import Secret
from auth_agent.server.registry.rules import client_columns, website_columns
from auth_agent.server.security.credentials import made_hash, new_token
from auth_agent.server.settings import DEFAULT_SCOPES
from auth_agent.server.storage import tables
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.web.urls import is_loopback_uri, redirect_matches

_TABLE = tables.client
# An agent is a client under its own id; it is changed and removed as an agent.
_IS_WEBSITE = (_TABLE.c.removed_at.is_(None), _TABLE.c.agent_id.is_(None))


SECRET_METHODS = ("client_secret_basic", "client_secret_post")
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


class Client:
    """One registered website; its methods have the names that Authlib calls."""

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


class ClientCredentials(Struct, frozen=True):
    """Shown once; a public client has no secret."""

    client_id: str
    client_secret: Secret | None


def add_client(
    database: Database,
    name: str,
    redirect_uris: Sequence[str],
    *,
    now: int,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    resources: Sequence[str] = (),
    public: bool = False,
    upstream_compat: bool = False,
    jwks: str | None = None,
    jwks_uri: str | None = None,
    backchannel_logout_uri: str | None = None,
    origin: str = "added",
) -> ClientCredentials:
    """Registers a website; raises RegistrationError if a value is not acceptable.

    With `jwks` (PEM, JWK or JWKS) or `jwks_uri` it signs instead of sending a secret.
    """
    columns = client_columns(
        name,
        redirect_uris,
        scopes=scopes,
        resources=resources,
        public=public,
        jwks=jwks,
        jwks_uri=jwks_uri,
        backchannel_logout_uri=backchannel_logout_uri,
        origin=origin,
    )
    secret = Secret(new_token("cs_")) if columns["auth_method"] == "client_secret" else None
    client_id = new_token("client_", 12)
    row = {
        **columns,
        "id": client_id,
        "secret_hash": None if secret is None else made_hash(secret.reveal()),
        "upstream_compat": upstream_compat,
        "created_at": now,
    }
    with database.begin() as connection:
        connection.execute(insert(_TABLE), row)
        record(connection, at=now, kind="client", outcome="added", client_id=client_id)
    return ClientCredentials(client_id, secret)


def list_clients(database: Database) -> list[dict[str, Any]]:
    """Returns all websites that were not removed, oldest first; no secrets."""
    statement = select(_TABLE).where(*_IS_WEBSITE).order_by(_TABLE.c.created_at)
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [
        {
            "client_id": row.id,
            "name": row.name,
            "redirect_uris": row.redirect_uris.split(),
            "scopes": row.scopes.split(),
            "resources": row.resources.split(),
            "public": row.auth_method == "none",
            "has_keys": row.auth_method == "private_key_jwt",
            "jwks_uri": row.jwks_uri,
            "backchannel_logout_uri": row.backchannel_logout_uri,
            "origin": row.origin,
            "upstream_compat": row.upstream_compat,
            "created_at": row.created_at,
        }
        for row in rows
    ]


def change_client(database: Database, client_id: str, now: int, **changes: Any) -> bool:
    """Changes the given columns of a website; False if there is none.

    With public keys (`jwks` or `jwks_uri`) it signs from now on: its secret stops working.
    """
    values = website_columns(changes)
    if "jwks" in values or "jwks_uri" in values:
        signs = {"auth_method": "private_key_jwt", "secret_hash": None}
        values = {"jwks": None, "jwks_uri": None, **signs, **values}
    statement = update(_TABLE).where(_TABLE.c.id == client_id, *_IS_WEBSITE)
    with database.begin() as connection:
        # An UPDATE has to name a column: nothing to change still says whether there is a website.
        if connection.execute(statement.values({"id": client_id, **values})).rowcount != 1:
            return False
        record(connection, at=now, kind="client", outcome="changed", client_id=client_id)
    return True


def rotate_client_secret(database: Database, client_id: str, now: int) -> Secret | None:
    """Replaces the secret, effective at once; None if no confidential client has this id."""
    secret = Secret(new_token("cs_"))
    statement = update(_TABLE).where(
        _TABLE.c.id == client_id, _TABLE.c.removed_at.is_(None), _TABLE.c.secret_hash.is_not(None)
    )
    with database.begin() as connection:
        values = {"secret_hash": made_hash(secret.reveal())}
        if connection.execute(statement.values(values)).rowcount != 1:
            return None
        record(connection, at=now, kind="client", outcome="secret rotated", client_id=client_id)
    return secret
