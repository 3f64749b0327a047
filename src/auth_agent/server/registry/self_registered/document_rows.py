"""Stored clients that come from documents: saved at the first approval, then kept up to date.

A value that an administrator has set on such a client overrides its document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.server.registry.client import NEW_DOCUMENT, SELF_MADE
from auth_agent.server.registry.clients import MOST_SELF_MADE, count_self_made
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.parties import client
from auth_agent.server.web.call import Refusal


def is_stored(connection: Connection, client_id: str) -> bool:
    """Returns True if this id has a row, removed or not."""
    found = connection.execute(select(client.c.id).where(client.c.id == client_id))
    return found.one_or_none() is not None


def refresh_document(
    database: Database, client_id: str, columns: Mapping[str, Any], now: int
) -> None:
    """Updates a stored client from its document, except what an administrator has set."""
    statement = select(client).where(
        client.c.id == client_id, client.c.origin == "document", client.c.removed_at.is_(None)
    )
    with database.read() as connection:
        if not _changes(connection.execute(statement).one_or_none(), columns):
            return
    with database.begin() as connection:
        # Read again under the lock, so that no administrator changes it in between.
        row = connection.execute(statement.with_for_update()).one_or_none()
        changes = _changes(row, columns)
        if not changes:
            return
        connection.execute(update(client).where(client.c.id == client_id).values(changes))
        record(
            connection,
            at=now,
            kind="client",
            outcome="changed by its document",
            client_id=client_id,
            request_id=" ".join(sorted(changes))[:64],
        )


def keep_approved(connection: Connection, sign_in: Any, now: int) -> None:
    """Stores the client of a sign-in that an agent approves, in the same transaction.

    `sign_in` is a row as `find_with_claimant` reads it. Refusal if there is no room.
    """
    if sign_in.client_origin is None:
        _store(connection, sign_in, now)
    elif sign_in.client_origin in SELF_MADE and sign_in.client_approved_at is None:
        statement = update(client).where(client.c.id == sign_in.client_id)
        connection.execute(statement.values(approved_at=now))


def _store(connection: Connection, sign_in: Any, now: int) -> None:
    if is_stored(connection, sign_in.client_id):
        return  # another sign-in at this client was approved first
    if count_self_made(connection) >= MOST_SELF_MADE:
        text = "Too many clients have registered themselves; try again tomorrow"
        raise Refusal(503, "temporarily_unavailable", text, (("retry-after", "3600"),))
    row = {
        **NEW_DOCUMENT,
        **json.loads(sign_in.document),
        "id": sign_in.client_id,
        "created_at": now,
        "approved_at": now,
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(client), row)
    except IntegrityError:
        return  # the same, in another process at this moment
    record(connection, at=now, kind="client", outcome="added", client_id=sign_in.client_id)


def _changes(row: Any, columns: Mapping[str, Any]) -> dict[str, Any]:
    if row is None:
        return {}
    decided = {*row.set_by_admin.split(), "id", "origin"}
    return {
        name: value
        for name, value in columns.items()
        if name not in decided and getattr(row, name) != value
    }
