"""Rate limits for people's attempts, counted in the database for all workers together.

An attempt is counted before it is checked, and uncounted if it was right: thousands of parallel
attempts cannot all see a counter of zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from auth_agent.server.security.credentials import new_token
from auth_agent.server.storage.tables.people import failed_attempt
from auth_agent.server.web.call import Refusal

_COUNT = select(func.count(), func.min(failed_attempt.c.at)).where(
    failed_attempt.c.subject == bindparam("subject"), failed_attempt.c.at > bindparam("since")
)
_TURN = select(func.pg_advisory_xact_lock(func.hashtext(bindparam("subject"))))
_TAKE_BACK = delete(failed_attempt).where(failed_attempt.c.id.in_(bindparam("ids", expanding=True)))


class Limit(NamedTuple):
    """At most `most` attempts at `subject` within `window` seconds."""

    subject: str
    most: int
    window: int


class Attempt(NamedTuple):
    """Attempts that were counted."""

    ids: tuple[str, ...]

    def take_back(self, connection: Connection) -> None:
        connection.execute(_TAKE_BACK, {"ids": list(self.ids)})


def attempt(connection: Connection, now: int, limits: Iterable[Limit]) -> Attempt:
    """Counts an attempt; Refusal 429 after too many."""
    ids: list[str] = []
    for limit in limits:
        written, free_at = _write(connection, now, limit)
        if written is None:
            raise too_many(free_at - now)
        ids.append(written)
    return Attempt(tuple(ids))


def fits(connection: Connection, now: int, limit: Limit) -> bool:
    """Counts an attempt; False after too many, which the caller answers."""
    return _write(connection, now, limit)[0] is not None


def _write(connection: Connection, now: int, limit: Limit) -> tuple[str | None, int]:
    """Returns the attempt's id, or None and the time at which there is room for the next."""
    subject = take_turns(connection, limit.subject)
    values = {"subject": subject, "since": now - limit.window}
    count, oldest = connection.execute(_COUNT, values).one()
    if count >= limit.most:
        return None, oldest + limit.window
    written = new_token("", 16)
    connection.execute(insert(failed_attempt), {"id": written, "subject": subject, "at": now})
    return written, now


def take_turns(connection: Connection, subject: str) -> str:
    """Makes transactions about one subject follow each other; returns the subject's digest.

    PostgreSQL takes a lock until the transaction ends; SQLite has a single writer.
    """
    hashed = hashlib.sha256(subject.encode()).hexdigest()
    if isinstance(connection, Connection) and connection.dialect.name == "postgresql":
        connection.execute(_TURN, {"subject": hashed})
    return hashed


def too_many(seconds: int) -> Refusal:
    wait = max(1, seconds)
    minutes = -(-wait // 60)
    text = f"Too many attempts; try again in {minutes} minute{'s' * (minutes > 1)}"
    return Refusal(429, "too_many_attempts", text, (("retry-after", str(wait)),))
