"""An administrator's own passkeys: they sign in beside the password, which stays."""

from __future__ import annotations

from auth_agent.server.console import passkeys as ceremony
from auth_agent.server.console.administrators.entrance import sign_in_form, signed_in
from auth_agent.server.console.sessions import known_mark, read_form
from auth_agent.server.console.visit import ConsoleVisit, not_found
from auth_agent.server.context import Context
from auth_agent.server.registry.people import passkeys
from auth_agent.server.registry.people.administrators import find_account
from auth_agent.server.registry.people.browser_sessions import ADMINISTRATOR
from auth_agent.server.storage.audit import acting
from auth_agent.server.web.call import Answer, Call, Refusal


def sign_in(context: Context, call: Call) -> Answer:
    """POST /console/sign-in/passkey."""
    try:
        mark = known_mark(context, call)
        form = read_form(context, call, mark)
        with context.database.begin() as connection:
            credential = form.get("credential", "")
            proof = ceremony.prove_sign_in(
                context, connection, ADMINISTRATOR, mark or "", credential
            )
            account = find_account(connection, proof.passkey.holder)
    except Refusal as refusal:
        context.record_refusal(kind="console sign-in", outcome="refused", address=call.address)
        return sign_in_form(context, call, refusal)
    if account is None:
        return sign_in_form(context, call, _GONE)
    with acting(f"administrator {account.name}", call.address):
        return signed_in(context, call, account.id, "passkey")


def add(visit: ConsoleVisit) -> Answer:
    """POST /console/account/passkeys/add: within five minutes of signing in."""
    if not ceremony.is_fresh(visit.context, visit.session):
        raise _AGAIN
    with visit.context.database.begin() as connection:
        ceremony.add(visit.context, connection, visit.session, visit.form)
    return visit.go("/account", done="admin-passkey-added")


def remove(visit: ConsoleVisit) -> Answer:
    if not ceremony.is_fresh(visit.context, visit.session):
        raise _AGAIN
    with visit.context.database.begin() as connection:
        this, now = visit.form.get("id", ""), visit.now
        if not passkeys.remove_passkey(connection, ADMINISTRATOR, visit.account.id, this, now):
            raise not_found("passkey")
    return visit.go("/account", done="admin-passkey-removed")


_GONE = Refusal(403, "passkey_refused", "This passkey is not registered at this server")
_AGAIN = Refusal(
    403,
    "sign_in_again",
    "Sign in again first: this needs a sign-in that is at most five minutes old",
)
