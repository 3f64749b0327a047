"""Deletes expired rows."""

from __future__ import annotations

import threading
import time

from sqlalchemy import Delete, Table, and_, bindparam, delete, func, or_, select

from auth_agent.server.bounds import DAY, HOUR
from auth_agent.server.settings import ServerSettings
from auth_agent.server.storage.audit import REFUSALS
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.events import forget_old_events
from auth_agent.server.storage.tables.approvals import (
    backchannel_request,
    owner_question,
    passkey_recovery,
)
from auth_agent.server.storage.tables.parties import client
from auth_agent.server.storage.tables.people import (
    browser_session,
    failed_attempt,
    mailed_proof,
    owner_invitation,
    owner_notice,
    second_step,
    setup_link,
)
from auth_agent.server.storage.tables.records import audit, event
from auth_agent.server.storage.tables.sign_ins import pushed_request, sign_in, verification
from auth_agent.server.storage.tables.tokens import (
    logout_delivery,
    signing_key,
    spent_refresh_token,
    token_family,
    used_assertion,
)

EVERY = 60.0  # seconds
BATCH = 2_000  # rows
# A redeemed code is kept for a day: a second use still revokes the tokens from it.
KEPT = DAY

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
_PUSHED = delete(pushed_request).where(pushed_request.c.expires_at < bindparam("hour_ago"))
_SPENT = delete(spent_refresh_token).where(
    spent_refresh_token.c.family_id.in_(select(token_family.c.id).where(_ENDED))
)
_FAMILIES = delete(token_family).where(_ENDED)
_KEYS = delete(signing_key).where(signing_key.c.published_until < bindparam("day_ago"))
_ASSERTIONS = delete(used_assertion).where(used_assertion.c.expires_at < bindparam("now"))
_VERIFICATIONS = delete(verification).where(verification.c.expires_at < bindparam("day_ago"))
_LOGOUTS = delete(logout_delivery).where(
    logout_delivery.c.next_at.is_(None), logout_delivery.c.created_at < bindparam("day_ago")
)
_EVENTS = delete(event).where(event.c.at < bindparam("events_before"))
_REFUSALS = delete(audit).where(
    audit.c.at < bindparam("refusals_before"), audit.c.outcome.in_(REFUSALS)
)
_AUDIT = delete(audit).where(audit.c.at < bindparam("audit_before"))
_PEOPLE = (
    delete(browser_session).where(browser_session.c.expires_at < bindparam("now")),
    delete(mailed_proof).where(mailed_proof.c.expires_at < bindparam("hour_ago")),
    delete(failed_attempt).where(failed_attempt.c.at < bindparam("hour_ago")),
    # Guesses count for as long as the request can live.
    delete(second_step).where(second_step.c.expires_at < bindparam("day_ago")),
    delete(setup_link).where(setup_link.c.expires_at < bindparam("day_ago")),
    # An approval is kept as long as its line in the audit, and any other answer as a refusal.
    delete(owner_question).where(
        or_(
            owner_question.c.asked_at < bindparam("audit_before"),
            and_(
                owner_question.c.asked_at < bindparam("refusals_before"),
                func.coalesce(owner_question.c.answer, "") != "approved",
            ),
        )
    ),
    delete(backchannel_request).where(backchannel_request.c.expires_at < bindparam("day_ago")),
    delete(owner_invitation).where(owner_invitation.c.expires_at < bindparam("day_ago")),
    delete(owner_notice).where(owner_notice.c.created_at < bindparam("day_ago")),
    delete(passkey_recovery).where(passkey_recovery.c.expires_at < bindparam("day_ago")),
)
# Self-registered clients are deleted a day after their last use.
_SELF_MADE = delete(client).where(
    client.c.origin.in_(("open", "document")),
    client.c.removed_at.is_(None),
    client.c.set_by_admin == "",
    func.coalesce(client.c.approved_at, client.c.created_at) < bindparam("day_ago"),
    client.c.id.not_in(select(token_family.c.client_id)),
    client.c.id.not_in(
        select(sign_in.c.client_id).where(
            sign_in.c.denied_at.is_(None),
            # Until it is answered its own end counts, then that of its code.
            func.coalesce(sign_in.c.code_expires_at, sign_in.c.expires_at) > bindparam("now"),
        )
    ),
)


def _batch(statement: Delete) -> Delete:
    """Returns the statement for one batch of rows."""
    table = statement.table
    assert isinstance(table, Table)  # noqa: S101  (for mypy)
    (key,) = table.primary_key.columns
    assert statement.whereclause is not None  # noqa: S101  (none of them empties its table)
    some = select(key).where(statement.whereclause).limit(BATCH)
    return delete(table).where(key.in_(some))


_STATEMENTS = [
    _batch(statement)
    for statement in (
        _SIGN_INS,
        _PUSHED,
        _SPENT,
        _FAMILIES,
        _KEYS,
        _ASSERTIONS,
        _VERIFICATIONS,
        _LOGOUTS,
        _EVENTS,
        _REFUSALS,
        _AUDIT,
        _SELF_MADE,
        *_PEOPLE,
    )
]


class Sweeper:
    """Sweeps at most once a minute, however often it is called."""

    def __init__(self, database: Database, turn: threading.Lock, settings: ServerSettings) -> None:
        self._settings = settings
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
        """Deletes expired rows; returns how many."""
        self._next = time.monotonic() + EVERY
        kept = self._settings
        values = {
            "now": now,
            "hour_ago": now - HOUR,
            "day_ago": now - KEPT,
            "refusals_before": now - kept.refusal_retention,
            "audit_before": now - kept.audit_retention,
            "events_before": now - kept.event_retention,
        }
        swept = sum(self._delete(statement, values) for statement in _STATEMENTS)
        with self._database.begin() as connection:
            return swept + forget_old_events(connection, kept.max_events)

    def _delete(self, statement: Delete, values: dict[str, int]) -> int:
        """Deletes in batches, so that other writers get their turn in between."""
        total = 0
        while True:
            with self._database.begin() as connection:
                deleted = int(connection.execute(statement, values).rowcount)
            total += deleted
            if deleted < BATCH:
                return total
