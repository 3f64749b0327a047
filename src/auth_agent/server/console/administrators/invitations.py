"""The console's page about invitations: links with which owners add their first passkey."""

from __future__ import annotations

from auth_agent.server.approval.invitations import (
    InvitationError,
    invite,
    list_invitations,
    withdraw,
)
from auth_agent.server.bounds import HOUR, MINUTE
from auth_agent.server.console.passkeys import local_name, party_of
from auth_agent.server.console.visit import PAGE_SIZE, ConsoleVisit, not_found
from auth_agent.server.web.call import Answer, Refusal

# How long a link may be valid, and how the form calls it.
LIFETIMES = {
    15 * MINUTE: "15 minutes",
    HOUR: "1 hour",
    8 * HOUR: "8 hours",
    24 * HOUR: "24 hours",
}
_NO_NAME = Refusal(409, "no_passkeys", "Passkeys need a server with a name, not an IP address")


def invitations_page(visit: ConsoleVisit) -> Answer:
    """GET /console/invitations?owner=…: the form, and the links that are open."""
    return _page(visit, visit.query.get("owner", ""), HOUR)


def invite_owner(visit: ConsoleVisit) -> Answer:
    """POST /console/invitations: shows the link on the page that answers, and never again."""
    context, form = visit.context, visit.form
    if party_of(context) is None:
        raise _NO_NAME
    owner, text = form.get("owner", "").strip(), form.get("lifetime", "")
    lifetime = next((each for each in LIFETIMES if str(each) == text), HOUR)
    try:
        owner, token = invite(context.database, owner, visit.now, lifetime)
    except InvitationError as error:
        text = str(error)
        return _page(visit, owner, lifetime, f"{text[:1].upper()}{text[1:]}.")
    url = f"{context.settings.issuer}/owner/invitation?token={token.reveal()}"
    return visit.page(
        "console_invitation.html", owner=owner, lasts=LIFETIMES[lifetime], invitation=url
    )


def withdraw_invitation(visit: ConsoleVisit) -> Answer:
    """POST /console/invitations/withdraw: the owner's link stops working at once."""
    if not withdraw(visit.context.database, visit.form.get("owner", ""), visit.now):
        raise not_found("open invitation: it was used, or has expired")
    return visit.go("/invitations", done="withdrawn")


def _page(visit: ConsoleVisit, owner: str, lifetime: int, problem: str = "") -> Answer:
    with visit.context.database.read() as connection:
        rows = list_invitations(connection, visit.now, PAGE_SIZE)
    return visit.page(
        "console_invitations.html",
        400 if problem else 200,
        rows=rows,
        owner=owner,
        lifetime=lifetime,
        lifetimes=LIFETIMES,
        problem=problem,
        has_name=party_of(visit.context) is not None,
        can_mail=visit.context.outbox.can_send,
        local_name=local_name(visit.context),
    )
