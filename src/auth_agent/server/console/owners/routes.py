"""The addresses of the owners' pages."""

from __future__ import annotations

import functools

from auth_agent.server.console.owners import (
    entrance,
    invitation,
    notices,
    pages,
    passkeys,
    questions,
    requests,
)
from auth_agent.server.console.owners.visit import OwnerPage, owned
from auth_agent.server.context import Context, Handler
from auth_agent.server.web.pages.refusals import WayOn, page
from auth_agent.server.web.route import Route

_owner_page = functools.partial(page, way_on=WayOn("/owner", "Back to your agents"))

_OPEN: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/owner/sign-in", entrance.sign_in_page),
    ("POST", "/owner/sign-in", entrance.ask),
    ("GET", "/owner/code", entrance.code_page),
    ("POST", "/owner/code", entrance.enter_code),
    ("GET", "/owner/link", entrance.link_page),
    ("POST", "/owner/link", entrance.use_link),
    ("POST", "/owner/sign-in/passkey", entrance.use_passkey),
    ("GET", "/owner/invitation", invitation.invitation_page),
    ("POST", "/owner/invitation", invitation.accept),
    ("GET", "/owner/end", notices.end_page),
    ("POST", "/owner/end", notices.end),
)
_OWNED: tuple[tuple[str, str, OwnerPage], ...] = (
    ("GET", "/owner", pages.home),
    ("GET", "/owner/agent", pages.agent_page),
    ("POST", "/owner/agent/claim", pages.claim),
    ("POST", "/owner/agent/disown", pages.disown),
    ("GET", "/owner/websites", pages.websites_page),
    ("POST", "/owner/agent/end-at", pages.end_at_website),
    ("POST", "/owner/agent/end-all", pages.end_all),
    ("POST", "/owner/agent/disable", pages.disable),
    ("POST", "/owner/agent/second-factor", pages.switch_second_factor),
    ("POST", "/owner/agent/rotate-secret", pages.rotate_secret),
    ("POST", "/owner/agent/approval", pages.set_approval),
    ("POST", "/owner/agent/ask-again", questions.ask_again),
    ("GET", "/owner/question", questions.question_page),
    ("POST", "/owner/question/approve", questions.approve),
    ("POST", "/owner/question/deny", questions.deny),
    ("POST", "/owner/question/block", questions.block),
    ("GET", "/owner/history", questions.history),
    ("GET", "/owner/request", requests.request_page),
    ("POST", "/owner/request/approve", requests.approve),
    ("GET", "/owner/passkeys", passkeys.passkeys_page),
    ("POST", "/owner/passkeys/add", passkeys.add),
    ("POST", "/owner/passkeys/rename", passkeys.rename),
    ("POST", "/owner/passkeys/remove", passkeys.remove),
    ("POST", "/owner/passkeys/recover", passkeys.recover),
    ("POST", "/owner/passkeys/cancel-recovery", passkeys.cancel_recovery),
    ("POST", "/owner/sign-out", pages.sign_out),
)

# All that an invited owner may open before the first passkey is added.
_INVITED = {"/owner/passkeys", "/owner/passkeys/add", "/owner/sign-out"}

OWNERS: tuple[Route[Context], ...] = (
    *(Route(method, path, handler, says_no=page) for method, path, handler in _OPEN),
    *(
        Route(method, path, owned(handler, invited=path in _INVITED), says_no=_owner_page)
        for method, path, handler in _OWNED
    ),
)
