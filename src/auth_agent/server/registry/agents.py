"""AI agents: registering, listing, changing and finding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Update, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.secret import Secret
from auth_agent.server.registry.client import agent_as_client
from auth_agent.server.registry.request_keys import (
    check_no_request_key,
    checked_request_key,
    count_request_keys,
    store_request_key,
)
from auth_agent.server.registry.rules import (
    AgentFields,
    IdTaken,
    agent_columns,
    checked_id,
    checked_keys,
    new_agent_columns,
)
from auth_agent.server.security.credentials import hash_secret, made_hash, new_token
from auth_agent.server.security.keys.public import Jwk
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import parties, sign_ins, tokens

if TYPE_CHECKING:
    from typing_extensions import Unpack

LONGEST_MODEL = 200


class AgentCredentials(Struct, frozen=True):
    """Shown once; the secret of an agent that signs is empty."""

    agent_id: str
    agent_secret: Secret


def add_agent(
    database: Database,
    email: str,
    *,
    now: int,
    require_origin: bool = False,
    dpop_bound: bool = False,
    verified: bool = True,
    public_key: str | None = None,
    signing_key: str | None = None,
    agent_id: str | None = None,
    agent_secret: Secret | None = None,
    **described: Unpack[AgentFields],
) -> AgentCredentials:
    """Registers an agent under its owner's address; with `verified` the caller vouches for it.

    With `public_key` (PEM, JWK or JWKS) it signs instead of sending a secret, and always names the
    website. `signing_key` is another public key, with which it signs its HTTP requests. Raises
    IdTaken if an agent or a client has, or ever had, the requested id.
    """
    columns = new_agent_columns(email, described)
    agent_id = new_token("agent_", 12) if agent_id is None else checked_id(agent_id)
    secret = Secret("") if public_key else agent_secret or Secret(new_token("ags_"))
    row = {
        **columns,
        "id": agent_id,
        "email_verified": verified,
        "secret_hash": _stored(secret, chosen=agent_secret is not None),
        "require_origin": require_origin or public_key is not None,
        "dpop_bound": dpop_bound,
        "jwks": None if public_key is None else checked_keys(public_key),
        "created_at": now,
        "updated_at": now,
    }
    signs_with = None if signing_key is None else checked_request_key(signing_key)
    _insert(database, row, signs_with, now)
    return AgentCredentials(agent_id, secret)


def _insert(database: Database, row: dict[str, Any], signs_with: Jwk | None, now: int) -> None:
    """Stores a new agent with its audit line; raises IdTaken if its id is taken."""
    agent_id = row["id"]
    try:
        with database.begin() as connection:
            if row["jwks"] is not None:
                check_no_request_key(connection, row["jwks"])
            connection.execute(insert(parties.agent), row)
            # Agents and clients share one namespace: no client can have the agent's id from now on.
            connection.execute(insert(parties.client), agent_as_client(agent_id, now))
            record(connection, at=now, kind="agent", outcome="added", agent_id=agent_id)
            if signs_with is not None:
                store_request_key(connection, agent_id, signs_with, now)
    except IntegrityError:
        raise IdTaken("this id is taken; choose another one") from None


def _stored(secret: Secret, *, chosen: bool) -> str | None:
    if not secret:
        return None
    return hash_secret(secret.reveal()) if chosen else made_hash(secret.reveal())


def list_agents(database: Database) -> list[dict[str, Any]]:
    """Returns all agents, oldest first; no secrets."""
    with database.read() as connection:
        rows = connection.execute(select(parties.agent).order_by(parties.agent.c.created_at)).all()
        signing = count_request_keys(connection)
    return [
        {
            "agent_id": row.id,
            "email": row.email,
            "email_verified": row.email_verified,
            "name": row.name,
            "display_name": row.display_name,
            "model": row.model,
            "scopes": None if row.scopes is None else row.scopes.split(),
            "permissions": row.permissions.split(),
            "require_origin": row.require_origin,
            "dpop_bound": row.dpop_bound,
            "has_key": row.jwks is not None,
            "signing_keys": signing.get(row.id, 0),
            "approval": row.approval,
            "disabled": row.disabled_at is not None,
            "created_at": row.created_at,
        }
        for row in rows
    ]


def change_agent(
    database: Database, agent_id: str, now: int, *, outcome: str = "changed", **changes: Any
) -> bool:
    """Changes the given columns (and `email_verified`); False if there is no such agent.

    A new address counts as unverified unless the caller vouches for it in the same call. With
    public keys (`jwks`) the agent signs from now on: its secret stops working.
    """
    table = parties.agent
    verified = changes.pop("email_verified", None)
    values: dict[str, Any] = agent_columns(changes)
    if "jwks" in values:
        values |= {"secret_hash": None, "require_origin": True}
    elif "require_origin" in values:
        # An agent with a key always names the website, whatever value is given here.
        values["require_origin"] = or_(values["require_origin"], table.c.jwks.is_not(None))
    if verified is not None:
        values["email_verified"] = verified
    elif "email" in values:
        values["email_verified"] = and_(table.c.email_verified, table.c.email == values["email"])
    statement = update(table).values(values)
    return _update(database, statement, agent_id, outcome, now, jwks=values.get("jwks"))


def enable_agent(database: Database, agent_id: str, now: int) -> bool:
    """Lets a disabled agent sign in again; False if there is none.

    Old tokens and codes stay revoked, including those in transit when it was disabled.
    """
    agent, family, sign_in = parties.agent, tokens.token_family, sign_ins.sign_in
    statement = update(agent).where(agent.c.id == agent_id, agent.c.disabled_at.is_not(None))
    with database.begin() as connection:
        enabled = statement.values(disabled_at=None, updated_at=now)
        if connection.execute(enabled).rowcount != 1:
            return False
        alive = update(family).where(family.c.agent_id == agent_id, family.c.revoked_at.is_(None))
        connection.execute(alive.values(revoked_at=now))
        waiting = update(sign_in).where(
            sign_in.c.agent_id == agent_id, sign_in.c.code_expires_at > now
        )
        connection.execute(waiting.values(code_expires_at=now))
        record(connection, at=now, kind="agent", outcome="enabled", agent_id=agent_id)
    return True


def vouch_for_owner(database: Database, agent_id: str, now: int) -> bool:
    """Marks the owner's address as verified; False if it already was."""
    statement = update(parties.agent).where(parties.agent.c.email_verified.is_(False))
    statement = statement.values(email_verified=True)
    return _update(database, statement, agent_id, "address vouched for", now)


def set_second_factor(database: Database, agent_id: str, now: int, *, needed: bool) -> bool:
    """Turns the second factor on or off.

    False if nothing changed, or if the owner's address is unverified.
    """
    table = parties.agent
    statement = update(table).where(table.c.second_factor.is_(not needed))
    if needed:
        statement = statement.where(table.c.email_verified.is_(True))
    outcome = "second factor on" if needed else "second factor off"
    return _update(database, statement.values(second_factor=needed), agent_id, outcome, now)


def claim_agent(database: Database, agent_id: str, email: str, now: int) -> bool:
    """Verifies this one agent for the owner who proved the address; False if none was pending."""
    table = parties.agent
    statement = update(table).where(
        table.c.email == email, table.c.email_verified.is_(False), table.c.disabled_at.is_(None)
    )
    statement = statement.values(email_verified=True)
    return _update(database, statement, agent_id, "claimed by its owner", now)


def rotate_agent_secret(database: Database, agent_id: str, now: int) -> Secret | None:
    """Replaces the secret at once; None if no active agent with a secret has this id."""
    table, secret = parties.agent, Secret(new_token("ags_"))
    statement = (
        update(table)
        .where(table.c.disabled_at.is_(None), table.c.secret_hash.is_not(None))
        .values(secret_hash=made_hash(secret.reveal()))
    )
    return secret if _update(database, statement, agent_id, "secret rotated", now) else None


def _update(
    database: Database,
    statement: Update,
    agent_id: str,
    outcome: str,
    now: int,
    *,
    jwks: str | None = None,
) -> bool:
    """Writes a change of one agent, with its new `jwks`, and its audit line in one transaction."""
    statement = statement.where(parties.agent.c.id == agent_id).values(updated_at=now)
    with database.begin() as connection:
        if jwks is not None:
            check_no_request_key(connection, jwks)
        if connection.execute(statement).rowcount != 1:
            return False
        record(connection, at=now, kind="agent", outcome=outcome, agent_id=agent_id)
    return True
