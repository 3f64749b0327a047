"""Forgets what nobody can use any more."""

from __future__ import annotations

import threading
import time

from sqlalchemy import and_, bindparam, delete, or_, select

from .database import Database
from .tables import sign_in, signing_key, spent_refresh_token, token_family

EVERY = 60.0  # seconds
# A redeemed code is kept for a day, so that seeing it again still ends what came from it.
KEPT = 86_400

_SIGN_INS = delete(sign_in).where(
    or_(
        sign_in.c.expires_at < bindparam("day_ago"),
        and_(sign_in.c.approved_at.is_(None), sign_in.c.expires_at < bindparam("hour_ago")),
    )
)
_DEAD = or_(
    token_family.c.refresh_expires_at < bindparam("hour_ago"),
    and_(token_family.c.revoked_at.is_not(None), token_family.c.revoked_at < bindparam("day_ago")),
)
_ENDED = and_(_DEAD, token_family.c.access_expires_at < bindparam("hour_ago"))
_SPENT = delete(spent_refresh_token).where(
    spent_refresh_token.c.family_id.in_(select(token_family.c.id).where(_ENDED))
)
_FAMILIES = delete(token_family).where(_ENDED)
_KEYS = delete(signing_key).where(signing_key.c.published_until < bindparam("day_ago"))


class Sweeper:
    """Sweeps at most once a minute, however often it is asked."""

    def __init__(self, database: Database, turn: threading.Lock) -> None:
        self._database = database
        self._turn = turn
        self._next = 0.0

    def sweep_if_due(self, now: int) -> None:
        if time.monotonic() < self._next or not self._turn.acquire(blocking=False):
            return
        try:
            self.sweep(now)
        finally:
            self._turn.release()

    def sweep(self, now: int) -> int:
        """Deletes expired rows; says how many."""
        self._next = time.monotonic() + EVERY
        values = {"hour_ago": now - 3_600, "day_ago": now - KEPT}
        with self._database.begin() as connection:
            return sum(
                int(connection.execute(statement, values).rowcount)
                for statement in (_SIGN_INS, _SPENT, _FAMILIES, _KEYS)
            )
