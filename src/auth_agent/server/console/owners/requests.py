"""A person in front of the waiting page: "This is my agent".

The owner chooses one of the own agents and approves the sign-in in its name; no agent software is
needed. Only the browser that opened the sign-in can do that, so that a link sent by a stranger
approves nothing of the stranger's.
"""

from __future__ import annotations

import json
from typing import Any

from auth_agent.server.approval import asking, questions, state
from auth_agent.server.console import queries as data
from auth_agent.server.console.owners.questions import act_facts, proven_answer, subject
from auth_agent.server.console.owners.visit import OwnerVisit, with_query
from auth_agent.server.console.passkeys import act_options, party_of
from auth_agent.server.sign_in.agent.answering import Answering, granted_scope, question_about
from auth_agent.server.sign_in.browser.mark import is_bound
from auth_agent.server.sign_in.browser.waiting import form_target, learns
from auth_agent.server.sign_in.owner import approve_question
from auth_agent.server.sign_in.state import await_owner, find_sign_in, find_with_claimant, status_of
from auth_agent.server.web.call import Answer, Refusal, redirect
from auth_agent.server.web.urls import host_of, return_origin

PURPOSE = "my agent"


def request_page(visit: OwnerVisit) -> Answer:
    """GET /owner/request?id=…: which agent it is, and what is asked; decides nothing."""
    row = _request(visit, visit.query.get("id", ""))
    if row.question_id is not None:
        return redirect(f"{visit.root}{with_query('/question', id=row.question_id)}")
    with visit.context.database.read() as connection:
        mine = data.agents_of(connection, visit.email)
    agents = [each for each in mine if each.disabled_at is None and _may_answer(row, each.id)]
    chosen = next((each for each in agents if each.id == visit.query.get("agent")), None)
    options, known = "", visit.passkeys()
    if chosen is not None and known and party_of(visit.context) is not None:
        question = _question(visit, row.id, chosen.id)
        told = subject(question, PURPOSE)
        options = act_options(visit.context, visit.session, known, PURPOSE, told)
    return visit.page(
        "console_owner_request.html",
        form_targets=f" {form_target(row.redirect_uri)}",
        request=row,
        host=host_of(row.redirect_uri),
        origin=return_origin(row.redirect_uri),
        opens=[url for url in row.audience.split() if url != return_origin(row.redirect_uri)],
        learns=learns(row.scope),
        acts=_acts(row),
        code=questions.short_code(row.id),
        agents=agents,
        chosen=chosen,
        options=options,
        needs_passkey=bool(known),
        has_name=party_of(visit.context) is not None,
    )


def approve(visit: OwnerVisit) -> Answer:
    """POST /owner/request/approve: asks and approves in one step, and goes on to the website."""
    context = visit.context
    row = _request(visit, visit.form.get("id", ""))
    agent = visit.agent(visit.form.get("agent", ""))
    if not _may_answer(row, agent.id):
        raise Refusal(409, "another_agent", "Only the agent that asked may answer this request")
    question = _question(visit, row.id, agent.id)
    now = context.now()
    until = max(row.expires_at, now + 60)
    with context.database.begin() as connection:
        answered = proven_answer(visit, connection, question, PURPOSE)
        asking.hold_owner(context, connection, question)
        waits = await_owner(
            connection, row.id, now, question_id=question.id, agent_id=agent.id, until=until
        )
        if not waits:
            raise Refusal(409, "already_answered", "This request has been answered in the meantime")
        state.write(connection, question, now, until)
        asked = questions.find(connection, question.id)
        approve_question(context, connection, asked, answered)
    return redirect(f"{context.settings.path}/authorize/continue?request_id={row.id}")


def _request(visit: OwnerVisit, request_id: str) -> Any:
    """Returns a pending sign-in that this browser has opened; 404 for any other."""
    with visit.context.database.read() as connection:
        row = find_sign_in(connection, request_id)
    if row is None or not is_bound(visit.context, visit.call, row):
        raise Refusal(404, "not_found", "This sign-in was not opened in this browser")
    if status_of(row, visit.now) != "pending":
        raise Refusal(410, "not_waiting", "This sign-in is over; start again at the website")
    return row


def _may_answer(row: Any, agent_id: str) -> bool:
    return row.only_agent in (None, agent_id)


def _question(visit: OwnerVisit, request_id: str, agent_id: str) -> Any:
    """Returns the question that the owner answers in the same step."""
    with visit.context.database.read() as connection:
        row = find_with_claimant(connection, request_id, agent_id)
    if row is None or row.claimant is None:
        raise Refusal(410, "not_waiting", "This sign-in is over; start again at the website")
    by = Answering(agent_id, row.agent_model, "", visit.call.address)
    return question_about(row, by, granted_scope(row))


def _acts(row: Any) -> list[dict[str, Any]]:
    return [act_facts(act) for act in json.loads(row.act)] if row.act else []
