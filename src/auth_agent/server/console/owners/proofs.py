"""Proofs that a browser belongs to an owner: a mailed code or link, never a password.

A request for a code gets the same answer, after the same work, whether the address owns an agent or
not. A code or link is single-use, expires, and works only in the browser that asked for it; a code
allows five guesses.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, insert, select, update

from auth_agent.server.bounds import HOUR
from auth_agent.server.console.sessions import start_session
from auth_agent.server.context import Context
from auth_agent.server.outbound.addresses import checked_address, needs_smtputf8
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.registry.browser_sessions import OWNER
from auth_agent.server.security.attempts import Limit, attempt
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.security.mailed_codes import MOST_GUESSES, new_code
from auth_agent.server.storage import tables
from auth_agent.server.storage.audit import acting, record
from auth_agent.server.storage.people_tables import mailed_proof
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
    mailed_proof.c.link_hash == bindparam("link"), mailed_proof.c.email.is_not(None), *_OPEN
)
_USE = (
    update(mailed_proof)
    .where(mailed_proof.c.id == bindparam("proof"), mailed_proof.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_NO_ADDRESS = Refusal(400, "invalid_request", "This is not an e-mail address")
_UNREACHABLE = Refusal(
    503,
    "unavailable",
    "This server's mail cannot reach addresses with letters like these before the @; "
    "ask its administrator for an agent under another address",
)
_OVER = Refusal(
    410, "invalid_request", "This code or link is used, too old or of another browser; ask again"
)


class Asked(Struct, frozen=True):
    """A request for a code or link to sign in as an owner."""

    email: str
    browser: str
    party: str


def ask_for_code(context: Context, asked: Asked) -> str:
    """Mails a code and a link if the address owns an agent; returns the proof's id in any case.

    Refusal for an invalid address, or one that this server's mail cannot reach.
    """
    now, proof_id = context.now(), new_token("proof_", 18)
    code, link = new_code(), new_token("")
    try:
        address = checked_address(asked.email)
    except ValueError:
        raise _NO_ADDRESS from None
    limits = (
        Limit(f"mail to {address.lower()} for {asked.party}", 5, HOUR),
        Limit(f"mail to {address.lower()}", 20, HOUR),
        Limit(f"mail for {asked.party}", 30, HOUR),
    )
    with context.database.begin() as connection:
        attempt(connection, now, limits)
    _need_reachable(context, address)
    with context.database.begin() as connection:
        email = _owner(connection, address)
        row = {
            "id": proof_id,
            "email": email,
            "code_hash": context.mailed_codes.hash(proof_id, code),
            "link_hash": digest(link),
            "browser_hash": digest(asked.browser),
            "guesses": 0,
            "created_at": now,
            "expires_at": now + context.settings.mailed_code_lifetime,
        }
        connection.execute(insert(mailed_proof), row)
    mail = _mail(context, address if email is None else email, code, link)
    if email is not None:
        context.outbox.post(mail)
    return proof_id


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
    tries = f"{left} {'tries' if left > 1 else 'try'} left" if left else "ask for a new one"
    raise Refusal(401, "invalid_code", f"This is not the code; {tries}")


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
    values = {"link": digest(link), "browser": digest(browser), "now": now}
    return connection.execute(_BY_LINK, values).one_or_none()


def _need_reachable(context: Context, address: str) -> None:
    """Refuses an address that mail cannot reach, whether it owns an agent or not."""
    if needs_smtputf8(address):
        context.outbox.ask_ability()
    if not context.outbox.can_reach(address):
        raise _UNREACHABLE


def _signed_in(context: Context, connection: Connection, call: Call, row: Any) -> Headers:
    now = context.now()
    if connection.execute(_USE, {"proof": row.id, "now": now}).rowcount != 1:
        raise _OVER
    with acting(f"owner {row.email}", call.address):
        record(connection, at=now, kind="owner sign-in", outcome="signed in")
    return start_session(context, connection, call, OWNER, row.email)


def _owner(connection: Connection, email: str) -> str | None:
    """Returns the address as an agent has it: the same letters, or else the same ignoring case.

    The mail goes to the registered address, so that a different spelling cannot give access to
    another person's agents.
    """
    known = select(tables.agent.c.email).where(tables.agent.c.email == email).limit(1)
    alike = (
        select(tables.agent.c.email)
        .where(func.lower(tables.agent.c.email) == email.lower())
        .order_by(tables.agent.c.created_at)
    )
    exact = connection.execute(known).scalar()
    others = [each for each in connection.execute(alike).scalars() if each.isascii()]
    return exact or next(iter(others), None)


def _mail(context: Context, email: str, code: str, link: str) -> Mail:
    issuer = context.settings.issuer
    minutes = context.settings.mailed_code_lifetime // 60
    text = (
        f"Your code is {code}\n\n"
        "Type it into the page where you asked for it, or open this link in the same browser:\n\n"
        f"{issuer}/owner/link?token={link}\n\n"
        f"Both work once, for {minutes} minutes. If you did not ask for them, ignore this mail: "
        "nobody gets in without it.\n"
    )
    return Mail(email, f"{code} is your code for {urlsplit(issuer).netloc}", text)
