"""The owners' pages: their agents, the present sign-ins, and how to end them."""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlencode

from auth_agent.server.approval import questions as asked
from auth_agent.server.approval.need import STRICTNESS
from auth_agent.server.console import log
from auth_agent.server.console import queries as data
from auth_agent.server.console.grants import list_grants
from auth_agent.server.console.owners import questions
from auth_agent.server.console.owners.visit import OwnerVisit
from auth_agent.server.console.sessions import end_session
from auth_agent.server.console.visit import PAGE_SIZE, not_found
from auth_agent.server.console.visited import by_website, list_visited
from auth_agent.server.registry import agents
from auth_agent.server.registry.people.browser_sessions import OWNER
from auth_agent.server.registry.people.passkeys import find_recovery
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer, Refusal

_LATEST = 10

# What each setting does, as owners read it.
SETTINGS = {
    "off": "Never ask me",
    "notify": "Mail me at its first sign-in at a website",
    "first": "Ask me once for each website",
    "always": "Ask me at every sign-in",
}


def home(visit: OwnerVisit) -> Answer:
    """GET /owner: the owner's agents and where they are signed in."""
    with visit.context.database.read() as connection:
        mine = data.agents_of(connection, visit.email)
        unclaimed = data.unclaimed_agents(connection, visit.email)
        grants = list_grants(connection, visit.now, {"owner": visit.email}, 1)
        waiting = asked.list_waiting(connection, visit.email, visit.now)
        recovery = find_recovery(connection, visit.email, visit.now)
    signed_in: dict[str, Counter[str]] = {row.id: Counter() for row in mine}
    for grant in grants[:PAGE_SIZE]:
        signed_in[grant.agent_id][grant.website] += 1
    return visit.page(
        "console_owner_home.html",
        agents=mine,
        signed_in=signed_in,
        unclaimed=unclaimed,
        waiting=[questions.shown(row) for row in waiting],
        recovery=recovery,
    )


def claim(visit: OwnerVisit) -> Answer:
    """POST /owner/agent/claim: the owner confirms that this one agent is theirs."""
    visit.need_strong()
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
        visited = list_visited(connection, [row], visit.now)
        history = log.list_history(connection, {"agent": row.id}, 1)
    return visit.page(
        "console_owner_agent.html",
        setting=row.approval or visit.context.settings.approval,
        default=visit.context.settings.approval,
        settings=SETTINGS,
        agent=row,
        visited=visited[:PAGE_SIZE],
        is_signed_in=any(each.valid for each in visited),
        history=history[:_LATEST],
    )


def websites_page(visit: OwnerVisit) -> Answer:
    """GET /owner/websites: where all the owner's agents signed in, by website."""
    with visit.context.database.read() as connection:
        mine = data.agents_of(connection, visit.email)[:PAGE_SIZE]
        websites = by_website(list_visited(connection, mine, visit.now))
    return visit.page("console_owner_websites.html", websites=websites[:PAGE_SIZE])


def end_at_website(visit: OwnerVisit) -> Answer:
    """POST /owner/agent/end-at: ends the agent's sign-ins at one website, and notifies it."""
    row, website = visit.agent(visit.form.get("id", "")), visit.form.get("website", "")
    endings.end_at_website(visit.context.database, row.id, website, visit.now)
    if visit.form.get("back") == "websites":
        return visit.go("/websites", done="ended-there")
    return visit.go("/agent", id=row.id, done="ended-there")


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
    if not needed:
        visit.need_strong()
    agents.set_second_factor(visit.context.database, row.id, visit.now, needed=needed)
    done = "second-factor-on" if needed else "second-factor-off"
    return visit.go("/agent", id=row.id, done=done)


def set_approval(visit: OwnerVisit) -> Answer:
    """POST /owner/agent/approval: when the owner is asked; to be asked less needs the passkey."""
    row, setting = visit.agent(visit.form.get("id", "")), visit.form.get("approval", "")
    default = visit.context.settings.approval
    if setting not in ("", *STRICTNESS):
        raise Refusal(400, "invalid_request", "There is no such setting")
    if STRICTNESS[setting or default] < STRICTNESS[row.approval or default]:
        visit.need_strong()
    agents.change_agent(visit.context.database, row.id, visit.now, approval=setting or None)
    return visit.go("/agent", id=row.id, done="saved")


def rotate_secret(visit: OwnerVisit) -> Answer:
    """POST: shows the new secret on the page that answers, and never again."""
    row = visit.agent(visit.form.get("id", ""))
    visit.need_strong()
    secret = agents.rotate_agent_secret(visit.context.database, row.id, visit.now)
    if secret is None:
        raise Refusal(409, "invalid_request", "This agent has no secret that could be replaced")
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
