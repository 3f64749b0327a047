"""The audit log, append only: a record is written in the transaction of the event itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from sqlalchemy import Connection, insert

from auth_agent.server.storage.statements import Write
from auth_agent.server.storage.tables import records
from auth_agent.server.web.counters import count_event
from auth_agent.server.web.logs import FACTS

_INSERT = Write(
    insert(records.audit), [column.name for column in records.audit.c if not column.primary_key]
)
_events = logging.getLogger("auth_agent.server.audit")
KINDS: Mapping[str, str] = {
    "approval": "An agent answered a sign-in, or tried to.",
    "agent sign-in": "An agent asked for a sign-in by itself, and was refused.",
    "token": "Tokens for a code, or for an agent's own call.",
    "refresh": "Tokens for a refresh token.",
    "reuse": "A code or refresh token came a second time; all tokens of its sign-in ended.",
    "pushed request": "A website sent a request ahead of the browser, and was refused.",
    "backchannel request": "A client asked an owner without a browser (CIBA), and was refused.",
    "introspection": "A client asked about a token and was refused.",
    "revocation": "Tokens ended before their time.",
    "verification": "A website verified that an agent answers a challenge.",
    "registration": "An agent or a client registered itself, or tried to.",
    "owner question": "An owner was asked, and answered or did not.",
    "back-channel logout": "A website was notified that a session ended, or could not be.",
    "agent": "An agent was added or changed.",
    "client": "A website or app was added or changed.",
    "resource": "An API was added or removed.",
    "key": "A signing key was made.",
    "administrator": "An administrator was added or changed.",
    "administration": "The administrative API refused a caller.",
    "setup link": "A link for setting up an administrator was made or used.",
    "console sign-in": "An administrator signed in, or tried to.",
    "passkey": "A person added or removed a passkey.",
    "owner invitation": "An owner's link to add a first passkey was made, used or withdrawn.",
    "owner sign-in": "An owner signed in, or tried to.",
    "mail": "A mail to an owner could not be delivered.",
    "audit": "A list of the console was exported.",
    "refusals": "The number of refusals of the last minute that are not in the audit log.",
}
REFUSALS = ("refused", "invalid_credentials")


class Actor(NamedTuple):
    """The person or program who acts, and their address."""

    name: str | None = None
    address: str | None = None


_NOBODY = Actor()
_ACTOR: ContextVar[Actor] = ContextVar("actor", default=_NOBODY)


@contextmanager
def acting(name: str, address: str | None = None) -> Iterator[None]:
    """Attributes records inside the block to this administrator or owner."""
    token = _ACTOR.set(Actor(name, address))
    try:
        yield
    finally:
        _ACTOR.reset(token)


def record(
    connection: Connection,
    *,
    at: int,
    kind: str,
    outcome: str,
    agent_id: str | None = None,
    client_id: str | None = None,
    request_id: str | None = None,
    address: str | None = None,
    counted_as: str | None = None,
) -> None:
    """Writes one record; never a secret, a code or a token.

    `counted_as` replaces the outcome in the metrics, where each distinct word adds a counter.
    """
    actor = _ACTOR.get()
    count_event(kind, counted_as or outcome)
    facts = {
        "kind": kind,
        "outcome": outcome,
        "agent_id": _short(agent_id),
        "client_id": _short(client_id, 255),
        "request_id": _short(request_id),
        "actor": _short(actor.name, 254),
    }
    if _events.isEnabledFor(logging.INFO):
        told = {name: value for name, value in facts.items() if value is not None}
        _events.info("%s: %s", kind, outcome, extra={FACTS: told})
    address = _short(address or actor.address)
    _INSERT.run(connection, {**facts, "at": at, "address": address})


def _short(text: str | None, longest: int = 64) -> str | None:
    """Shortens a claimed name, which comes from outside and may have any length."""
    return text if text is None else text[:longest]
