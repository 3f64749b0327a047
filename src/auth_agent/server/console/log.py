"""The audit log as pages and exports read it: one page or one batch each, filters as values."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, or_, select, true

from auth_agent.server.bounds import DAY
from auth_agent.server.console.visit import PAGE_SIZE
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.records import audit

BATCH = 1_000
MOST_EXPORTED = 100_000
SIGN_IN = "approval"  # the kind of the agents' answers to websites
_FEW = 500
_COLUMNS = {
    "kind": audit.c.kind,
    "outcome": audit.c.outcome,
    "actor": audit.c.actor,
    "address": audit.c.address,
    "request": audit.c.request_id,
}


def list_history(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Returns the agents' answers to websites, newest first, with both parties' names."""
    return _page(connection, {**filters, "kind": SIGN_IN}, page)


def list_audit(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Returns the audit log, newest first, with the names of agents and websites."""
    return _page(connection, filters, page)


def audit_batches(database: Database, filters: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yields the audit log for an export, newest first: a thousand rows at a time, with a limit.

    Each batch is a read of its own, so that a slow reader holds no connection.
    """
    before, left = None, MOST_EXPORTED
    with database.read() as connection:
        matches = _matches(connection, filters)
    while left > 0:
        wanted = min(BATCH, left)
        narrowed = matches if before is None else and_(matches, _is_before(*before))
        with database.read() as connection:
            found = _newest(narrowed).limit(wanted).subquery()
            rows = list(connection.execute(_named(found)).all())
        if rows:
            yield rows
        if len(rows) < wanted:
            return
        before, left = (rows[-1].at, rows[-1].id), left - wanted


def sign_in_batches(database: Database, filters: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yields the agents' answers to websites for an export, as `audit_batches` does."""
    return audit_batches(database, {**filters, "kind": SIGN_IN})


def audit_words(connection: Connection) -> tuple[list[str], list[str]]:
    """Returns the kinds and outcomes in the newest rows of the audit, as short lists."""
    columns = (audit.c.kind, audit.c.outcome)
    recent = select(*columns).order_by(audit.c.id.desc()).limit(10_000).subquery()
    pairs = connection.execute(select(recent.c.kind, recent.c.outcome).distinct()).all()
    return sorted({row.kind for row in pairs}), sorted({row.outcome for row in pairs})


def day_start(text: str) -> int | None:
    """Returns midnight UTC of a day in the form YYYY-MM-DD; None for other text."""
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%d"))
    except ValueError:
        return None


def is_website() -> ColumnElement[bool]:
    """Returns the condition that a client's row has a page in the console."""
    return and_(client.c.removed_at.is_(None), client.c.agent_id.is_(None))


def contains(words: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    """Returns the condition that one of the columns holds the words, in any case."""
    return or_(*(column.icontains(words, autoescape=True) for column in columns))


def unindexed(column: Any) -> ColumnElement[str]:
    """Returns the column in a form for which no index is used."""
    return func.coalesce(column, "")


def of_agent(connection: Connection, column: Any, words: str) -> ColumnElement[bool]:
    """Returns the condition that the column names an agent: by id, or by address or names."""
    named = (agent.c.email, agent.c.display_name, agent.c.name)
    return _is_one_of(connection, column, words, agent.c.id, named)


def of_website(connection: Connection, column: Any, words: str) -> ColumnElement[bool]:
    """Returns the condition that the column names a website: by id, or by name or address."""
    named = (client.c.name, client.c.redirect_uris)
    return _is_one_of(connection, column, words, client.c.id, named)


def _page(connection: Connection, filters: Mapping[str, str], page: int) -> list[Any]:
    """Adds one row more than a page holds, which tells if there is a next page."""
    matches = _matches(connection, filters)
    found = _newest(matches).limit(PAGE_SIZE + 1).offset((page - 1) * PAGE_SIZE).subquery()
    return list(connection.execute(_named(found)).all())


def _newest(matches: ColumnElement[bool]) -> Select[Any]:
    return select(audit).where(matches).order_by(audit.c.at.desc(), audit.c.id.desc())


def _named(found: FromClause) -> Select[Any]:
    """Adds names only to the rows that are shown: `agent` and `website` are None if unknown."""
    return (
        select(
            found,
            agent.c.display_name.label("agent_name"),
            agent.c.email.label("owner"),
            client.c.name.label("website"),
            and_(client.c.id.is_not(None), is_website()).label("has_page"),
        )
        .outerjoin(agent, agent.c.id == found.c.agent_id)
        .outerjoin(client, client.c.id == found.c.client_id)
        .order_by(found.c.at.desc(), found.c.id.desc())
    )


def _is_before(at: int, number: int) -> ColumnElement[bool]:
    return and_(audit.c.at <= at, or_(audit.c.at < at, audit.c.id < number))


def _matches(connection: Connection, filters: Mapping[str, str]) -> ColumnElement[bool]:
    # Databases without statistics would prefer the index of a kind to that of one agent.
    is_narrow = bool(filters.get("agent") or filters.get("website"))
    found = [
        (unindexed(_COLUMNS[name]) if is_narrow else _COLUMNS[name]) == value
        for name, value in filters.items()
        if name in _COLUMNS
    ]
    if words := filters.get("agent"):
        found.append(of_agent(connection, audit.c.agent_id, words))
    if words := filters.get("website"):
        found.append(of_website(connection, audit.c.client_id, words))
    if (since := day_start(filters.get("from", ""))) is not None:
        found.append(audit.c.at >= since)
    if (until := day_start(filters.get("to", ""))) is not None:
        found.append(audit.c.at < until + DAY)
    return and_(true(), *found)


def _is_one_of(
    connection: Connection,
    column: ColumnElement[str | None],
    words: str,
    key: ColumnElement[str],
    columns: tuple[ColumnElement[str], ...],
) -> ColumnElement[bool]:
    """Returns the condition that the column holds this id, or one whose owner or name is found."""
    if connection.execute(select(key).where(key == words)).first() is not None:
        return column == words
    named = select(key).where(contains(words, *columns))
    some = list(connection.execute(named.limit(_FEW + 1)).scalars())
    if len(some) > _FEW:
        # The column's index would bring up all rows of all of them, to be sorted.
        return unindexed(column).in_(named)
    return column.in_([words, *some])
