"""Queries of the console and the owners' pages: one page of a list each, filters as values."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from auth_agent.server.bounds import DAY
from auth_agent.server.console.visit import PAGE_SIZE
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import agent, audit, client, token_family

BATCH = 1_000
MOST_EXPORTED = 100_000
HISTORY = "approval"


def list_agents(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Returns agents, newest first; `q` searches id, address, name and model, `state` narrows."""
    statement = select(agent).order_by(agent.c.created_at.desc(), agent.c.id)
    if words := filters.get("q"):
        columns = (agent.c.id, agent.c.email, agent.c.name, agent.c.display_name, agent.c.model)
        statement = statement.where(_contains(words, columns))
    if filters.get("state") == "active":
        statement = statement.where(agent.c.disabled_at.is_(None))
    elif filters.get("state") == "disabled":
        statement = statement.where(agent.c.disabled_at.is_not(None))
    return _page(connection, statement, page)


def find_agent(connection: Connection, agent_id: str) -> Any:
    return connection.execute(select(agent).where(agent.c.id == agent_id)).one_or_none()


def agents_of(connection: Connection, email: str) -> list[Any]:
    """Returns the agents that an owner claimed or an administrator vouched for, oldest first."""
    statement = select(agent).where(agent.c.email == email, agent.c.email_verified.is_(True))
    return list(connection.execute(statement.order_by(agent.c.created_at).limit(BATCH)).all())


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
    """Returns websites without removed ones and without agents of the older generation."""
    statement = (
        select(client)
        .where(client.c.removed_at.is_(None), client.c.agent_id.is_(None))
        .order_by(client.c.created_at.desc(), client.c.id)
    )
    if words := filters.get("q"):
        columns = (client.c.id, client.c.name, client.c.redirect_uris)
        statement = statement.where(_contains(words, columns))
    return _page(connection, statement, page)


def find_website(connection: Connection, client_id: str) -> Any:
    statement = select(client).where(
        client.c.id == client_id, client.c.removed_at.is_(None), client.c.agent_id.is_(None)
    )
    return connection.execute(statement).one_or_none()


def list_grants(
    connection: Connection, now: int, filters: Mapping[str, str], page: int
) -> list[Any]:
    """Returns valid sign-ins, newest first: families whose tokens are valid."""
    statement = (
        select(
            token_family,
            agent.c.email,
            agent.c.model.label("agent_model"),
            client.c.name.label("website"),
            client.c.redirect_uris,
        )
        .join(agent, agent.c.id == token_family.c.agent_id)
        .join(client, client.c.id == token_family.c.client_id)
        .where(_is_alive(now))
        .order_by(token_family.c.created_at.desc(), token_family.c.id)
    )
    if agent_id := filters.get("agent"):
        statement = statement.where(token_family.c.agent_id == agent_id)
    if client_id := filters.get("website"):
        statement = statement.where(token_family.c.client_id == client_id)
    if email := filters.get("owner"):
        statement = statement.where(agent.c.email == email, agent.c.email_verified.is_(True))
    return _page(connection, statement, page)


def list_history(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Returns the agents' answers to websites, newest first."""
    statement = (
        select(audit, client.c.name.label("website"))
        .outerjoin(client, client.c.id == audit.c.client_id)
        .where(audit.c.kind == HISTORY, _matches(filters))
        .order_by(audit.c.id.desc())
    )
    return _page(connection, statement, page)


def list_audit(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Returns the audit log, newest first."""
    statement = select(audit).where(_matches(filters)).order_by(audit.c.id.desc())
    return _page(connection, statement, page)


def audit_batches(database: Database, filters: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yields the audit log for an export, newest first: a thousand rows at a time, with a limit.

    Each batch is a read of its own, so that a slow reader holds no connection.
    """
    statement = select(audit).where(_matches(filters)).order_by(audit.c.id.desc())
    before, left = None, MOST_EXPORTED
    while left > 0:
        wanted = min(BATCH, left)
        narrowed = statement if before is None else statement.where(audit.c.id < before)
        with database.read() as connection:
            rows = list(connection.execute(narrowed.limit(wanted)).all())
        if rows:
            yield rows
        if len(rows) < wanted:
            return
        before, left = rows[-1].id, left - wanted


def audit_words(connection: Connection) -> tuple[list[str], list[str]]:
    """Returns the kinds and outcomes in the newest rows of the audit, as short lists."""
    columns = (audit.c.kind, audit.c.outcome)
    recent = select(*columns).order_by(audit.c.id.desc()).limit(10_000).subquery()
    pairs = connection.execute(select(recent.c.kind, recent.c.outcome).distinct()).all()
    return sorted({row.kind for row in pairs}), sorted({row.outcome for row in pairs})


def counts(connection: Connection, now: int) -> dict[str, int]:
    """Returns the numbers of the first page."""
    websites = and_(client.c.removed_at.is_(None), client.c.agent_id.is_(None))
    signed_in = and_(audit.c.kind == HISTORY, audit.c.outcome == "approved", audit.c.at > now - DAY)
    queries = {
        "agents": select(func.count()).select_from(agent).where(agent.c.disabled_at.is_(None)),
        "websites": select(func.count()).select_from(client).where(websites),
        "grants": select(func.count()).select_from(token_family).where(_is_alive(now)),
        "sign_ins": select(func.count()).select_from(audit).where(signed_in),
    }
    return {name: int(connection.execute(query).scalar_one()) for name, query in queries.items()}


def day_start(text: str) -> int | None:
    """Returns midnight UTC of a day in the form YYYY-MM-DD; None for other text."""
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%d"))
    except ValueError:
        return None


def _is_unclaimed(email: str) -> tuple[ColumnElement[bool], ...]:
    is_unverified = agent.c.email_verified.is_(False)
    return (agent.c.email == email, is_unverified, agent.c.disabled_at.is_(None))


def _matches(filters: Mapping[str, str]) -> ColumnElement[bool]:
    columns = {
        "kind": audit.c.kind,
        "outcome": audit.c.outcome,
        "agent": audit.c.agent_id,
        "website": audit.c.client_id,
        "actor": audit.c.actor,
        "address": audit.c.address,
    }
    found = [columns[name] == value for name, value in filters.items() if name in columns]
    if (since := day_start(filters.get("from", ""))) is not None:
        found.append(audit.c.at >= since)
    if (until := day_start(filters.get("to", ""))) is not None:
        found.append(audit.c.at < until + DAY)
    return and_(True, *found)


def _is_alive(now: int) -> ColumnElement[bool]:
    return and_(
        token_family.c.revoked_at.is_(None),
        token_family.c.expires_at > now,
        token_family.c.refresh_expires_at > now,
    )


def _contains(words: str, columns: tuple[ColumnElement[str], ...]) -> ColumnElement[bool]:
    return or_(*(column.icontains(words, autoescape=True) for column in columns))


def _page(connection: Connection, statement: Select[Any], page: int) -> list[Any]:
    """Adds one row more than a page holds, which tells if there is a next page."""
    limited = statement.limit(PAGE_SIZE + 1).offset((page - 1) * PAGE_SIZE)
    return list(connection.execute(limited).all())
