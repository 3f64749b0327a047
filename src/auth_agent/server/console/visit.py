"""Requests of signed-in people; the console answers administrators only."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from auth_agent.server.console.sessions import BrowserSession, find_session, form_token, read_form
from auth_agent.server.context import Context, Handler
from auth_agent.server.registry.people.administrators import Account, find_account
from auth_agent.server.registry.people.browser_sessions import ADMINISTRATOR
from auth_agent.server.storage.audit import acting
from auth_agent.server.web.call import Answer, Call, Refusal, redirect
from auth_agent.server.web.pages.refusals import WayOn, page
from auth_agent.server.web.parameters import Parameters, from_query

PAGE_SIZE = 50
LAST_PAGE = 2_000

# Messages at the top of a page after a form was sent; no text of the URL itself is shown.
NOTICES = {
    "added": "Added.",
    "saved": "Saved.",
    "disabled": "The agent is disabled. Its tokens are revoked and its websites are notified.",
    "enabled": "The agent can sign in again.",
    "removed": "The website is removed. All its tokens are revoked.",
    "forgotten": "The API is removed. Tokens that were issued for it stay valid until they expire.",
    "ended": "The sign-in is ended.",
    "all-ended": "All sign-ins are ended.",
    "token-revoked": "The token is revoked.",
    "rotated": "A new key is published; it signs ten seconds from now.",
    "claimed": "This agent is yours: websites that it signs in to see your address.",
    "disowned": "The agent is disabled. It never had your address in its tokens.",
    "vouched": "The address counts as verified.",
    "second-factor-on": "Each sign-in of this agent now needs a code mailed to its owner.",
    "second-factor-off": "This agent now signs in without a code of its owner.",
    "signing-key": "The agent can sign its requests with this key.",
    "signing-key-removed": "The key is removed. Websites stop accepting it within five minutes.",
    "approved": "Approved. The agent continues by itself.",
    "denied": "Denied. The website is notified.",
    "withdrawn": "The invitation is withdrawn: its link no longer works.",
    "ended-there": "Its sign-ins there are ended, and the website is notified.",
    "asked-again": "You will be asked again about this website.",
    "passkey-added": "The passkey is added. From now on, approving needs it.",
    "passkey-removed": "The passkey is removed. You have been mailed about it.",
    "recovery": "You can add a new passkey in 24 hours. You have been mailed about it.",
    "recovery-cancelled": "The request is cancelled: your passkeys stay as they are.",
    "admin-passkey-added": "The passkey is added. It signs you in.",
    "admin-passkey-removed": "The passkey is removed.",
    "owner-passkeys": "The owner's passkeys are removed; a mailed code adds a new one.",
    "password": "The password is changed. Other browsers are signed out.",
}


console_page = functools.partial(page, way_on=WayOn("/console", "Back to the console"))


class PersonVisit:
    """A request of a signed-in person; a POST's form is known to come from our own page."""

    def __init__(
        self, context: Context, call: Call, session: BrowserSession, root: str, **shown: Any
    ) -> None:
        self.context = context
        self.call = call
        self.session = session
        self.root = f"{context.settings.path}{root}"
        self.query = from_query(call.query)
        self.form = Parameters()
        if call.method == "POST":
            self.form = read_form(context, call, session.token.reveal())
        self._shown = shown

    @property
    def now(self) -> int:
        return self.context.now()

    def page(self, name: str, status: int = 200, /, **values: Any) -> Answer:
        """Returns a page inside the frame that names the person."""
        return self.context.pages.page(
            name,
            status,
            form_token=form_token(self.session.token.reveal()),
            notice=NOTICES.get(self.query.get("done", ""), ""),
            **self._shown,
            **values,
        )

    def go(self, path: str, **query: str) -> Answer:
        """Redirects to another page of the same person, after a form."""
        tail = f"?{urlencode(query)}" if query else ""
        return redirect(f"{self.root}{path}{tail}")

    def page_number(self) -> int:
        """Returns the requested page of a list, from 1."""
        text = self.query.get("page", "1").lstrip("0")
        if not text.isascii() or not text.isdigit():
            return 1
        return min(int(text), LAST_PAGE) if len(text) <= len(str(LAST_PAGE)) else LAST_PAGE


class ConsoleVisit(PersonVisit):
    """A request of a signed-in administrator."""

    def __init__(
        self, context: Context, call: Call, session: BrowserSession, account: Account
    ) -> None:
        super().__init__(context, call, session, "/console", account=account)
        self.account = account


Guarded = Callable[[ConsoleVisit], Answer]


def guarded(handler: Guarded) -> Handler:
    """Requires an administrator's session and, for a POST, our own form."""

    @functools.wraps(handler)
    def answer(context: Context, call: Call) -> Answer:
        session = find_session(context, call, ADMINISTRATOR)
        account = None if session is None else _account(context, session)
        if session is None or account is None:
            return redirect(f"{context.settings.path}/console/sign-in")
        visit = ConsoleVisit(context, call, session, account)
        with acting(f"administrator {account.name}", call.address):
            return handler(visit)

    return answer


def not_found(what: str) -> Refusal:
    return Refusal(404, "not_found", f"There is no such {what}")


def pages_of(
    visit: PersonVisit, path: str, rows: list[Any], filters: dict[str, str]
) -> dict[str, Any]:
    """Returns the rows of one page and its neighbours' URLs; `rows` has one more if it can."""
    number = visit.page_number()
    root = f"{visit.context.settings.path}{path}"

    def link(page: int) -> str:
        return f"{root}?{urlencode({**filters, 'page': str(page)})}"

    more = len(rows) > PAGE_SIZE and number < LAST_PAGE
    return {
        "rows": rows[:PAGE_SIZE],
        "previous": link(number - 1) if number > 1 else "",
        "next": link(number + 1) if more else "",
        "number": number,
        "filters": filters,
    }


def filters_of(query: Parameters, *names: str) -> dict[str, str]:
    """Returns the filters that are set; an empty field sets none."""
    return {name: query[name].strip() for name in names if query.get(name, "").strip()}


def _account(context: Context, session: BrowserSession) -> Account | None:
    with context.database.read() as connection:
        return find_account(connection, session.holder)
