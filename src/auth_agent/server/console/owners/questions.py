"""Questions to owners: each on a page of its own, which the mail links to; looking decides nothing.

An owner who has a passkey approves with it, for exactly what the page shows; a mailed code may
look, deny and block.
"""

from __future__ import annotations

import json
from typing import Any

from auth_agent.protocol.details import canonical, visible
from auth_agent.server.approval import questions, websites
from auth_agent.server.approval.state import Answered
from auth_agent.server.console import queries as data
from auth_agent.server.console.owners.visit import OwnerVisit
from auth_agent.server.console.passkeys import act_options, party_of, prove_act
from auth_agent.server.console.visit import not_found
from auth_agent.server.registry.people.browser_sessions import OWNER
from auth_agent.server.registry.people.passkeys import has_passkey
from auth_agent.server.sign_in.browser.waiting import learns
from auth_agent.server.sign_in.owner import approve_question, deny_question
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer, Refusal
from auth_agent.server.web.urls import host_of

APPROVE, ALWAYS = "approve", "always"


def shown(question: Any) -> dict[str, Any]:
    """Returns a question as pages show it; all of its text comes from strangers."""
    acts = json.loads(question.act) if question.act else []
    return {
        "id": question.id,
        "host": host_of(question.origin),
        "origin": question.origin,
        "website": question.website,
        "agent_id": question.agent_id,
        "model": question.model,
        "opens": [url for url in (question.audience or "").split() if url != question.origin],
        "learns": learns(question.scope),
        "message": question.message,
        "acts": [act_facts(act) for act in acts],
        "title": acts[0].get("title") if acts else "",
        "asked_at": question.asked_at,
        "address": question.address,
        "expires_at": question.expires_at,
        "answered_at": question.answered_at,
        "answered_how": question.answered_how,
        "code": questions.short_code(question.request_id),
    }


def act_facts(act: dict[str, Any]) -> dict[str, Any]:
    """Returns an act as its title and its other members, each as text."""
    others = {name: value for name, value in act.items() if name != "title"}
    facts = [
        (visible(name), visible(value if isinstance(value, str) else canonical(value)))
        for name, value in others.items()
    ]
    return {"title": visible(str(act.get("title", ""))), "facts": facts}


def subject(question: Any, decision: str) -> str:
    """Returns what a passkey signs: the decision, and everything that was shown with it."""
    names = ("request_id", "agent_id", "model", "client_id", "origin", "audience", "scope")
    told = {name: getattr(question, name) for name in (*names, "message")}
    act = json.loads(question.act) if question.act else None
    return canonical({**told, "act": act, "decision": decision})


def question_page(visit: OwnerVisit) -> Answer:
    """GET /owner/question?id=…: shows what is asked; decides nothing."""
    question = _question(visit, visit.query.get("id", ""))
    status, known = questions.status_of(question, visit.now), visit.passkeys()
    options = {}
    if status == "waiting" and known and party_of(visit.context) is not None:
        options = {
            decision: act_options(
                visit.context, visit.session, known, decision, subject(question, decision)
            )
            for decision in (APPROVE, ALWAYS)
        }
    with visit.context.database.read() as connection:
        agent = data.find_agent(connection, question.agent_id)
    return visit.page(
        "console_owner_question.html",
        question=shown(question),
        agent=agent,
        status=status,
        options=options,
        needs_passkey=bool(known),
        can_always=question.act is None,
        has_name=party_of(visit.context) is not None,
    )


def approve(visit: OwnerVisit) -> Answer:
    """POST /owner/question/approve: with `always`, no further sign-in here is asked about."""
    question = _question(visit, visit.form.get("id", ""))
    decision = visit.form.get("decision", "")
    if decision not in (APPROVE, ALWAYS) or (decision == ALWAYS and question.act is not None):
        raise Refusal(400, "invalid_request", "There is no such decision")
    with visit.context.database.begin() as connection:
        answered = proven_answer(visit, connection, question, decision)
        approve_question(visit.context, connection, question, answered, always=decision == ALWAYS)
    return visit.go("/question", id=question.id, done="approved")


def deny(visit: OwnerVisit) -> Answer:
    question = _question(visit, visit.form.get("id", ""))
    with visit.context.database.begin() as connection:
        deny_question(visit.context, connection, question, visit.email)
    return visit.go("/question", id=question.id, done="denied")


def block(visit: OwnerVisit) -> Answer:
    """POST /owner/question/block: disables the agent, which ends everything that it waits for."""
    question = _question(visit, visit.form.get("id", ""))
    endings.disable_agent(visit.context.database, visit.agent(question.agent_id).id, visit.now)
    return visit.go("/question", id=question.id, done="disabled")


def ask_again(visit: OwnerVisit) -> Answer:
    """POST /owner/agent/ask-again: removes the owner's approval of a website."""
    row = visit.agent(visit.form.get("id", ""))
    client_id, origin = visit.form.get("client", ""), visit.form.get("origin", "")
    with visit.context.database.begin() as connection:
        if not websites.ask_again(connection, row.id, client_id, origin):
            raise not_found("website")
    if visit.form.get("back") == "websites":
        return visit.go("/websites", done="asked-again")
    return visit.go("/agent", id=row.id, done="asked-again")


def history(visit: OwnerVisit) -> Answer:
    """GET /owner/history: the owner's latest questions and what came of them."""
    with visit.context.database.read() as connection:
        rows = questions.list_answered(connection, visit.email, visit.now)
        mine = data.agents_of(connection, visit.email)
    told = [{**shown(row), "status": questions.status_of(row, visit.now)} for row in rows]
    names = {row.id: row.display_name or row.name or "Agent" for row in mine}
    return visit.page("console_owner_history.html", rows=told, names=names)


def proven_answer(visit: OwnerVisit, connection: Any, question: Any, decision: str) -> Answered:
    """Returns who approves and how; refuses a mailed code where the owner has a passkey."""
    if not has_passkey(connection, OWNER, visit.email):
        return Answered(by=visit.email, how="mail")
    proof = prove_act(
        visit.context,
        connection,
        visit.session,
        purpose=decision,
        subject=subject(question, decision),
        text=visit.form.get("credential", ""),
    )
    return Answered(
        by=visit.email,
        how=proof.how,
        passkey_id=proof.passkey.id,
        assertion=proof.signed.evidence,
    )


def _question(visit: OwnerVisit, question_id: str) -> Any:
    """Returns a question to this owner; 404 for any other."""
    with visit.context.database.read() as connection:
        question = questions.find(connection, question_id)
    if question is None or question.owner != visit.email:
        raise not_found("question")
    return question
