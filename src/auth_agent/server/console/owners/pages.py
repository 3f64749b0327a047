"""The owners' pages: their agents, the present sign-ins, and how to end them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from auth_agent.server.console import queries as data
from auth_agent.server.console.owners import entrance
from auth_agent.server.console.sessions import BrowserSession, end_session, find_session
from auth_agent.server.console.visit import PAGE_SIZE, PersonVisit, not_found
from auth_agent.server.context import Context, Handler
from auth_agent.server.registry import agents
from auth_agent.server.registry.browser_sessions import OWNER
from auth_agent.server.storage.audit import acting
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer, Call, Refusal, redirect
from auth_agent.server.web.pages.refusals import WayOn, page
from auth_agent.server.web.route import Route

_owner_page = functools.partial(page, way_on=WayOn("/owner", "Back to your agents"))


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


OwnerPage = Callable[[OwnerVisit], Answer]


def owned(handler: OwnerPage) -> Handler:
    """Requires an owner's session and, for a POST, our own form."""

    @functools.wraps(handler)
    def answer(context: Context, call: Call) -> Answer:
        session = find_session(context, call, OWNER)
        if session is None:
            return redirect(f"{context.settings.path}/owner/sign-in")
        visit = OwnerVisit(context, call, session)
        with acting(f"owner {visit.email}", call.address):
            return handler(visit)

    return answer


def home(visit: OwnerVisit) -> Answer:
    """GET /owner: the owner's agents and where they are signed in."""
    with visit.context.database.read() as connection:
        mine = data.agents_of(connection, visit.email)
        unclaimed = data.unclaimed_agents(connection, visit.email)
        grants = data.list_grants(connection, visit.now, {"owner": visit.email}, 1)
    signed_in: dict[str, Counter[str]] = {row.id: Counter() for row in mine}
    for grant in grants[:PAGE_SIZE]:
        signed_in[grant.agent_id][grant.website] += 1
    return visit.page(
        "console_owner_home.html", agents=mine, signed_in=signed_in, unclaimed=unclaimed
    )


def claim(visit: OwnerVisit) -> Answer:
    """POST /owner/agent/claim: the owner confirms that this one agent is theirs."""
    agent_id = visit.form.get("id", "")
    if not agents.claim_agent(visit.context.database, agent_id, visit.email, visit.now):
        raise not_found("agent")
    return visit.go("/agent", id=agent_id, done="claimed")


def disown(visit: OwnerVisit) -> Answer:
    """POST /owner/agent/disown: the owner says that this agent is not theirs, which disables it."""
    with visit.context.database.read() as connection:
        row = data.find_unclaimed(connection, visit.form.get("id", ""), visit.email)
    if row is None:
        raise not_found("agent")
    endings.disable_agent(visit.context.database, row.id, visit.now)
    return visit.go("", done="disowned")


def agent_page(visit: OwnerVisit) -> Answer:
    """GET /owner/agent?id=…."""
    row = visit.agent(visit.query.get("id", ""))
    with visit.context.database.read() as connection:
        grants = data.list_grants(connection, visit.now, {"agent": row.id}, 1)
        history = data.list_history(connection, {"agent": row.id}, 1)
    return visit.page(
        "console_owner_agent.html",
        agent=row,
        grants=grants[:PAGE_SIZE],
        history=history[:PAGE_SIZE],
    )


def end_grant(visit: OwnerVisit) -> Answer:
    row = visit.agent(visit.form.get("agent", ""))
    endings.end_grant(visit.context.database, visit.form.get("id", ""), visit.now, of=row.id)
    return visit.go("/agent", id=row.id, done="ended")


def end_all(visit: OwnerVisit) -> Answer:
    row = visit.agent(visit.form.get("id", ""))
    endings.end_all_grants(visit.context.database, row.id, visit.now)
    return visit.go("/agent", id=row.id, done="all-ended")


def disable(visit: OwnerVisit) -> Answer:
    row = visit.agent(visit.form.get("id", ""))
    endings.disable_agent(visit.context.database, row.id, visit.now)
    return visit.go("/agent", id=row.id, done="disabled")


def switch_second_factor(visit: OwnerVisit) -> Answer:
    row = visit.agent(visit.form.get("id", ""))
    needed = visit.form.get("needed") == "yes"
    agents.set_second_factor(visit.context.database, row.id, visit.now, needed=needed)
    done = "second-factor-on" if needed else "second-factor-off"
    return visit.go("/agent", id=row.id, done=done)


def rotate_secret(visit: OwnerVisit) -> Answer:
    """POST: shows the new secret on the page that answers, and never again."""
    row = visit.agent(visit.form.get("id", ""))
    secret = agents.rotate_agent_secret(visit.context.database, row.id, visit.now)
    if secret is None:
        raise Refusal(409, "invalid_request", "This agent gets no new secret")
    return visit.page(
        "console_owner_secret.html",
        title="Secret replaced",
        back=f"/owner/agent?{urlencode({'id': row.id})}",
        facts=[("Agent", row.id), ("Secret", secret.reveal())],
    )


def sign_out(visit: OwnerVisit) -> Answer:
    with visit.context.database.begin() as connection:
        cookie = end_session(visit.context, connection, visit.call, OWNER)
    gone = visit.go("/sign-in")
    return gone.with_headers(cookie)


_OPEN: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/owner/sign-in", entrance.sign_in_page),
    ("POST", "/owner/sign-in", entrance.ask),
    ("GET", "/owner/code", entrance.code_page),
    ("POST", "/owner/code", entrance.enter_code),
    ("GET", "/owner/link", entrance.link_page),
    ("POST", "/owner/link", entrance.use_link),
)
_OWNED: tuple[tuple[str, str, OwnerPage], ...] = (
    ("GET", "/owner", home),
    ("GET", "/owner/agent", agent_page),
    ("POST", "/owner/agent/claim", claim),
    ("POST", "/owner/agent/disown", disown),
    ("POST", "/owner/grants/end", end_grant),
    ("POST", "/owner/agent/end-all", end_all),
    ("POST", "/owner/agent/disable", disable),
    ("POST", "/owner/agent/second-factor", switch_second_factor),
    ("POST", "/owner/agent/rotate-secret", rotate_secret),
    ("POST", "/owner/sign-out", sign_out),
)

OWNERS: tuple[Route[Context], ...] = (
    *(Route(method, path, handler, says_no=page) for method, path, handler in _OPEN),
    *(Route(method, path, owned(handler), says_no=_owner_page) for method, path, handler in _OWNED),
)
