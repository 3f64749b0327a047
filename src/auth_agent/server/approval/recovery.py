"""Mails about owners' passkeys: start and end of a recovery, and what administrators do."""

from __future__ import annotations

from auth_agent.server.context import Context
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.registry.people import notices, passkeys

_READY = (
    "You can add a new passkey now",
    "The 24 hours before a new passkey can be added are over. For seven days, signing in with a "
    "mailed code is enough to add one. Add it, or cancel it",
)
_NOTICES = {
    notices.PASSKEYS_REMOVED: (
        "Your passkeys are removed",
        "An administrator has removed your passkeys. Add a new one",
    ),
}


def tell_of_ready(context: Context) -> None:
    """Mails the owners who may add a new passkey from now on."""
    now = context.now()
    with context.database.read() as connection:
        if not passkeys.is_any_ready(connection, now):
            return
    with context.database.begin() as connection:
        owners = passkeys.tell_ready(connection, now)
    for owner in owners:
        _post(context, owner, *_READY)


def tell_of_notices(context: Context) -> None:
    """Mails what commands and pages left for owners; without mail the notices are dropped."""
    now = context.now()
    with context.database.read() as connection:
        if not notices.is_any_waiting(connection, now):
            return
    with context.database.begin() as connection:
        found = notices.take_notices(connection, now)
    for owner, about in found:
        _post(context, owner, *_NOTICES[about])


def passkey_mail(issuer: str, email: str, subject: str, text: str) -> Mail:
    """Returns a mail about an owner's passkeys."""
    tail = "If that was not you, tell the administrator of this server"
    return Mail(email, subject, f"{text}: {issuer}/owner/passkeys\n\n{tail}.\n")


def _post(context: Context, owner: str, subject: str, text: str) -> None:
    if context.outbox.can_reach(owner):
        context.outbox.post(passkey_mail(context.settings.issuer, owner, subject, text))
