"""The second factor: a code mailed to the owner finishes a sign-in (wire contract 1.3).

A sign-in has one such step, of the first agent that proved itself for it. Its code can be guessed
five times in all, however often a new one is mailed, and an agent's codes twenty times an hour.
Guesses that come with the agent's own proof are counted apart from those that come without, so
that a stranger who has seen the request's id uses up none of the agent's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.server.bounds import HOUR
from auth_agent.server.context import Context
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.security.guessing.attempts import Attempt, Limit, attempt, too_many
from auth_agent.server.security.mailed_codes import MOST_GUESSES, clean_code, new_code
from auth_agent.server.storage.tables.people import second_step
from auth_agent.server.web.call import Answer, Refusal, json_answer
from auth_agent.server.web.urls import host_of

MOST_MAILS = 3
MAIL_AGAIN_AFTER = 30  # seconds
METHODS = "otp mfa"  # RFC 8176; added to how the agent proved itself first

_FIND = select(second_step).where(second_step.c.request_id == bindparam("id"))
_RENEW = update(second_step).where(second_step.c.request_id == bindparam("step"))
_GUESS = (
    update(second_step)
    .where(
        second_step.c.request_id == bindparam("step"),
        second_step.c.guesses < MOST_GUESSES,
        second_step.c.used_at.is_(None),
        second_step.c.expires_at > bindparam("now"),
    )
    .values(guesses=second_step.c.guesses + 1)
)
_USE = (
    update(second_step)
    .where(and_(second_step.c.request_id == bindparam("step"), second_step.c.used_at.is_(None)))
    .values(used_at=bindparam("now"))
)


def begin_second_step(context: Context, row: Any, agent_id: str, model: str) -> Answer:
    """Mails a code to the owner of the agent that has just proved itself.

    `row` is the sign-in beside the agent. Repeating it soon mails nothing and says the same.
    """
    if not context.outbox.can_send:
        raise Refusal(503, "temporarily_unavailable", "This server sends no mail at the moment")
    if not context.outbox.can_reach(row.agent_email):
        raise Refusal(
            503, "temporarily_unavailable", ("This server cannot send mail to the owner's address")
        )
    code, now = new_code(), context.now()
    fresh = {
        "agent_id": agent_id,
        "model": model,
        "code_hash": context.mailed_codes.hash(row.id, code),
        "created_at": now,
        "expires_at": now + context.settings.second_factor_lifetime,
    }
    with context.database.begin() as connection:
        step = find_step(connection, row.id)
        if step is not None and not _may_mail(step, agent_id, now):
            return _required(step.expires_at - now)
        attempt(connection, now, [Limit(f"second factor mail of {agent_id}", 30, HOUR)])
        if not _store(connection, row.id, step, fresh):
            return _required(context.settings.second_factor_lifetime)
    context.outbox.post(_mail(context, row, code, model))
    return _required(context.settings.second_factor_lifetime)


def find_step(connection: Connection, request_id: str) -> Any:
    return connection.execute(_FIND, {"id": request_id}).one_or_none()


def count_guess(context: Context, connection: Connection, step: Any, *, is_proven: bool) -> Attempt:
    """Writes one guess down before it is judged; Refusal if there were too many.

    `is_proven` says that the guess came with the proof of the step's own agent.
    """
    now = context.now()
    if step.expires_at <= now:
        raise Refusal(404, "code_expired", "The code has expired; authenticate again")
    if is_proven:
        limits = [
            Limit(f"second factor of {step.agent_id} by itself", 20, HOUR),
            Limit(f"second factor of {step.request_id} by its agent", MOST_GUESSES, HOUR),
        ]
        return attempt(connection, now, limits)
    tried = attempt(connection, now, [Limit(f"second factor of {step.agent_id}", 20, HOUR)])
    if connection.execute(_GUESS, {"step": step.request_id, "now": now}).rowcount != 1:
        raise too_many(step.expires_at - now)
    return tried


def is_right(context: Context, step: Any, code: str) -> bool:
    clean = clean_code(code)
    return clean is not None and context.mailed_codes.matches(
        step.code_hash, step.request_id, clean
    )


def use_step(connection: Connection, step: Any, now: int) -> bool:
    """Uses the step up; returns False if it was used meanwhile."""
    return connection.execute(_USE, {"step": step.request_id, "now": now}).rowcount == 1


def _may_mail(step: Any, agent_id: str, now: int) -> bool:
    """Returns whether another code is to be mailed; Refusal if there will be none."""
    is_over = bool(step.expires_at <= now)
    if step.agent_id != agent_id and not is_over:
        raise Refusal(409, "already_answered", "Another agent has answered this request")
    if step.mails < MOST_MAILS:
        return is_over or bool(now - step.created_at >= MAIL_AGAIN_AFTER)
    if is_over:
        raise too_many(HOUR)
    return False


def _store(connection: Connection, request_id: str, step: Any, fresh: dict[str, object]) -> bool:
    """Stores the step; returns False if the same one has begun elsewhere and mailed its code."""
    if step is not None:
        connection.execute(_RENEW.values(**fresh, mails=step.mails + 1), {"step": request_id})
        return True
    try:
        with connection.begin_nested():
            row = {**fresh, "request_id": request_id, "guesses": 0, "mails": 1}
            connection.execute(insert(second_step), row)
    except IntegrityError:
        return False
    return True


def _required(seconds: int) -> Answer:
    return json_answer({"success": True, "requires_2fa": True, "expires_in": seconds})


def _mail(context: Context, row: Any, code: str, model: str) -> Mail:
    minutes = context.settings.second_factor_lifetime // 60
    website = host_of(row.redirect_uri)
    text = (
        f"Your agent wants to sign in to {website}.\n\nThe code is {code}\n\nAgent: "
        f"{row.claimant}\nModel: {model}\nWebsite: {website}\n\nIt works once, for {minutes} "
        "minutes. If you did not start this, do not give the code to anyone, and replace the "
        f"agent's secret: {context.settings.issuer}/owner\n"
    )
    return Mail(row.agent_email, f"{code} lets your agent sign in to {website}", text)
