"""A proven agent's answer to a sign-in: approved at once, or after its owner was asked."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection

from auth_agent.server.approval import asking, state
from auth_agent.server.approval.need import NOTIFY, looks_up_website, needs_owner
from auth_agent.server.approval.websites import find_known, website_of
from auth_agent.server.context import Context
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.registry.self_registered.document_rows import keep_approved
from auth_agent.server.security.credentials import digest
from auth_agent.server.sign_in.state import (
    approve,
    await_owner,
    find_with_claimant,
    is_trusted,
    is_waiting_for_owner,
)
from auth_agent.server.storage.audit import record
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Answer, Refusal, json_answer
from auth_agent.server.web.urls import return_origin

NOT_FOUND = (404, "request_not_found", "The request is unknown or has expired")


class Answering(NamedTuple):
    """A proven agent: the model that it claims, how it proved itself, and its address."""

    agent_id: str
    model: str
    how: str
    address: str | None


def standing_answer(context: Context, row: Any, agent_id: str) -> Answer | None:
    """Returns the answer to an agent that has answered before; Refusal 409 if another one has."""
    if row.denied_at is not None:
        if row.denied_by == "owner":
            raise Refusal(403, "access_denied", "The owner did not approve this request")
        raise Refusal(409, "request_denied", "The request was cancelled in the browser")
    is_waiting = is_waiting_for_owner(row)
    if row.approved_at is None and not is_waiting:
        return None
    if row.agent_id != agent_id:
        raise Refusal(409, "already_answered", "Another agent has answered this request")
    return _waiting(row.expires_at - context.now()) if is_waiting else _approved()


def accept(context: Context, row: Any, by: Answering) -> Answer:
    """Approves a sign-in for a proven agent, or asks its owner; mails after the transaction."""
    if not is_trusted(row):
        or_wait()  # a client is stored, which the event loop's thread never does
    with context.database.begin() as connection:
        answer, mail = accept_in(context, connection, row, by)
    if mail is not None:
        context.outbox.post(mail)
    return answer


def accept_in(
    context: Context, connection: Connection, row: Any, by: Answering
) -> tuple[Answer, Mail | None]:
    """Does what `accept` does inside a transaction; the caller posts the mail after it."""
    context.limits.refuse_if_spent("agent_successes", by.agent_id)
    scope = granted_scope(row)
    setting = row.approval or context.settings.approval
    is_verified = row.agent_email_verified
    can_mail = asking.may_notify(context, row.agent_email, is_verified=is_verified)
    known, looks = None, looks_up_website(setting, can_mail=can_mail)
    if looks:
        known = find_known(connection, by.agent_id, row.client_id, website_of(row))
    if needs_owner(setting, row, known, scope):
        return _ask(context, connection, row, by, scope)
    if not approve_sign_in(context, connection, row, by, scope):
        # Another call was quicker. The answer depends on which agent made it.
        found = find_with_claimant(connection, row.id, by.agent_id)
        answer = None if found is None else standing_answer(context, found, by.agent_id)
        if answer is None:
            raise Refusal(*NOT_FOUND)
        return answer, None
    context.limits.count("agent_successes", by.agent_id)
    if looks and setting == NOTIFY and known is None:
        return _approved(), asking.tell_of_first(context, connection, row, by.agent_id, by.model)
    return _approved(), None


def approve_sign_in(
    context: Context, connection: Connection, row: Any, by: Answering, scope: str
) -> bool:
    """Approves a pending sign-in and writes it down; False if it is no longer pending."""
    now = context.now()
    done = approve(
        connection,
        row.id,
        now,
        by_agent=by.agent_id,
        with_model=by.model,
        with_scope=scope,
        how=by.how,
        with_code=digest(context.codes.code(row.id)),
        code_until=now + context.settings.code_lifetime,
    )
    if done:
        if not is_trusted(row):
            keep_approved(connection, row, now)
        record(
            connection,
            at=now,
            kind="approval",
            outcome="approved",
            agent_id=by.agent_id,
            client_id=row.client_id,
            request_id=row.id,
            address=by.address,
        )
    return done


def granted_scope(row: Any) -> str:
    """Narrows the website's scope to what this agent may give; `openid` always stays.

    Refusal if nothing is left.
    """
    if row.agent_scopes is None:
        return str(row.scope)
    allowed = {*row.agent_scopes.split(), "openid"}
    scope = " ".join(word for word in row.scope.split() if word in allowed)
    if not scope:
        text = "This agent is allowed to grant none of the requested scopes"
        raise Refusal(403, "invalid_scope", text)
    return scope


def question_about(row: Any, by: Answering, scope: str) -> state.Question:
    """Returns the question about a sign-in, which `row` holds beside the agent."""
    return state.Question(
        kind=state.SIGN_IN,
        request_id=row.id,
        agent_id=by.agent_id,
        owner=row.agent_email,
        model=by.model,
        amr=by.how,
        scope=scope,
        client_id=row.client_id,
        website=row.client_name,
        origin=return_origin(row.redirect_uri),
        audience=row.audience,
        act=row.act,
        address=by.address,
    )


def _ask(
    context: Context, connection: Connection, row: Any, by: Answering, scope: str
) -> tuple[Answer, Mail | None]:
    or_wait()  # people wait for this, and the event loop must not
    now = context.now()
    until = now + context.settings.approval_lifetime
    question = question_about(row, by, scope)
    asking.hold_owner(context, connection, question)
    ends = max(until, row.expires_at)
    asked = await_owner(
        connection, row.id, now, question_id=question.id, agent_id=by.agent_id, until=ends
    )
    if not asked:
        found = find_with_claimant(connection, row.id, by.agent_id)
        answer = None if found is None else standing_answer(context, found, by.agent_id)
        if answer is None:
            raise Refusal(*NOT_FOUND)
        return answer, None
    mail = asking.ask(context, connection, question, now, ends)
    return _waiting(ends - now), mail


def _approved() -> Answer:
    body = {
        "success": True,
        "status": "authenticated",
        "message": "The agent is authenticated; the browser continues by itself",
    }
    return json_answer(body)


def _waiting(seconds: int) -> Answer:
    body = {
        "success": True,
        "status": "owner_approval_pending",
        "expires_in": max(0, int(seconds)),
        "message": "The agent is authenticated; its owner has been asked to approve the sign-in",
    }
    return json_answer(body)
