"""Claims about an agent, for tokens and answers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, bindparam, exists, select

from auth_agent.server.storage.tables import parties


class AgentRecord(Struct, frozen=True):
    """The facts about an agent that go into tokens."""

    id: str
    email: str
    email_verified: bool
    name: str
    permissions: tuple[str, ...]
    enabled: bool

    @classmethod
    def from_row(cls, row: Any) -> AgentRecord:
        """Builds a record from a row with `agent_id` and the columns in `AGENT_COLUMNS`."""
        return cls(
            row.agent_id,
            row.agent_email,
            row.agent_email_verified,
            row.agent_name,
            tuple(row.agent_permissions.split()),
            row.agent_disabled_at is None,
        )


AGENT_COLUMNS = (
    parties.agent.c.email.label("agent_email"),
    parties.agent.c.email_verified.label("agent_email_verified"),
    parties.agent.c.name.label("agent_name"),
    parties.agent.c.permissions.label("agent_permissions"),
    parties.agent.c.disabled_at.label("agent_disabled_at"),
)


def is_enabled(agent_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Returns the condition that this agent is enabled and stays so until the transaction ends.

    The lock waits for a transaction that is about to disable the agent (PostgreSQL; SQLite has a
    single writer). A subquery without a lock could issue a token after all tokens were revoked.
    """
    agent = parties.agent
    found = select(agent.c.id).where(agent.c.id == agent_id, agent.c.disabled_at.is_(None))
    return exists(found.with_for_update(read=True))


def claims_about(agent: AgentRecord, model: str, scope: Collection[str]) -> dict[str, Any]:
    """Returns the claims that every token and answer carries, limited to the granted scopes.

    Leaves out an unverified address, because websites link accounts by it, and an unknown model.
    """
    claims: dict[str, Any] = {
        "agent_id": agent.id,
        **({"model": model, "model_name": model} if model else {}),
        "permissions": list(agent.permissions),
    }
    if "email" in scope:
        claims["email_verified"] = agent.email_verified
        if agent.email_verified:
            claims["email"] = agent.email
    if "profile" in scope and agent.name:
        claims["name"] = agent.name
    return claims


class AgentLimits(Struct, frozen=True):
    """What limits an agent: its scopes, None for every scope of the server, and its owner.

    `approval` is when the owner is asked; None as the server does.
    """

    model: str
    scopes: frozenset[str] | None
    second_factor: bool
    approval: str | None


_FIND = select(
    parties.agent.c.id.label("agent_id"),
    parties.agent.c.model,
    parties.agent.c.scopes,
    parties.agent.c.second_factor,
    parties.agent.c.approval,
    *AGENT_COLUMNS,
).where(parties.agent.c.id == bindparam("id"))


def find_agent(connection: Connection, agent_id: str) -> tuple[AgentRecord, AgentLimits]:
    """Returns an existing agent and what it may ask for."""
    row = connection.execute(_FIND, {"id": agent_id}).one()
    scopes = None if row.scopes is None else frozenset(row.scopes.split())
    limits = AgentLimits(row.model, scopes, row.second_factor, row.approval)
    return AgentRecord.from_row(row), limits
