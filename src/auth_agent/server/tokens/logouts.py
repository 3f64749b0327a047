"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0), delivered in the background to each
website separately.
"""

from __future__ import annotations

import logging
import secrets
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, null, select, update

from auth_agent.flow.fetching.refusals import FetchRefused
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.tables.tokens import logout_delivery

if TYPE_CHECKING:
    from auth_agent.server.context import Context


EVENT = "http://schemas.openid.net/event/backchannel-logout"


LIFETIME = 120  # lifetime of a logout token, in seconds


WAITS = (5, 30, 120, 600, 3_600)  # seconds between attempts; the last one is final


LEASE = 60  # seconds in which no other worker tries the same delivery


AT_ONCE = 4  # deliveries; the fetcher has more places, for keys and documents


log = logging.getLogger("auth_agent.server")


# The oldest of each website.
_FIRST = (
    select(func.min(logout_delivery.c.id))
    .where(logout_delivery.c.next_at <= bindparam("now"))
    .group_by(logout_delivery.c.client_id)
)
_DUE = (
    select(logout_delivery)
    .where(logout_delivery.c.id.in_(_FIRST))
    .order_by(logout_delivery.c.next_at, logout_delivery.c.id)
    .limit(100)
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


def logout_token(context: Context, row: Any) -> str:
    """Returns a logout token (section 2.4); without a nonce, so it cannot pass for an ID token."""
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
    client = context.clients.find(row.client_id)
    algorithm = None if client is None else client.id_token_alg
    return context.keyring.current().signer(now, algorithm).sign(claims, "logout+jwt")


class Deliveries:
    """Delivers in parallel, one logout at a time per website: a hanging one delays no other.

    The website whose oldest logout has waited longest comes first.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pool = ThreadPoolExecutor(AT_ONCE, "auth-agent-logouts")
        self._busy: set[str] = set()
        self._is_over = False
        self._lock = threading.Lock()

    def start_due(self) -> list[Future[bool]]:
        """Starts due deliveries and returns; each result tells whether the logout arrived."""
        with self._context.database.read() as connection:
            due = connection.execute(_DUE, {"now": self._context.now()}).all()
        started = []
        for row in due:
            with self._lock:
                if self._is_over:
                    break  # the rest stays in the queue, for another worker or the next start
                if row.client_id in self._busy or len(self._busy) >= AT_ONCE:
                    continue
                self._busy.add(row.client_id)
                try:
                    started.append(self._pool.submit(self._run, row))
                except RuntimeError:  # no thread left: the row stays due
                    self._busy.discard(row.client_id)
                    raise
        return started

    def close(self) -> None:
        """Waits for the running deliveries, each of which has a deadline."""
        with self._lock:
            self._is_over = True
        self._pool.shutdown(cancel_futures=True)

    def _run(self, row: Any) -> bool:
        try:
            return _deliver(self._context, row)
        except Exception:
            # It is due again when its lease ends.
            log.exception("back-channel logout to %s: unexpected error", row.client_id)
            return False
        finally:
            with self._lock:
                self._busy.discard(row.client_id)


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
    """Records the outcome; a website that answers with an error is retried like a silent one."""
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
