"""The signed-in browsers of administrators and owners."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete

from auth_agent.server.storage.tables.people import browser_session

ADMINISTRATOR, OWNER = "administrator", "owner"
INVITATION = "invitation"  # how an owner came who may add the first passkey, and no more

_END_ALL = delete(browser_session).where(
    browser_session.c.kind == bindparam("of_kind"), browser_session.c.holder == bindparam("of")
)


def end_sessions(connection: Connection, kind: str, holder: str) -> int:
    """Ends every session of this administrator or owner; returns how many there were."""
    return int(connection.execute(_END_ALL, {"of_kind": kind, "of": holder}).rowcount)
