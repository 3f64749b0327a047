"""Requests of signed-in owners, and what they may do with a mailed code alone."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from auth_agent.server.console import queries as data
from auth_agent.server.console.passkeys import is_fresh
from auth_agent.server.console.sessions import BrowserSession, find_session
from auth_agent.server.console.visit import PersonVisit, not_found
from auth_agent.server.context import Context, Handler
from auth_agent.server.registry.people import passkeys
from auth_agent.server.registry.people.browser_sessions import INVITATION, OWNER
from auth_agent.server.storage.audit import acting
from auth_agent.server.web.call import Answer, Call, Refusal, redirect
from auth_agent.server.web.parameters import Parameters

# Pages that may follow a sign-in; nothing else is ever redirected to.
_NEXT = re.compile(r"/owner(/[a-z-]{1,40}){0,3}(\?[a-z]{1,20}=[A-Za-z0-9_.-]{1,100}){0,1}")


class OwnerVisit(PersonVisit):
    """A request of a signed-in owner."""

    def __init__(self, context: Context, call: Call, session: BrowserSession) -> None:
        super().__init__(context, call, session, "/owner", email=session.holder)
        self.email = session.holder

    def agent(self, agent_id: str) -> Any:
        """Returns an agent that is surely this owner's; 404 for any other.

        Strangers may register an agent under an owner's address; it is the owner's once claimed.
        """
        with self.context.database.read() as connection:
            row = data.find_agent(connection, agent_id)
        if row is None or row.email != self.email or not row.email_verified:
            raise not_found("agent")
        return row

    def passkeys(self) -> list[Any]:
        with self.context.database.read() as connection:
            return passkeys.list_passkeys(connection, OWNER, self.email)

    @property
    def is_invited(self) -> bool:
        """Returns True for an owner who came by an administrator's link, to add a passkey."""
        return self.session.how == INVITATION

    @property
    def is_strong(self) -> bool:
        """Returns False for an owner who has a passkey and came without one."""
        return self.session.how == "passkey" or not self.passkeys()

    def need_strong(self) -> None:
        """Refuses what an owner with a passkey may not do after signing in by mail.

        Such an owner may look, deny, end and tighten.
        """
        if not self.is_strong:
            text = "This needs your passkey: sign out, then sign in with the passkey"
            raise Refusal(403, "passkey_needed", text)

    def need_fresh(self) -> None:
        if not is_fresh(self.context, self.session):
            text = "Sign in again first: this needs a sign-in that is at most five minutes old"
            raise Refusal(403, "sign_in_again", text)


OwnerPage = Callable[[OwnerVisit], Answer]


def owned(handler: OwnerPage, *, invited: bool = False) -> Handler:
    """Requires an owner's session and, for a POST, our own form.

    An invited owner, who has five minutes for the first passkey, gets `invited` pages only.
    """

    @functools.wraps(handler)
    def answer(context: Context, call: Call) -> Answer:
        session = find_session(context, call, OWNER)
        is_invited = session is not None and session.how == INVITATION
        if session is None or (is_invited and not is_fresh(context, session)):
            return redirect(sign_in_path(context, _wanted(context, call)))
        if is_invited and not invited:
            if call.method == "GET":
                return redirect(f"{context.settings.path}/owner/passkeys")
            raise Refusal(403, "passkey_needed", "This needs a passkey: add one first")
        visit = OwnerVisit(context, call, session)
        with acting(f"owner {visit.email}", call.address):
            return handler(visit)

    return answer


def sign_in_path(context: Context, following: str = "") -> str:
    tail = f"?next={quote(following, safe='')}" if following else ""
    return f"{context.settings.path}/owner/sign-in{tail}"


def next_page(parameters: Parameters) -> str:
    """Returns the owner's page that the sign-in leads on to; empty for the first one."""
    wanted = parameters.get("next", "")
    return wanted if _NEXT.fullmatch(wanted) else ""


def after_sign_in(context: Context, following: str) -> Answer:
    return redirect(f"{context.settings.path}{following or '/owner'}")


def _wanted(context: Context, call: Call) -> str:
    """Returns the page of a GET, without the path that the issuer may have."""
    if call.method != "GET":
        return ""
    root, path = context.settings.path, call.path
    # A proxy may have removed the issuer's path already.
    if path.startswith(f"{root}/owner"):
        path = path.removeprefix(root)
    wanted = path + (f"?{call.query.decode('ascii', 'replace')}" if call.query else "")
    return wanted if _NEXT.fullmatch(wanted) and wanted != "/owner" else ""


def with_query(path: str, **query: str) -> str:
    return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"
