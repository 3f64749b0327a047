"""Proofs that a browser belongs to an owner: a mailed code or link, never a password.

A code or link is single-use, expires, and works only in a browser that asked for it; a code allows
five guesses there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from auth_agent.server.console.owners.asking import shared_link
from auth_agent.server.console.sessions import mark_owner, start_session
from auth_agent.server.context import Context
from auth_agent.server.registry.people.browser_sessions import OWNER
from auth_agent.server.security.credentials import digest
from auth_agent.server.security.mailed_codes import MOST_GUESSES
from auth_agent.server.storage.audit import acting, record
from auth_agent.server.storage.tables.people import mailed_proof
from auth_agent.server.web.call import Call, Headers, Refusal

_OPEN = (
    mailed_proof.c.used_at.is_(None),
    mailed_proof.c.expires_at > bindparam("now"),
    mailed_proof.c.browser_hash == bindparam("browser"),
)
_GUESS = (
    update(mailed_proof)
    .where(mailed_proof.c.id == bindparam("proof"), mailed_proof.c.guesses < MOST_GUESSES, *_OPEN)
    .values(guesses=mailed_proof.c.guesses + 1)
)
_BY_ID = select(mailed_proof).where(mailed_proof.c.id == bindparam("id"))
_BY_LINK = select(mailed_proof).where(
    mailed_proof.c.link_hash.in_(bindparam("links", expanding=True)),
    mailed_proof.c.email.is_not(None),
    *_OPEN,
)
_USE = (
    update(mailed_proof)
    .where(mailed_proof.c.id == bindparam("proof"), mailed_proof.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_OVER = Refusal(
    410,
    "invalid_request",
    "This code or link was used, has expired or belongs to another browser; use the newest mail "
    "in this browser, or ask for a new code",
)


def prove_by_code(context: Context, call: Call, proof_id: str, code: str, browser: str) -> Headers:
    """Signs the browser in, or refuses; each call is one of five guesses."""
    now, row = context.now(), None
    values = {"proof": proof_id, "now": now, "browser": digest(browser)}
    with context.database.begin() as connection:
        if connection.execute(_GUESS, values).rowcount == 1:
            row = connection.execute(_BY_ID, {"id": proof_id}).one()
            matches = context.mailed_codes.matches(row.code_hash, proof_id, code)
            if matches and row.email is not None:
                return _signed_in(context, connection, call, row)
            kind, outcome = "owner sign-in", "refused"
            record(connection, at=now, kind=kind, outcome=outcome, address=call.address)
    if row is None:
        raise _over(context, call)
    left = MOST_GUESSES - row.guesses
    tries = f"{left} {'attempts' if left > 1 else 'attempt'} left" if left else "ask for a new one"
    raise Refusal(401, "invalid_code", f"This code is not right; {tries}")


def prove_by_link(context: Context, call: Call, link: str, browser: str) -> Headers:
    """Signs the browser in, or refuses."""
    with context.database.begin() as connection:
        row = find_link(connection, link, browser, context.now())
        if row is not None:
            return _signed_in(context, connection, call, row)
    raise _over(context, call)


def _over(context: Context, call: Call) -> Refusal:
    context.record_refusal(kind="owner sign-in", outcome="refused", address=call.address)
    return _OVER


def find_link(connection: Connection, link: str, browser: str, now: int) -> Any:
    """Returns the proof behind a link, if it is still valid in this browser."""
    links = [digest(link), digest(shared_link(link, browser))]
    values = {"links": links, "browser": digest(browser), "now": now}
    return connection.execute(_BY_LINK, values).one_or_none()


def _signed_in(context: Context, connection: Connection, call: Call, row: Any) -> Headers:
    now = context.now()
    if connection.execute(_USE, {"proof": row.id, "now": now}).rowcount != 1:
        raise _OVER
    with acting(f"owner {row.email}", call.address):
        record(connection, at=now, kind="owner sign-in", outcome="signed in")
    cookie = start_session(context, connection, call, OWNER, row.email, how="mail")
    return (*cookie, *mark_owner(context, call, row.email))
