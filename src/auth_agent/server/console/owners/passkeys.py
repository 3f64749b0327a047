"""Owners' passkeys: added, named, removed, and replaced when they are lost.

With a passkey, a mailed code alone adds none: a lost one is replaced after a day that two mails
announce, or by an administrator.
"""

from __future__ import annotations

from sqlalchemy import Connection

from auth_agent.server.approval.invitations import void_invitations
from auth_agent.server.approval.recovery import passkey_mail
from auth_agent.server.bounds import DAY, HOUR
from auth_agent.server.console import passkeys as ceremony
from auth_agent.server.console.owners.visit import OwnerVisit
from auth_agent.server.console.sessions import start_session
from auth_agent.server.console.visit import not_found
from auth_agent.server.registry.people import passkeys
from auth_agent.server.registry.people.browser_sessions import OWNER, end_sessions
from auth_agent.server.security.guessing.attempts import Limit, attempt
from auth_agent.server.web.call import Answer, Refusal


def passkeys_page(visit: OwnerVisit) -> Answer:
    """GET /owner/passkeys."""
    known, options, handle = visit.passkeys(), "", ""
    if visit.is_invited:
        visit.need_strong()  # a passkey that was added in the meantime is not shown
    with visit.context.database.read() as connection:
        recovery = passkeys.find_recovery(connection, visit.email, visit.now)
    is_ready = recovery is not None and recovery.ready_at <= visit.now
    has_name = ceremony.party_of(visit.context) is not None
    is_fresh = ceremony.is_fresh(visit.context, visit.session)
    may_add = has_name and is_fresh and (visit.is_strong or is_ready)
    if may_add:
        options, handle = ceremony.new_options(visit.context, visit.session, known, visit.email)
    return visit.page(
        "console_owner_passkeys.html",
        known=known,
        options=options,
        handle=handle,
        recovery=recovery,
        is_ready=is_ready,
        is_strong=visit.is_strong,
        is_invited=visit.is_invited,
        is_fresh=is_fresh,
        has_name=has_name,
        local_name=ceremony.local_name(visit.context),
        can_mail=visit.context.outbox.can_reach(visit.email),
    )


def add(visit: OwnerVisit) -> Answer:
    """POST /owner/passkeys/add: the browser is signed in with the new passkey from now on."""
    context = visit.context
    visit.need_fresh()
    with context.database.begin() as connection:
        _need_way(visit, connection)
        ceremony.add(context, connection, visit.session, visit.form)
        void_invitations(connection, visit.email, visit.now)
        cookie = start_session(context, connection, visit.call, OWNER, visit.email, how="passkey")
    _tell(visit, "A passkey was added", "A passkey was added to your agents' page")
    return visit.go("/passkeys", done="passkey-added").with_headers(cookie)


def rename(visit: OwnerVisit) -> Answer:
    name = ceremony.clean_name(visit.form.get("name", ""))
    with visit.context.database.begin() as connection:
        this = visit.form.get("id", "")
        if not passkeys.rename_passkey(connection, OWNER, visit.email, this, name):
            raise not_found("passkey")
    return visit.go("/passkeys", done="saved")


def remove(visit: OwnerVisit) -> Answer:
    """POST /owner/passkeys/remove: needs a fresh sign-in with a passkey."""
    visit.need_strong()
    visit.need_fresh()
    with visit.context.database.begin() as connection:
        this, now = visit.form.get("id", ""), visit.now
        if not passkeys.remove_passkey(connection, OWNER, visit.email, this, now):
            raise not_found("passkey")
        # Browsers that signed in with it are signed out.
        end_sessions(connection, OWNER, visit.email)
        cookie = start_session(
            visit.context, connection, visit.call, OWNER, visit.email, how=visit.session.how
        )
    _tell(visit, "A passkey was removed", "A passkey was removed from your agents' page")
    return visit.go("/passkeys", done="passkey-removed").with_headers(cookie)


def recover(visit: OwnerVisit) -> Answer:
    """POST /owner/passkeys/recover: starts the wait after which a mailed code adds a passkey."""
    if not visit.passkeys():
        raise Refusal(409, "invalid_request", "You have no passkey to replace")
    if not visit.context.outbox.can_reach(visit.email):
        text = "This server cannot mail you; an administrator can remove your passkeys"
        raise Refusal(409, "invalid_request", text)
    with visit.context.database.begin() as connection:
        begun = attempt(connection, visit.now, [Limit(f"recoveries of {visit.email}", 10, DAY)])
        started = passkeys.ask_for_recovery(connection, visit.email, visit.now)
        if not started:
            begun.take_back(connection)
    if started:
        _tell(
            visit,
            "A new passkey was requested",
            "A new passkey was requested after a sign-in with a code that was mailed to you. It "
            "can be added in 24 hours. If you did not request it, cancel it before then",
        )
    return visit.go("/passkeys", done="recovery")


def cancel_recovery(visit: OwnerVisit) -> Answer:
    with visit.context.database.begin() as connection:
        passkeys.cancel_recovery(connection, visit.email, visit.now)
    return visit.go("/passkeys", done="recovery-cancelled")


def _need_way(visit: OwnerVisit, connection: Connection) -> None:
    """Refuses to add a passkey after a mailed code where the owner has one already.

    Ends a recovery, whether it is what allows the new passkey or is not needed any more: left open,
    the next reader of the mail could use it at once.
    """
    now = visit.now
    attempt(connection, now, [Limit(f"new passkeys of {visit.email}", 20, HOUR)])
    passkeys.take_turn(connection, visit.email)
    is_first = not passkeys.has_passkey(connection, OWNER, visit.email)
    if visit.session.how == "passkey" or is_first:
        passkeys.cancel_recovery(connection, visit.email, now)
        return
    if visit.is_invited or not passkeys.use_recovery(connection, visit.email, now):
        visit.need_strong()


def _tell(visit: OwnerVisit, subject: str, text: str) -> None:
    if visit.context.outbox.can_reach(visit.email):
        mail = passkey_mail(visit.context.settings.issuer, visit.email, subject, text)
        visit.context.outbox.post(mail)
