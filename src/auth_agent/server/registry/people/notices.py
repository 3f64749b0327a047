"""Notices to owners: written beside the event, mailed later by a server."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, update

from auth_agent.server.bounds import DAY
from auth_agent.server.security.credentials import new_token
from auth_agent.server.storage.tables.people import owner_notice

PASSKEYS_REMOVED = "passkeys removed"
MOST = 100  # in one round

_C = owner_notice.c
_WAITING = (
    select(owner_notice)
    .where(_C.told_at.is_(None), _C.created_at > bindparam("since"))
    .order_by(_C.created_at)
    .limit(MOST)
)
_TOLD = (
    update(owner_notice)
    .where(_C.id == bindparam("this"), _C.told_at.is_(None))
    .values(told_at=bindparam("now"))
)


def leave_notice(connection: Connection, owner: str, about: str, now: int) -> None:
    """Leaves a notice for the next server that looks; it is dropped after a day."""
    row = {"id": new_token("note_", 12), "owner": owner, "about": about, "created_at": now}
    connection.execute(insert(owner_notice), row)


def is_any_waiting(connection: Connection, now: int) -> bool:
    return connection.execute(_WAITING.limit(1), {"since": now - DAY}).first() is not None


def take_notices(connection: Connection, now: int) -> list[tuple[str, str]]:
    """Returns owners and what to tell them, and marks the notices as told, each for one server."""
    waiting = connection.execute(_WAITING, {"since": now - DAY}).all()
    return [
        (str(row.owner), str(row.about))
        for row in waiting
        if connection.execute(_TOLD, {"this": row.id, "now": now}).rowcount == 1
    ]
