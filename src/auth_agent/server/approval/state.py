"""Questions to owners: from an agent's request to the owner's answer.

    waiting ── approve ──> approved ── take ──> taken
       ├────── deny ─────> denied
       ├────── withdraw ─> withdrawn   (cancelled in the browser, or the agent was disabled)
       └────── expire ───> expired

Each arrow is one conditional UPDATE with one line of the audit in the same transaction, so it is
taken once, however many workers race. Locks are taken in the order agent, sign-in, question.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field, structs
from sqlalchemy import Connection, Update, bindparam, func, insert, select, update

from auth_agent.server.approval.questions import find_of_request, list_due
from auth_agent.server.bounds import MINUTE
from auth_agent.server.security.credentials import new_token
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.tables.approvals import owner_question
from auth_agent.server.storage.tables.parties import agent
from auth_agent.server.storage.tables.sign_ins import sign_in

SIGN_IN, CIBA = "sign-in", "ciba"
MOST_OPEN = 3  # questions of one agent
TAKE_WITHIN = 5 * MINUTE  # of the approval, for a request without a browser
KIND = "owner question"  # in the audit

_C = owner_question.c
_OPEN = (_C.answer.is_(None), _C.expires_at > bindparam("now"))
_COUNT = select(func.count()).where(_C.agent_id == bindparam("agent"), *_OPEN)
_HOLD_AGENT = (
    select(agent.c.id)
    .where(
        agent.c.id == bindparam("agent"),
        agent.c.email == bindparam("owner"),
        agent.c.email_verified.is_(True),
        agent.c.disabled_at.is_(None),
    )
    .with_for_update(read=True)
)
_HOLD_REQUEST = select(sign_in.c.id).where(sign_in.c.id == bindparam("id")).with_for_update()
_ANSWER = update(owner_question).where(_C.id == bindparam("question"), _C.answer.is_(None))
_TAKE = (
    update(owner_question)
    .where(
        _C.id == bindparam("question"),
        _C.answer == "approved",
        _C.taken_at.is_(None),
        _C.answered_at > bindparam("since"),
    )
    .values(taken_at=bindparam("now"))
)
_DENY_SIGN_IN = (
    update(sign_in)
    .where(
        sign_in.c.question_id == bindparam("question"),
        sign_in.c.approved_at.is_(None),
        sign_in.c.denied_at.is_(None),
    )
    .values(denied_at=bindparam("now"), denied_by=bindparam("by"))
)
_OPEN_OF = select(owner_question).where(_C.answer.is_(None), _C.agent_id == bindparam("agent"))


def _new_id() -> str:
    return new_token("ask_", 18)


class Question(Struct, frozen=True, kw_only=True):
    """A question before it is asked; `act` is authorization_details, a JSON array as text."""

    kind: str
    request_id: str
    agent_id: str
    owner: str
    model: str
    amr: str
    scope: str
    client_id: str
    website: str
    origin: str
    audience: str
    act: str | None = None
    message: str | None = None
    address: str | None = None
    id: str = field(default_factory=_new_id)


class Answered(Struct, frozen=True, kw_only=True):
    """Who approved, and how: passkey or mail; with a passkey, the data that it signed."""

    by: str
    how: str
    passkey_id: str | None = None
    assertion: str | None = None


def hold_agent(connection: Connection, agent_id: str, owner: str) -> bool:
    """Keeps the agent enabled and its owner's until the transaction ends; False if it is not."""
    values = {"agent": agent_id, "owner": owner}
    return connection.execute(_HOLD_AGENT, values).one_or_none() is not None


def hold_request(connection: Connection, request_id: str) -> None:
    """Locks a question's sign-in, which comes before the question itself."""
    connection.execute(_HOLD_REQUEST, {"id": request_id})


def ask(connection: Connection, question: Question, now: int, until: int) -> bool:
    """Asks; False if the agent has too many open questions.

    The caller holds the agent, so that it cannot be disabled meanwhile.
    """
    values = {"agent": question.agent_id, "now": now}
    if int(connection.execute(_COUNT, values).scalar_one()) >= MOST_OPEN:
        return False
    write(connection, question, now, until)
    return True


def write(connection: Connection, question: Question, now: int, until: int) -> None:
    """Records a question without a limit, for an owner who answers it in this transaction."""
    row = {**structs.asdict(question), "asked_at": now, "expires_at": until}
    connection.execute(insert(owner_question), row)
    _record(connection, question, "asked", now)


def approve(connection: Connection, question: Any, now: int, answered: Answered) -> bool:
    """Approves a question as its agent's owner; False if it is no longer waiting.

    The caller approves the request behind it in the same transaction.
    """
    if question.owner != answered.by or not hold_agent(connection, question.agent_id, answered.by):
        return False
    hold_request(connection, question.request_id)
    values = {
        "answered_by": answered.by,
        "answered_how": answered.how,
        "passkey_id": answered.passkey_id,
        "assertion": answered.assertion,
    }
    return _end(connection, question, "approved", now, still_open=True, **values)


def deny(connection: Connection, question: Any, now: int, by: str) -> bool:
    """Denies a question and the sign-in behind it; False if it is no longer waiting."""
    if question.owner != by:
        return False
    hold_request(connection, question.request_id)
    values = {"answered_by": by}
    if not _end(connection, question, "denied", now, still_open=True, **values):
        return False
    _deny_sign_in(connection, question, now, "owner")
    return True


def withdraw(connection: Connection, request_id: str, now: int) -> bool:
    """Withdraws the question about a request that has ended; False if none was waiting."""
    question = find_of_request(connection, request_id)
    return question is not None and _end(connection, question, "withdrawn", now)


def withdraw_of_agent(connection: Connection, agent_id: str, now: int) -> int:
    """Ends everything of a disabled agent that waits for its owner; returns how many there were.

    The caller has locked the agent.
    """
    questions = connection.execute(_OPEN_OF, {"agent": agent_id}).all()
    for question in questions:
        hold_request(connection, question.request_id)
    ended = 0
    for question in questions:
        if _end(connection, question, "withdrawn", now):
            _deny_sign_in(connection, question, now, "owner")
            ended += 1
    return ended


def expire_due(connection: Connection, now: int) -> int:
    """Ends the questions that owners did not answer in time; returns their number."""
    due = list_due(connection, now)
    return sum(_end(connection, question, "expired", now) for question in due)


def take(connection: Connection, question: Any, now: int) -> bool:
    """Uses an approval once, for a request without a browser; False if it was used before."""
    values = {"question": question.id, "now": now, "since": now - TAKE_WITHIN}
    if connection.execute(_TAKE, values).rowcount != 1:
        return False
    _record(connection, question, "taken", now)
    return True


def _end(
    connection: Connection,
    question: Any,
    answer: str,
    now: int,
    *,
    still_open: bool = False,
    **values: Any,
) -> bool:
    """Takes one arrow; `still_open` also requires that the question has not expired."""
    statement: Update = _ANSWER
    if still_open:
        statement = statement.where(_C.expires_at > now)
    statement = statement.values(answer=answer, answered_at=now, **values)
    if connection.execute(statement, {"question": question.id}).rowcount != 1:
        return False
    _record(connection, question, answer, now)
    return True


def _deny_sign_in(connection: Connection, question: Any, now: int, by: str) -> None:
    connection.execute(_DENY_SIGN_IN, {"question": question.id, "now": now, "by": by})


def _record(connection: Connection, question: Any, outcome: str, now: int) -> None:
    record(
        connection,
        at=now,
        kind=KIND,
        outcome=outcome,
        agent_id=question.agent_id,
        client_id=question.client_id,
        request_id=question.request_id,
        address=question.address if outcome == "asked" else None,
    )
