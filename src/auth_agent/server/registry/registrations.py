"""Registering websites and agents: what the command line, tests and the demo call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.secret import Secret
from auth_agent.server.registry.rules import (
    IdTaken,
    RegistrationError,
    check_agent,
    check_website,
    checked_id,
    checked_keys,
    client_columns,
)
from auth_agent.server.security.credentials import hash_secret, new_token
from auth_agent.server.settings import DEFAULT_SCOPES
from auth_agent.server.storage import tables
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database

__all__ = [
    "AgentCredentials",
    "ClientCredentials",
    "IdTaken",
    "RegistrationError",
    "add_agent",
    "add_client",
    "check_agent",
    "check_website",
    "client_columns",
    "list_agents",
    "list_clients",
    "rotate_agent_secret",
    "rotate_client_secret",
]


class ClientCredentials(Struct, frozen=True):
    """Shown once; a public client has no secret."""

    client_id: str
    client_secret: Secret | None


class AgentCredentials(Struct, frozen=True):
    """Shown once; the secret of an agent that signs is empty."""

    agent_id: str
    agent_secret: Secret


def add_client(
    database: Database,
    name: str,
    redirect_uris: Sequence[str],
    *,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    resources: Sequence[str] = (),
    public: bool = False,
    upstream_compat: bool = False,
    jwks: str | None = None,
    jwks_uri: str | None = None,
    backchannel_logout_uri: str | None = None,
    origin: str = "added",
) -> ClientCredentials:
    """Registers a website; RegistrationError if an address, a scope or a key is not acceptable.

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
        "secret_hash": None if secret is None else hash_secret(secret.reveal()),
        "upstream_compat": upstream_compat,
        "created_at": _now(),
    }
    with database.begin() as connection:
        connection.execute(insert(tables.client), row)
        _record(connection, "client", "added", client_id=client_id)
    return ClientCredentials(client_id, secret)


def add_agent(
    database: Database,
    email: str,
    *,
    name: str = "",
    model: str = "",
    scopes: Sequence[str] | None = None,
    permissions: Sequence[str] = (),
    require_origin: bool = False,
    verified: bool = True,
    public_key: str | None = None,
    agent_id: str | None = None,
    agent_secret: Secret | None = None,
) -> AgentCredentials:
    """Registers an agent under its owner's address, for which the caller vouches if `verified`.

    Without `scopes` it may give every scope that a website asks for. With `public_key` (PEM, JWK
    or JWKS) it signs instead of sending a secret, and always says which website it means.
    IdTaken if an agent or a client has, or ever had, the id that was asked for.
    """
    columns = check_agent(
        email,
        name=name,
        model=model,
        scopes=scopes,
        permissions=permissions,
        require_origin=require_origin,
    )
    agent_id = new_token("agent_", 12) if agent_id is None else checked_id(agent_id)
    secret = Secret("") if public_key else agent_secret or Secret(new_token("ags_"))
    row = {
        **columns,
        "id": agent_id,
        "email_verified": verified,
        "secret_hash": hash_secret(secret.reveal()) if secret else None,
        "require_origin": require_origin or public_key is not None,
        "jwks": None if public_key is None else checked_keys(public_key),
        "created_at": _now(),
        "updated_at": _now(),
    }
    try:
        with database.begin() as connection:
            connection.execute(insert(tables.agent), row)
            # Agents and clients share one namespace: the agent's id is a client's from now on.
            connection.execute(insert(tables.client), _as_client(agent_id))
            _record(connection, "agent", "added", agent_id=agent_id)
    except IntegrityError:
        raise IdTaken("this id is taken; choose another one") from None
    return AgentCredentials(agent_id, secret)


def list_clients(database: Database) -> list[dict[str, Any]]:
    """All websites that were not removed, oldest first; no secrets."""
    table = tables.client
    statement = (
        select(table)
        .where(table.c.removed_at.is_(None), table.c.agent_id.is_(None))
        .order_by(table.c.created_at)
    )
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


def list_agents(database: Database) -> list[dict[str, Any]]:
    """All agents, oldest first; no secrets."""
    with database.read() as connection:
        rows = connection.execute(select(tables.agent).order_by(tables.agent.c.created_at)).all()
    return [
        {
            "agent_id": row.id,
            "email": row.email,
            "email_verified": row.email_verified,
            "name": row.name,
            "model": row.model,
            "scopes": None if row.scopes is None else row.scopes.split(),
            "permissions": row.permissions.split(),
            "require_origin": row.require_origin,
            "has_key": row.jwks is not None,
            "disabled": row.disabled_at is not None,
            "created_at": row.created_at,
        }
        for row in rows
    ]


def rotate_client_secret(database: Database, client_id: str) -> Secret | None:
    """A new secret, the old one is void at once; None if there is no such confidential client."""
    table, secret = tables.client, Secret(new_token("cs_"))
    statement = update(table).where(
        table.c.id == client_id, table.c.removed_at.is_(None), table.c.secret_hash.is_not(None)
    )
    with database.begin() as connection:
        values = {"secret_hash": hash_secret(secret.reveal())}
        if connection.execute(statement.values(values)).rowcount != 1:
            return None
        _record(connection, "client", "secret rotated", client_id=client_id)
    return secret


def rotate_agent_secret(database: Database, agent_id: str) -> Secret | None:
    """A new secret, the old one is void at once; None if there is no such agent."""
    table, secret = tables.agent, Secret(new_token("ags_"))
    statement = update(table).where(
        table.c.id == agent_id, table.c.disabled_at.is_(None), table.c.secret_hash.is_not(None)
    )
    with database.begin() as connection:
        values = {"secret_hash": hash_secret(secret.reveal()), "updated_at": _now()}
        if connection.execute(statement.values(values)).rowcount != 1:
            return None
        _record(connection, "agent", "secret rotated", agent_id=agent_id)
    return secret


def _as_client(agent_id: str) -> dict[str, Any]:
    """The agent in its second role, of the older generation: a client under its own id."""
    return {
        "id": agent_id,
        "name": agent_id,
        "auth_method": "agent",
        "redirect_uris": "",
        "scopes": " ".join(DEFAULT_SCOPES),
        "resources": "",
        "upstream_compat": False,
        "created_at": _now(),
        "origin": "agent",
        "agent_id": agent_id,
    }


def _record(connection: Connection, kind: str, outcome: str, **whom: str) -> None:
    record(connection, at=_now(), kind=kind, outcome=outcome, **whom)


def _now() -> int:
    return int(time.time())
