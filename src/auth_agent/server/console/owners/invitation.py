"""The link that an administrator hands to an owner: it signs in to add the first passkey only."""

from __future__ import annotations

from auth_agent.server.approval.invitations import find_invited, use_invitation
from auth_agent.server.console.passkeys import NO_NAME, party_of
from auth_agent.server.console.sessions import (
    form_token,
    known_mark,
    read_form,
    start_session,
    visitor_mark,
)
from auth_agent.server.context import Context
from auth_agent.server.registry.people.browser_sessions import INVITATION, OWNER
from auth_agent.server.registry.people.passkeys import has_passkey
from auth_agent.server.storage.audit import acting, record
from auth_agent.server.web.call import Answer, Call, Headers, Refusal, redirect
from auth_agent.server.web.parameters import from_query

_OVER = Refusal(
    410,
    "invalid_request",
    "This invitation was used, has expired or is not valid; ask the administrator for a new one",
)
_HAS_ONE = Refusal(
    409,
    "invalid_request",
    "You have a passkey already: sign in with it; if it is lost, ask the administrator",
)


def invitation_page(context: Context, call: Call) -> Answer:
    """GET /owner/invitation?token=…: one button; opening the page does not sign in."""
    token = from_query(call.query).get("token", "")
    with context.database.read() as connection:
        owner = find_invited(connection, token, context.now())
    mark, cookie = visitor_mark(context, call)
    page = context.pages.page(
        "console_owner_invitation.html",
        200 if owner else 410,
        form_token=form_token(mark),
        token=token,
        email=owner or "",
        has_name=party_of(context) is not None,
    )
    return page.with_headers(cookie)


def accept(context: Context, call: Call) -> Answer:
    """POST /owner/invitation: uses the link, and leads to the page that adds the passkey."""
    form = read_form(context, call, known_mark(context, call))
    if party_of(context) is None:
        raise Refusal(409, "no_passkeys", NO_NAME.rstrip("."))
    try:
        cookie = _sign_in(context, call, form.get("token", ""))
    except Refusal:
        context.record_refusal(kind="owner sign-in", outcome="refused", address=call.address)
        raise
    return redirect(f"{context.settings.path}/owner/passkeys").with_headers(cookie)


def _sign_in(context: Context, call: Call, token: str) -> Headers:
    now = context.now()
    with context.database.begin() as connection:
        owner = find_invited(connection, token, now)
        if owner is None:
            raise _OVER
        with acting(f"owner {owner}", call.address):
            if use_invitation(connection, token, now) is None:
                raise _OVER
            if has_passkey(connection, OWNER, owner):
                raise _HAS_ONE
            record(connection, at=now, kind="owner sign-in", outcome="signed in")
            return start_session(context, connection, call, OWNER, owner, how=INVITATION)
