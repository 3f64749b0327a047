"""What agents report: a table that nothing else reads or writes, bounded in age and size."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from auth_agent.server.storage.tables import event

_INSERT = insert(event)
_NEWEST = select(func.max(event.c.id))


def keep_events(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """All of a batch or none of it."""
    connection.execute(_INSERT, rows)


def forget_old_events(connection: Connection, most: int) -> int:
    """Keeps about so many of the newest; says how many went."""
    newest = connection.execute(_NEWEST).scalar() or 0
    return int(connection.execute(delete(event).where(event.c.id <= newest - most)).rowcount)
