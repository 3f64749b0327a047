"""The owner's answer to a question: it finishes the sign-in that waits for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from auth_agent.server.approval import questions, state
from auth_agent.server.approval.websites import api_of, note_approval, remember, website_of
from auth_agent.server.context import Context
from auth_agent.server.sign_in.agent.answering import Answering, approve_sign_in
from auth_agent.server.sign_in.state import find_with_claimant
from auth_agent.server.web.call import Refusal

# RFC 8176: the person was there and used two factors with one gesture; or a mailed code.
_METHODS = {"passkey": "user mfa", "device passkey": "user hwk mfa", "mail": "user otp"}


def approve_question(
    context: Context,
    connection: Connection,
    question: Any,
    answered: state.Answered,
    *,
    always: bool = False,
) -> None:
    """Approves a question and the sign-in behind it, once; Refusal 409 if it is over.

    `always` asks no more about sign-ins of this agent at this website. A refusal has to end the
    transaction.
    """
    now = context.now()
    if not state.approve(connection, question, now, answered):
        raise _over(connection, question, now)
    website = api_of(question.audience or question.origin)
    if question.kind == state.SIGN_IN:
        website = _finish(context, connection, question, answered)
    this, now = (question.agent_id, question.client_id, website), context.now()
    remember(connection, *this, name=question.website, now=now)
    if question.act is None:
        note_approval(connection, *this, now=now, scope=question.scope, always=always)


def deny_question(context: Context, connection: Connection, question: Any, by: str) -> None:
    """Denies a question and the sign-in behind it; Refusal 409 if it is over."""
    now = context.now()
    if not state.deny(connection, question, now, by):
        raise _over(connection, question, now)


def methods(amr: str, how: str) -> str:
    """Returns how agent and owner proved themselves, as values of `amr`."""
    return " ".join(dict.fromkeys([*amr.split(), *_METHODS[how].split()]))


def _finish(
    context: Context,
    connection: Connection,
    question: Any,
    answered: state.Answered,
) -> str:
    """Approves the sign-in behind a question; returns its website."""
    row = find_with_claimant(connection, question.request_id, question.agent_id)
    how = methods(question.amr, answered.how)
    by = Answering(question.agent_id, question.model, how, question.address)
    if row is None or not approve_sign_in(context, connection, row, by, question.scope):
        raise Refusal(409, "not_waiting", "The sign-in behind this question is over")
    return website_of(row)


def _over(connection: Connection, question: Any, now: int) -> Refusal:
    found = questions.find(connection, question.id)
    status = "over" if found is None else questions.status_of(found, now)
    if status == "waiting":
        return Refusal(403, "access_denied", "Only the owner of an enabled agent can answer this")
    return Refusal(409, "not_waiting", f"This question is already {status}")
