"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): delivered in the background, each
website on its own."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, null, select, update

from auth_agent.server.outbound.fetcher import FetchRefused
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.tables import logout_delivery

if TYPE_CHECKING:
    from auth_agent.server.context import Context


EVENT = "http://schemas.openid.net/event/backchannel-logout"


LIFETIME = 120  # seconds that a logout token is good for


WAITS = (5, 30, 120, 600, 3_600)  # seconds between attempts; after the last one it has failed


LEASE = 60  # seconds in which no other worker tries the same delivery


AT_ONCE = 20


log = logging.getLogger("auth_agent.server")


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
    client = context.clients.find(row.client_id)
    algorithm = None if client is None else client.id_token_alg
    return context.keyring.current().signer(now, algorithm).sign(claims, "logout+jwt")


def deliver_due(context: Context, is_over: Callable[[], bool] = lambda: False) -> int:
    """Delivers what is due until `is_over`; returns how many websites were told."""
    with context.database.read() as connection:
        due = connection.execute(_DUE, {"now": context.now()}).all()
    told = 0
    for row in due:
        if is_over():  # the rest stays in the queue, for another worker or the next start
            break
        told += _deliver(context, row)
    return told


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
