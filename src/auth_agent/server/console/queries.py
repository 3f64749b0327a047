"""Queries of the console and the owners' pages: one page of a list each, filters as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from auth_agent.server.bounds import DAY
from auth_agent.server.console.log import (
    BATCH,
    MOST_EXPORTED,
    SIGN_IN,
    contains,
    is_website,
)
from auth_agent.server.console.visit import PAGE_SIZE
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.parties import agent, client, request_key
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family

_MANY = 1_000


def list_agents(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Returns agents, newest first, each with the time of its last sign-in (`seen_at`).

    `q` searches id, address, name and model; `state` is a name of `AGENT_STATES`.
    """
    return _with_last_sign_in(connection, limited(_agents(filters), page), audit.c.agent_id)


def agent_batches(database: Database, filters: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yields the agents that `list_agents` finds for an export."""

    def read(connection: Connection, some: Select[Any]) -> list[Any]:
        return _with_last_sign_in(connection, some, audit.c.agent_id)

    return batches(database, _agents(filters), agent, read)


def find_agent(connection: Connection, agent_id: str) -> Any:
    return connection.execute(select(agent).where(agent.c.id == agent_id)).one_or_none()


def agents_of(connection: Connection, email: str) -> list[Any]:
    """Returns the agents that an owner claimed or an administrator vouched for, oldest first."""
    statement = select(agent).where(agent.c.email == email, agent.c.email_verified.is_(True))
    return list(connection.execute(statement.order_by(agent.c.created_at).limit(_MANY)).all())


def unclaimed_agents(connection: Connection, email: str) -> list[Any]:
    """Returns the agents that were registered under an address and that its owner has not claimed.

    Newest first, each with the network address that registered it.
    """
    added = and_(
        audit.c.agent_id == agent.c.id, audit.c.kind == "agent", audit.c.outcome == "added"
    )
    statement = (
        select(agent, audit.c.address.label("added_from"))
        .outerjoin(audit, added)
        .where(*_is_unclaimed(email))
        .order_by(agent.c.created_at.desc(), agent.c.id)
    )
    return list(connection.execute(statement.limit(PAGE_SIZE)).all())


def find_unclaimed(connection: Connection, agent_id: str, email: str) -> Any:
    statement = select(agent).where(agent.c.id == agent_id, *_is_unclaimed(email))
    return connection.execute(statement).one_or_none()


def list_websites(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Returns websites without removed ones and without agents of the older generation.

    Newest first, each with the time of its last sign-in (`seen_at`).
    """
    return _with_last_sign_in(connection, limited(_websites(filters), page), audit.c.client_id)


def website_batches(database: Database, filters: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yields the websites that `list_websites` finds for an export."""

    def read(connection: Connection, some: Select[Any]) -> list[Any]:
        return _with_last_sign_in(connection, some, audit.c.client_id)

    return batches(database, _websites(filters), client, read)


def find_website(connection: Connection, client_id: str) -> Any:
    statement = select(client).where(client.c.id == client_id, is_website())
    return connection.execute(statement).one_or_none()


def list_agents_keys(connection: Connection, page: int) -> list[Any]:
    """Returns the keys with which agents sign their requests, newest first, with their agents."""
    key = request_key
    statement = (
        select(key, agent.c.display_name, agent.c.email, agent.c.disabled_at)
        .join(agent, agent.c.id == key.c.agent_id)
        .where(key.c.removed_at.is_(None))
        .order_by(key.c.created_at.desc(), key.c.kid)
    )
    return list(connection.execute(limited(statement, page)).all())


def counts(connection: Connection, now: int) -> dict[str, int]:
    """Returns the numbers of the first page."""
    signed_in = and_(audit.c.kind == SIGN_IN, audit.c.outcome == "approved", audit.c.at > now - DAY)
    queries = {
        "agents": select(func.count()).select_from(agent).where(agent.c.disabled_at.is_(None)),
        "websites": select(func.count()).select_from(client).where(is_website()),
        "grants": select(func.count()).select_from(token_family).where(is_alive(now)),
        "sign_ins": select(func.count()).select_from(audit).where(signed_in),
    }
    return {name: int(connection.execute(query).scalar_one()) for name, query in queries.items()}


def _is_unclaimed(email: str) -> tuple[ColumnElement[bool], ...]:
    is_unverified = agent.c.email_verified.is_(False)
    return (agent.c.email == email, is_unverified, agent.c.disabled_at.is_(None))


def uses_secret() -> ColumnElement[bool]:
    """Returns the condition that an active agent sends a secret instead of signing with a key."""
    return and_(agent.c.jwks.is_(None), agent.c.disabled_at.is_(None))


def is_alive(now: int) -> ColumnElement[bool]:
    """Returns the condition that the tokens of a family are valid."""
    return and_(
        token_family.c.revoked_at.is_(None),
        token_family.c.expires_at > now,
        token_family.c.refresh_expires_at > now,
    )


def _agents(filters: Mapping[str, str]) -> Select[Any]:
    statement = select(agent).order_by(agent.c.created_at.desc(), agent.c.id)
    if words := filters.get("q"):
        columns = (agent.c.id, agent.c.email, agent.c.name, agent.c.display_name, agent.c.model)
        statement = statement.where(contains(words, *columns))
    if (state := AGENT_STATES.get(filters.get("state", ""))) is not None:
        statement = statement.where(state)
    return statement


def _websites(filters: Mapping[str, str]) -> Select[Any]:
    statement = select(client).where(is_website())
    if words := filters.get("q"):
        columns = (client.c.id, client.c.name, client.c.redirect_uris)
        statement = statement.where(contains(words, *columns))
    if filters.get("state") == "compat":
        statement = statement.where(client.c.upstream_compat.is_(True))
    return statement.order_by(client.c.created_at.desc(), client.c.id)


def _with_last_sign_in(connection: Connection, some: Select[Any], column: Any) -> list[Any]:
    """Reads agents or websites, each with the newest of its own lines, not of all sign-ins'.

    The offset keeps the conditions out of the inner query, whose index has its order: PostgreSQL
    would sort all lines of the agent or website, SQLite read the index of all sign-ins.
    """
    found = some.subquery()
    lines = select(audit).where(column == found.c.id).correlate(found)
    newest = lines.order_by(audit.c.at.desc(), audit.c.id.desc()).offset(0).subquery("lines")
    signed_in = (newest.c.kind == SIGN_IN, newest.c.outcome == "approved")
    seen = select(newest.c.at).where(*signed_in).limit(1).scalar_subquery().label("seen_at")
    statement = select(found, seen).order_by(found.c.created_at.desc(), found.c.id)
    return list(connection.execute(statement).all())


def batches(
    database: Database,
    statement: Select[Any],
    table: Any,
    read: Callable[[Connection, Select[Any]], list[Any]],
) -> Iterator[list[Any]]:
    """Yields a list, newest first, as `log.audit_batches` does; no batch holds a connection."""
    narrowed, left = statement, MOST_EXPORTED
    while left > 0:
        wanted = min(BATCH, left)
        with database.read() as connection:
            rows = read(connection, narrowed.limit(wanted))
        if rows:
            yield rows
        if len(rows) < wanted:
            return
        at, last = rows[-1].created_at, rows[-1].id
        older = or_(table.c.created_at < at, table.c.id > last)
        narrowed, left = statement.where(table.c.created_at <= at, older), left - wanted


def limited(statement: Select[Any], page: int) -> Select[Any]:
    """Adds one row more than a page holds, which tells if there is a next page."""
    return statement.limit(PAGE_SIZE + 1).offset((page - 1) * PAGE_SIZE)


AGENT_STATES: Mapping[str, ColumnElement[bool]] = {
    "active": agent.c.disabled_at.is_(None),
    "disabled": agent.c.disabled_at.is_not(None),
    "unconfirmed": and_(agent.c.email_verified.is_(False), agent.c.disabled_at.is_(None)),
    "secret": uses_secret(),
    "key": and_(agent.c.jwks.is_not(None), agent.c.disabled_at.is_(None)),
}
