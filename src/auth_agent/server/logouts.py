"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): queued in the database in the
transaction that ends the tokens, delivered in the background, each website on its own."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, func, insert, literal, null, select, update
from sqlalchemy.exc import SQLAlchemyError

from . import families
from .audit import record
from .fetcher import FetchRefused
from .tables import client, logout_delivery, token_family

if TYPE_CHECKING:
    from .context import Context

EVENT = "http://schemas.openid.net/event/backchannel-logout"
LIFETIME = 120  # seconds that a logout token is good for
WAITS = (5, 30, 120, 600, 3_600)  # seconds between attempts; after the last one it has failed
LEASE = 60  # seconds in which no other worker tries the same delivery
EVERY = 2.0  # seconds between looks into the queue
AT_ONCE = 20
log = logging.getLogger("auth_agent.server")

_COLUMNS = ["client_id", "uri", "agent_id", "family_id", "created_at", "attempts", "next_at"]
_LIVE = (
    select(token_family.c.client_id, client.c.backchannel_logout_uri, token_family.c.agent_id)
    .join(client, client.c.id == token_family.c.client_id)
    .where(client.c.backchannel_logout_uri.is_not(None), token_family.c.revoked_at.is_(None))
)
_WHEN: tuple[Any, ...] = (bindparam("now"), literal(0), bindparam("now"))
# One message per website speaks of all the sessions of the agent there.
_QUEUE_AGENT = insert(logout_delivery).from_select(
    _COLUMNS,
    _LIVE.add_columns(literal(""), *_WHEN)
    .where(token_family.c.agent_id == bindparam("agent"))
    .distinct(),
)
_QUEUE_FAMILY = insert(logout_delivery).from_select(
    _COLUMNS,
    _LIVE.add_columns(token_family.c.id, *_WHEN).where(token_family.c.id == bindparam("family")),
)
_DUE = (
    select(logout_delivery)
    .where(logout_delivery.c.next_at <= bindparam("now"))
    .order_by(logout_delivery.c.next_at)
    .limit(AT_ONCE)
)
_CLAIM = (
    update(logout_delivery)
    .where(
        logout_delivery.c.id == bindparam("delivery"),
        logout_delivery.c.next_at == bindparam("seen"),
    )
    .values(next_at=bindparam("until"))
)
_SETTLE = (
    update(logout_delivery)
    .where(logout_delivery.c.id == bindparam("delivery"))
    .values(attempts=bindparam("tried"), next_at=bindparam("again"), outcome=bindparam("ended"))
)
WAITING = select(func.count()).where(logout_delivery.c.next_at.is_not(null()))


def end_agent_sessions(connection: Connection, agent_id: str, now: int | None = None) -> int:
    """Revokes all tokens of an agent and tells the websites; says how many families ended."""
    now = int(time.time()) if now is None else now
    connection.execute(_QUEUE_AGENT, {"agent": agent_id, "now": now})
    return families.revoke_all(connection, agent_id, now)


def end_family(connection: Connection, family_id: str, now: int | None = None) -> bool:
    """Revokes one family and tells its website; False if there was nothing left to revoke."""
    now = int(time.time()) if now is None else now
    connection.execute(_QUEUE_FAMILY, {"family": family_id, "now": now})
    return families.revoke(connection, family_id, now)


def logout_token(context: Context, row: Any) -> str:
    """Section 2.4: never a nonce, so that it can be no ID token."""
    now = context.now()
    claims = {
        "iss": context.settings.issuer,
        "aud": row.client_id,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": secrets.token_urlsafe(16),
        "sub": row.agent_id,
        "events": {EVENT: {}},
        **({"sid": row.family_id} if row.family_id else {}),
    }
    return context.keyring.current().signer(now).sign(claims, "logout+jwt")


def deliver_due(context: Context) -> int:
    """Delivers what is due; says how many websites were told."""
    with context.database.read() as connection:
        due = connection.execute(_DUE, {"now": context.now()}).all()
    return sum(_deliver(context, row) for row in due)


def _deliver(context: Context, row: Any) -> bool:
    claim = {"delivery": row.id, "seen": row.next_at, "until": context.now() + LEASE}
    with context.database.begin() as connection:
        if connection.execute(_CLAIM, claim).rowcount != 1:
            return False  # another worker was quicker
    try:
        answer = context.fetcher.post_form(row.uri, {"logout_token": logout_token(context, row)})
        outcome = "" if answer.status in (200, 204) else f"status {answer.status}"
    except FetchRefused as refused:
        outcome = str(refused)
    _settle(context, row, outcome)
    return not outcome


def _settle(context: Context, row: Any, problem: str) -> None:
    """A website that says no is asked again like one that does not answer."""
    last = row.attempts >= len(WAITS)
    values = {
        "delivery": row.id,
        "tried": row.attempts + 1,
        "again": None if not problem or last else context.now() + WAITS[row.attempts],
        "ended": problem[:40] or "delivered",
    }
    with context.database.begin() as connection:
        connection.execute(_SETTLE, values)
        if values["again"] is None:
            record(
                connection,
                at=context.now(),
                kind="back-channel logout",
                outcome="failed" if problem else "delivered",
                agent_id=row.agent_id,
                client_id=row.client_id,
            )
    if problem:
        log.warning("back-channel logout to %s: %s", row.client_id, problem)


class BackgroundWorker:
    """A thread that delivers and sweeps; several servers may run one each on one database."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            try:
                deliver_due(self._context)
                self._context.sweeper.sweep_if_due(self._context.now())
            except SQLAlchemyError:
                log.exception("background work: the database refused")
            except Exception:
                # The worker outlives whatever one delivery runs into.
                log.exception("background work: unexpected error")
