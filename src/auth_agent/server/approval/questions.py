"""Reading questions to owners."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select

from auth_agent.server.storage.tables.approvals import owner_question

PAGE = 50
MOST_EXPIRED = 200  # in one round

_C = owner_question.c
_OPEN = (_C.answer.is_(None), _C.expires_at > bindparam("now"))
_BY_ID = select(owner_question).where(_C.id == bindparam("id"))
_BY_REQUEST = select(owner_question).where(_C.request_id == bindparam("id"))
_WAITING = (
    select(owner_question).where(_C.owner == bindparam("owner"), *_OPEN).order_by(_C.asked_at)
)
_ANSWERED = (
    select(owner_question)
    .where(
        _C.owner == bindparam("owner"),
        or_(_C.answer.is_not(None), _C.expires_at <= bindparam("now")),
    )
    .order_by(_C.asked_at.desc(), _C.id)
    .limit(PAGE)
)
_DUE = (
    select(owner_question)
    .where(_C.answer.is_(None), _C.expires_at <= bindparam("now"))
    .order_by(_C.expires_at)
    .limit(MOST_EXPIRED)
)


def short_code(request_id: str) -> str:
    """Returns what the waiting page and the owner's page both show, for people to compare."""
    # Five bytes are eight letters; encoding all of them costs more than the digest.
    letters = base64.b32encode(hashlib.sha256(request_id.encode()).digest()[:5]).decode()
    return f"{letters[:3]}-{letters[3:6]}"


def status_of(question: Any, now: float) -> str:
    """Returns waiting, approved, taken, denied, withdrawn or expired."""
    if question.answer is None:
        return "waiting" if question.expires_at > now else "expired"
    return "taken" if question.taken_at is not None else str(question.answer)


def find(connection: Connection, question_id: str) -> Any:
    return connection.execute(_BY_ID, {"id": question_id}).one_or_none()


def find_of_request(connection: Connection, request_id: str) -> Any:
    return connection.execute(_BY_REQUEST, {"id": request_id}).one_or_none()


def list_waiting(connection: Connection, owner: str, now: int) -> list[Any]:
    """Returns an owner's open questions, oldest first."""
    return list(connection.execute(_WAITING, {"owner": owner, "now": now}))


def list_answered(connection: Connection, owner: str, now: int) -> list[Any]:
    """Returns an owner's latest questions that have ended, newest first."""
    return list(connection.execute(_ANSWERED, {"owner": owner, "now": now}))


def is_any_due(connection: Connection, now: int) -> bool:
    return connection.execute(_DUE.limit(1), {"now": now}).first() is not None


def list_due(connection: Connection, now: int) -> list[Any]:
    """Returns open questions whose time is over, as many as one round ends."""
    return list(connection.execute(_DUE, {"now": now}))
