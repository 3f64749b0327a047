"""Events that agents report, in their own table, with limits on age and size, and per agent."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from auth_agent.server.storage.tables.records import event

_INSERT = insert(event)
_NEWEST = select(func.max(event.c.id))
_OLDEST_KEPT = (
    select(event.c.id)
    .where(event.c.agent_id == bindparam("agent"))
    .order_by(event.c.id.desc())
    .offset(bindparam("most"))
    .limit(1)
)
_FORGET = delete(event).where(
    event.c.agent_id == bindparam("agent"), event.c.id <= bindparam("last")
)


def keep_events(
    connection: Connection, agent_id: str, rows: list[dict[str, Any]], most: int
) -> None:
    """Stores a batch from one agent, and deletes its own oldest events beyond `most`."""
    connection.execute(_INSERT, rows)
    last = connection.execute(_OLDEST_KEPT, {"agent": agent_id, "most": most}).scalar()
    if last is not None:
        connection.execute(_FORGET, {"agent": agent_id, "last": last})


def forget_old_events(connection: Connection, most: int) -> int:
    """Deletes all but roughly the newest `most`; returns how many were deleted."""
    newest = connection.execute(_NEWEST).scalar() or 0
    return int(connection.execute(delete(event).where(event.c.id <= newest - most)).rowcount)
