"""The tables that are only written: the audit log, and the events that agents report."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from auth_agent.server.storage.tables.metadata import Counter, metadata

# Append only (its trigger enforces that), and without foreign keys: it outlives other rows.
audit = Table(
    "audit",
    metadata,
    Column("id", Counter, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("agent_id", String(64)),
    Column("client_id", String(255)),
    Column("request_id", String(64)),
    Column("address", String(64)),
    Column("actor", String(254)),  # the administrator or owner who acted
    Index(None, "at", "id"),
    # The console lists the newest first, and counts by kind and outcome without reading the rows.
    Index(None, "agent_id", "at", "id"),
    Index(None, "client_id", "at", "id"),
    Index(None, "kind", "at", "id"),
    Index("ix_audit_counted", "kind", "outcome", "at", "id", "client_id", "agent_id"),
)

# Events that agents report with send_event; sign-ins neither read nor write them.
event = Table(
    "event",
    metadata,
    Column("id", Counter, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("agent_id", String(64), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("kind", String(200), nullable=False),
    Column("site", String(255)),
    Column("data", Text, nullable=False),
    Index(None, "at"),
    Index(None, "agent_id"),
)
