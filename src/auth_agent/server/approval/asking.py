"""Asking an owner: who may be asked, how often, and the mail that says so."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from auth_agent.server.approval import state
from auth_agent.server.approval.websites import api_of, remember, website_of
from auth_agent.server.bounds import HOUR
from auth_agent.server.context import Context
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.registry.claims import AgentRecord
from auth_agent.server.security.credentials import new_token
from auth_agent.server.security.guessing.attempts import Limit, attempt, fits
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.urls import return_origin

MOST_AN_HOUR = 30  # questions to one owner: a flood of them is an attack (push fatigue)
MOST_OF_ONE = 10  # of one agent, so that none uses up its owner's hour for the others
MOST_NOTICES = 20  # mails about new places of one agent in an hour
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

    Refusal 429 if this agent, or all agents of its owner together, ask too often.
    """
    of_one = Limit(f"questions of {question.agent_id}", MOST_OF_ONE, HOUR)
    of_all = Limit(f"questions to {question.owner}", MOST_AN_HOUR, HOUR)
    _count(connection, now, of_one, "This agent has asked its owner")
    _count(connection, now, of_all, "The agents of this owner have asked")
    if not state.ask(connection, question, now, until):
        text = f"{state.MOST_OPEN} requests of this agent already wait for its owner"
        wait = (("retry-after", str(max(1, until - now))),)
        raise Refusal(429, "too_many_requests", text, wait)
    if not context.outbox.can_reach(question.owner):
        return None
    return _question_mail(context, question, until - now)


def may_notify(context: Context, email: str, *, is_verified: bool) -> bool:
    """Returns whether an owner is mailed about new places.

    A developer's server prints its mail; that is no place for notices.
    """
    has_mail = bool(context.settings.smtp_url) and context.outbox.can_reach(email)
    return has_mail and is_verified


def tell_of_first(
    context: Context, connection: Connection, row: Any, agent_id: str, model: str
) -> Mail | None:
    """Remembers an agent's first sign-in at a website; returns the mail that tells its owner."""
    website = return_origin(row.redirect_uri)
    notice = _Notice(
        owner=row.agent_email,
        agent_id=agent_id,
        client_id=row.client_id,
        place=website_of(row),
        name=row.client_name,
        title=f"Your agent has signed in to {_line(website)}",
        facts=f"{_facts(agent_id, row.agent_display_name, model, row.client_name, website)}"
        f"{_opens(row.audience, website)}",
        what="the sign-in",
    )
    return _tell(context, connection, notice)


def tell_of_first_call(
    context: Context,
    connection: Connection,
    agent: AgentRecord,
    *,
    url: str,
    name: str,
    model: str,
) -> Mail | None:
    """Remembers the first token that an agent gets by itself for an API; returns the mail."""
    notice = _Notice(
        owner=agent.email,
        agent_id=agent.id,
        client_id=agent.id,
        place=api_of(url),
        name=name,
        title=f"Your agent has got access to {_line(url)}",
        facts=f"Agent: {agent.id}\nModel, as it says: {_line(model)}\nAccess to: {_line(url)}\n",
        what="the access",
    )
    return _tell(context, connection, notice)


class _Notice(Struct, frozen=True, kw_only=True):
    """A place that an agent goes to for the first time."""

    owner: str
    agent_id: str
    client_id: str
    place: str
    name: str
    title: str
    facts: str
    what: str


def _tell(context: Context, connection: Connection, notice: _Notice) -> Mail | None:
    """Remembers a place once its owner can be told of it.

    Beyond an hour's mails a last one says so, and places that it does not name stay new ones.
    """
    now, link, agent_id = context.now(), new_token(""), notice.agent_id
    issuer = context.settings.issuer
    if not fits(connection, now, Limit(f"notices of {agent_id}", MOST_NOTICES, HOUR)):
        is_first = fits(connection, now, Limit(f"flood of notices of {agent_id}", 1, HOUR))
        text = (
            f"Your agent {agent_id} signs in at many new places: you get at most {MOST_NOTICES} "
            f"mails about them in an hour. See and end what it does: {issuer}/owner\n"
        )
        return (
            Mail(notice.owner, ("Your agent signs in at many new places"), text)
            if is_first
            else None
        )
    website = (agent_id, notice.client_id, notice.place)
    if not remember(connection, *website, name=notice.name, now=now, link=link):
        return None
    text = (
        f"{notice.title} for the first time.\n\n{notice.facts}\nIf that is right, there is "
        "nothing to do. If not, this link ends "
        f"{notice.what}:\n\n{issuer}/owner/end?token={link}\n\nOpening the link ends nothing: the "
        "page asks you first. To be asked before your agent goes to a new place, open "
        f"{issuer}/owner\n"
    )
    return Mail(notice.owner, notice.title, text)


def _count(connection: Connection, now: int, limit: Limit, who: str) -> None:
    try:
        attempt(connection, now, [limit])
    except Refusal as refusal:
        text = f"{who} {limit.most} times within an hour, and no more is allowed; try again later"
        raise Refusal(refusal.status, refusal.error, text, refusal.headers) from None


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
