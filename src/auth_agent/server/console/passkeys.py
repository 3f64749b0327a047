"""Passkeys on pages: options for the browser, and its answers, each good for one use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from auth_agent.server.bounds import MINUTE
from auth_agent.server.console.sessions import BrowserSession
from auth_agent.server.context import Context
from auth_agent.server.registry.people import passkeys
from auth_agent.server.security.passkey_challenges import BadPasskey, Use, used_challenge
from auth_agent.server.security.passkeys import (
    Known,
    RelyingParty,
    Signed,
    check_assertion,
    check_registration,
    read_credential,
    registration_options,
    request_options,
)
from auth_agent.server.storage.tables.tokens import used_assertion
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.parameters import Parameters

FRESH = 5 * MINUTE  # a sign-in that may change passkeys is no older
NO_NAME = (
    "Passkeys do not work at an IP address. Use a mailed code instead; on your own machine, "
    "start the server with auth-agent serve --host localhost."
)


class Proof(NamedTuple):
    """A passkey that was used, and what it signed."""

    passkey: Any
    signed: Signed

    @property
    def how(self) -> str:
        return "passkey" if self.passkey.is_synced else "device passkey"


def party_of(context: Context) -> RelyingParty | None:
    """Returns this server as browsers know it; None if it can have no passkeys."""
    return RelyingParty.of(context.settings.issuer)


def local_name(context: Context) -> str:
    """Returns the address with a name that this server would have on a developer's machine."""
    port = urlsplit(context.settings.issuer).port
    return "http://localhost" + (f":{port}" if port else "")


def sign_in_options(context: Context, kind: str, mark: str) -> str:
    """Returns what the browser needs to sign in with any of its passkeys; empty without a name."""
    party = party_of(context)
    if party is None:
        return ""
    use = Use(mark, f"{kind} sign-in")
    return request_options(party, context.challenges.make(use, context.clock()), [])


def act_options(
    context: Context, session: BrowserSession, known: list[Any], purpose: str, subject: str
) -> str:
    """Returns what the browser needs to approve exactly this subject with a known passkey."""
    party = _party(context)
    challenge = context.challenges.make(_use(session, purpose, subject), context.clock())
    return request_options(party, challenge, [row.credential_id for row in known])


def new_options(
    context: Context, session: BrowserSession, known: list[Any], name: str
) -> tuple[str, str]:
    """Returns what the browser needs to make a passkey, and the person's handle in it."""
    party, handle = _party(context), passkeys.handle_of(known)
    use = _use(session, "new passkey", handle)
    options = registration_options(
        party,
        context.challenges.make(use, context.clock()),
        name=name,
        handle=handle,
        known=[row.credential_id for row in known],
    )
    return options, handle


def prove_sign_in(
    context: Context, connection: Connection, kind: str, mark: str, text: str
) -> Proof:
    """Returns the passkey that signed in; refuses any other answer."""
    with _refused():
        party, (credential, challenge) = _party(context), read_credential(text)
        context.challenges.check(challenge, Use(mark, f"{kind} sign-in"), context.clock())
        row = passkeys.find_passkey(connection, kind, credential.id)
        if row is None or not credential.response.user_handle:
            raise BadPasskey("This passkey is not registered at this server")
        signed = check_assertion(party, challenge, text, credential, _known(row))
    _use_once(context, connection, challenge)
    return _counted(context, connection, Proof(row, signed))


def prove_act(
    context: Context,
    connection: Connection,
    session: BrowserSession,
    *,
    purpose: str,
    subject: str,
    text: str,
) -> Proof:
    """Returns the person's passkey that signed this very subject; refuses any other answer."""
    with _refused():
        party, (credential, challenge) = _party(context), read_credential(text)
        context.challenges.check(challenge, _use(session, purpose, subject), context.clock())
        row = passkeys.find_passkey(connection, session.kind, credential.id)
        if row is None or row.holder != session.holder:
            raise BadPasskey("This passkey does not belong to you")
        signed = check_assertion(party, challenge, text, credential, _known(row))
    _use_once(context, connection, challenge)
    return _counted(context, connection, Proof(row, signed))


def add(
    context: Context, connection: Connection, session: BrowserSession, form: Parameters
) -> None:
    """Adds the passkey that the browser has made; refuses any other answer."""
    text, handle = form.get("credential", ""), form.get("handle", "")
    known = passkeys.list_passkeys(connection, session.kind, session.holder)
    if len(known) >= passkeys.MOST:
        raise Refusal(409, "too_many", f"You have {passkeys.MOST} passkeys; remove one first")
    with _refused():
        party, (_, challenge) = _party(context), read_credential(text)
        if known and handle != known[0].user_handle:
            raise BadPasskey("This page has expired; open it again")
        use = _use(session, "new passkey", handle)
        context.challenges.check(challenge, use, context.clock())
        made = check_registration(party, challenge, text)
    _use_once(context, connection, challenge)
    added = passkeys.add_passkey(
        connection,
        session.kind,
        session.holder,
        made,
        name=clean_name(form.get("name", "")),
        handle=handle,
        now=context.now(),
    )
    if not added:
        raise Refusal(409, "known_already", "This passkey is registered already")


def clean_name(text: str) -> str:
    """Returns a person's name for a passkey, bounded; a usual one if it is empty or unprintable."""
    name = text.strip()[: passkeys.LONGEST_NAME]
    return name if name and name.isprintable() else "Passkey"


def is_fresh(context: Context, session: BrowserSession) -> bool:
    return context.now() - session.since <= FRESH


def _counted(context: Context, connection: Connection, proof: Proof) -> Proof:
    if not passkeys.use_passkey(connection, proof.passkey, proof.signed.sign_count, context.now()):
        raise Refusal(
            409, "passkey_refused", ("The passkey was used twice at the same time; try again")
        )
    return proof


def _use_once(context: Context, connection: Connection, challenge: bytes) -> None:
    try:
        with connection.begin_nested():
            row = used_challenge(challenge, context.now())
            connection.execute(insert(used_assertion), row)
    except IntegrityError:
        text = "This answer was used before; open the page again"
        raise Refusal(403, "passkey_refused", text) from None


@contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except BadPasskey as error:
        raise Refusal(403, "passkey_refused", str(error)) from None


def _party(context: Context) -> RelyingParty:
    party = party_of(context)
    if party is None:
        raise Refusal(409, "no_passkeys", NO_NAME.rstrip("."))
    return party


def _use(session: BrowserSession, purpose: str, subject: str) -> Use:
    about = f"{session.kind}\0{session.holder}\0{subject}"
    return Use(session.token.reveal(), purpose, about)


def _known(row: Any) -> Known:
    return Known(row.credential_id, row.user_handle, row.public_key, row.sign_count)
