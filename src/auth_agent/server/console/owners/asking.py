"""Asking for a code: who gets a mail of their own, and who shares one.

The answer is the same, after the same work, whether the address owns an agent or not. A browser
that once proved the address is counted by itself. Of all others, the first twenty in an hour get
a code each. Then one code is mailed every ten minutes, and each browser that waits may use it with
its own proof: so strangers can neither keep an owner out nor fill her letter box.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct
from sqlalchemy import Connection, bindparam, func, insert, select, update

from auth_agent.server.bounds import HOUR, MINUTE
from auth_agent.server.context import Context
from auth_agent.server.outbound.addresses import checked_address, needs_smtputf8
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.security.guessing.attempts import Limit, attempt, fits
from auth_agent.server.security.mailed_codes import MOST_GUESSES, new_code
from auth_agent.server.storage.tables import parties
from auth_agent.server.storage.tables.people import mailed_proof
from auth_agent.server.web.call import Refusal

SHARED_FOR = 10 * MINUTE
MOST_CODES = 20  # of strangers' own for one address in an hour
# As many again may guess at shared codes; a link cannot be guessed, and stays for every owner.
MOST_GUESSERS = 20
_NO_ADDRESS = Refusal(400, "invalid_request", "This is not an e-mail address")
_UNREACHABLE = Refusal(
    503,
    "unavailable",
    "This server's mail cannot reach addresses with such letters before the @; ask the "
    "administrator to register your agent under another address",
)
_AGAIN = (
    update(mailed_proof)
    .where(mailed_proof.c.link_hash == bindparam("link"))
    .values(expires_at=bindparam("until"))
)
_ID = select(mailed_proof.c.id).where(mailed_proof.c.link_hash == bindparam("link"))


class Asked(Struct, frozen=True):
    """An address, the browser that asks for its code, and the mark of a browser that is known."""

    email: str
    browser: str
    party: str
    mark: str | None = None


class _Code(NamedTuple):
    """A code and a link; `is_mailed` if they go out now, `guesses` that count as made."""

    code: str
    link: str
    is_mailed: bool = True
    is_shared: bool = False
    guesses: int = 0

    def __repr__(self) -> str:
        return "_Code(...)"


def ask_for_code(context: Context, asked: Asked) -> str:
    """Mails a code and a link if the address owns an agent; returns the proof's id in any case.

    Refusal for an invalid address, or one that this server's mail cannot reach.
    """
    try:
        address = checked_address(asked.email)
    except ValueError:
        raise _NO_ADDRESS from None
    with context.database.begin() as connection:
        is_own = _count(context, connection, asked, address.lower())
    _need_reachable(context, address)
    with context.database.begin() as connection:
        email = _owner(connection, address)
        code = _Code(new_code(), new_token(""))
        if not is_own:
            code = _shared_code(context, connection, email or address)
        proof_id = _keep(context, connection, asked.browser, email, code)
    mail = _mail(context, address if email is None else email, code)
    if email is not None and code.is_mailed:
        context.outbox.post(mail)
    return proof_id


def shared_link(link: str, browser: str) -> str:
    """Returns what a link that several browsers wait for is in one of them."""
    return f"{link} in {digest(browser)}"


def _count(context: Context, connection: Connection, asked: Asked, address: str) -> bool:
    """Returns True if this browser gets a code of its own; refuses (429) who asks too often."""
    now, known = context.now(), context.owner_marks.name_of(asked.mark, address)
    if known is not None:
        attempt(connection, now, [Limit(f"mail to {address} for browser {known}", 5, HOUR)])
        return True
    limits = (
        Limit(f"mail to {address} for {asked.party}", 5, HOUR),
        Limit(f"mail for {asked.party}", 30, HOUR),
    )
    attempt(connection, now, limits)
    return fits(connection, now, Limit(f"mail to {address}", MOST_CODES, HOUR))


def _shared_code(context: Context, connection: Connection, email: str) -> _Code:
    """Returns the code of these ten minutes, and whether this is the first to ask for it."""
    now, name = context.now(), email.lower()
    turn = now // SHARED_FOR
    code, link = context.mailed_codes.shared(f"{email}\0{turn}")
    is_first = fits(connection, now, Limit(f"shared mail {turn} to {email}", 1, SHARED_FOR))
    may_guess = fits(connection, now, Limit(f"shared code of {name}", MOST_GUESSERS, HOUR))
    guesses = 0 if may_guess else MOST_GUESSES
    return _Code(code, link, is_mailed=is_first, is_shared=True, guesses=guesses)


def _keep(
    context: Context, connection: Connection, browser: str, email: str | None, code: _Code
) -> str:
    """Stores the proof of one browser; a browser that asks for a shared code again keeps its own.

    So asking again brings no further guesses at the same code.
    """
    now, proof_id = context.now(), new_token("proof_", 18)
    link = digest(shared_link(code.link, browser) if code.is_shared else code.link)
    until = now + context.settings.mailed_code_lifetime
    if connection.execute(_AGAIN, {"link": link, "until": until}).rowcount:
        return str(connection.execute(_ID, {"link": link}).scalar_one())
    row = {
        "id": proof_id,
        "email": email,
        "code_hash": context.mailed_codes.hash(proof_id, code.code),
        "link_hash": link,
        "browser_hash": digest(browser),
        "guesses": code.guesses,
        "created_at": now,
        "expires_at": until,
    }
    connection.execute(insert(mailed_proof), row)
    return proof_id


def _need_reachable(context: Context, address: str) -> None:
    """Refuses an address that mail cannot reach, whether it owns an agent or not."""
    if needs_smtputf8(address):
        context.outbox.ask_ability()
    if not context.outbox.can_reach(address):
        raise _UNREACHABLE


def _owner(connection: Connection, email: str) -> str | None:
    """Returns the address as an agent has it: the same letters, or else the same ignoring case.

    The mail goes to the registered address, so that a different spelling cannot give access to
    another person's agents.
    """
    known = select(parties.agent.c.email).where(parties.agent.c.email == email).limit(1)
    alike = (
        select(parties.agent.c.email)
        .where(func.lower(parties.agent.c.email) == email.lower())
        .order_by(parties.agent.c.created_at)
    )
    exact = connection.execute(known).scalar()
    others = [each for each in connection.execute(alike).scalars() if each.isascii()]
    return exact or next(iter(others), None)


def _mail(context: Context, email: str, code: _Code) -> Mail:
    issuer = context.settings.issuer
    minutes = context.settings.mailed_code_lifetime // 60
    text = (
        f"Your code is {code.code}\n\nType it into the page where you asked for it, or open this "
        f"link in the same browser:\n\n{issuer}/owner/link?token={code.link}\n\nThe code and the "
        f"link work once, for {minutes} minutes. If you did not ask for them, ignore this mail "
        "and do not pass the code on.\n"
    )
    return Mail(email, f"{code.code} is your code for {urlsplit(issuer).netloc}", text)
