"""Asking an owner: who may be asked, how often, and the mail that says so."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from auth_agent.server.approval import state
from auth_agent.server.approval.websites import remember, website_of
from auth_agent.server.bounds import HOUR
from auth_agent.server.context import Context
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.security.attempts import Limit, fits, too_many
from auth_agent.server.security.credentials import new_token
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.urls import return_origin

MOST_AN_HOUR = 30  # questions to one owner: a flood of them is an attack (push fatigue)
MOST_NOTICES = 20  # mails about first sign-ins of one agent in an hour
_LONGEST = 200


def hold_owner(context: Context, connection: Connection, question: state.Question) -> None:
    """Keeps agent and owner together until the transaction ends; Refusal 403 if they are not."""
    if not state.hold_agent(connection, question.agent_id, question.owner):
        raise Refusal(
            403,
            "approval_unavailable",
            "This needs the approval of the agent's owner, who has not confirmed the agent yet: "
            f"{context.settings.issuer}/owner",
        )


def ask(
    context: Context, connection: Connection, question: state.Question, now: int, until: int
) -> Mail | None:
    """Asks, within limits; returns the mail to be sent after the transaction.

    Refusal 429 if this agent or others of its owner ask too often.
    """
    if not fits(connection, now, Limit(f"questions to {question.owner}", MOST_AN_HOUR, HOUR)):
        raise too_many(HOUR)
    if not state.ask(connection, question, now, until):
        text = f"{state.MOST_OPEN} requests of this agent already wait for its owner"
        wait = (("retry-after", str(max(1, until - now))),)
        raise Refusal(429, "too_many_requests", text, wait)
    if not context.outbox.can_reach(question.owner):
        return None
    return _question_mail(context, question, until - now)


def tell_of_first(
    context: Context, connection: Connection, row: Any, agent_id: str, model: str
) -> Mail | None:
    """Remembers an agent's first sign-in at a website; returns the mail that tells its owner."""
    now, link = context.now(), new_token("")
    origin = website_of(row)
    is_first = remember(
        connection,
        agent_id,
        row.client_id,
        origin,
        name=row.client_name,
        now=now,
        link=link,
    )
    limit = Limit(f"notices of {agent_id}", MOST_NOTICES, HOUR)
    if not is_first or not fits(connection, now, limit):
        return None
    website = return_origin(row.redirect_uri)
    text = (
        f"Your agent has signed in to {_line(website)} for the first time.\n\n"
        f"{_facts(agent_id, row.agent_display_name, model, row.client_name, website)}"
        f"{_opens(row.audience, website)}\n"
        "If that is right, there is nothing to do. If not, this link ends the sign-in:\n\n"
        f"{context.settings.issuer}/owner/end?token={link}\n\n"
        "Opening the link ends nothing yet: the page asks you first. To be asked before such a "
        f"sign-in, open {context.settings.issuer}/owner\n"
    )
    return Mail(row.agent_email, f"Your agent has signed in to {_line(website)}", text)


def _question_mail(context: Context, question: state.Question, seconds: int) -> Mail:
    minutes = max(1, seconds // 60)
    what = "wants to sign in to" if question.act is None else "asks for your approval at"
    origin = _line(question.origin)
    text = (
        f"Your agent {what} {origin}, and waits for your answer.\n\n"
        f"{_facts(question.agent_id, '', question.model, question.website, question.origin)}"
        f"{_opens(question.audience, question.origin)}\n"
        "See what it asks, and approve or deny it:\n\n"
        f"{context.settings.issuer}/owner/question?id={question.id}\n\n"
        f"It waits for {minutes} minutes. Opening the link approves nothing. If you did not expect "
        "this, deny it there: the agent may have been misled.\n"
    )
    return Mail(question.owner, f"Your agent {what} {origin}", text)


def _facts(agent_id: str, name: str, model: str, website: str, origin: str) -> str:
    agent = f"{_line(name)} ({agent_id})" if name else agent_id
    return (
        f"Agent: {agent}\nModel, as it says: {_line(model)}\n"
        f"Website, as it calls itself: {_line(website)}\nWhere the sign-in goes: {_line(origin)}\n"
    )


def _opens(audience: str, origin: str) -> str:
    urls = [url for url in audience.split() if url != origin]
    return "".join(f"Access to: {_line(url)}\n" for url in urls)


def _line(text: str) -> str:
    """Returns foreign text as one bounded line without control or direction characters."""
    clean = "".join(char if char.isprintable() else "?" for char in text[:_LONGEST])
    return clean + "..." * (len(text) > _LONGEST)
