"""The tables of tokens: the keys that sign them, their families, and what ends them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, text

from auth_agent.server.storage.tables.metadata import Counter, metadata
from auth_agent.server.storage.tables.parties import agent, client

signing_key = Table(
    "signing_key",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("generation", Integer, nullable=False, unique=True),
    Column("algorithm", String(16), nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("private_sealed", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("published_until", BigInteger),
)

# All tokens from one redeemed code; the row holds the valid refresh token.
token_family = Table(
    "token_family",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("client_id", String(255), ForeignKey(client.c.id), nullable=False),
    Column("agent_id", String(64), ForeignKey(agent.c.id), nullable=False),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("model", String(200), nullable=False),
    Column("amr", String(64), nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("refresh_hash", String(64), nullable=False, unique=True),
    Column("refresh_issued_at", BigInteger, nullable=False),
    Column("refresh_expires_at", BigInteger, nullable=False),
    Column("access_expires_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("dpop_jkt", String(64)),  # the key that the refresh token is bound to
    # What the owner has approved: authorization_details as granted, and how strong the answer was.
    Column("granted_details", Text),
    Column("acr", String(64)),
    Index(None, "agent_id"),
    Index(None, "client_id"),
    Index(None, "refresh_expires_at"),
    Index(None, "created_at"),
)

_VALID = text("revoked_at IS NULL")
Index(
    "ix_token_family_valid",
    *(token_family.c[name] for name in ("model", "expires_at", "refresh_expires_at")),
    sqlite_where=_VALID,
    postgresql_where=_VALID,
)

# Refresh tokens that were rotated; using one again means that it was copied.
spent_refresh_token = Table(
    "spent_refresh_token",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column(
        "family_id",
        String(64),
        ForeignKey(token_family.c.id, ondelete="CASCADE"),
        nullable=False,
    ),
    Index(None, "family_id"),
)

# Assertions and proofs are single-use (RFC 7523 section 3, rule 7; RFC 9449 section 11.1).
used_assertion = Table(
    "used_assertion",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
)

# Back-channel logouts that are due, or were delivered or given up a while ago.
logout_delivery = Table(
    "logout_delivery",
    metadata,
    Column("id", Counter, primary_key=True, autoincrement=True),
    Column("client_id", String(255), nullable=False),
    Column("uri", Text, nullable=False),
    Column("agent_id", String(64), nullable=False),
    Column("family_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger),  # none once delivered or given up
    Column("outcome", String(40)),
    Index(None, "next_at"),
)
