"""The tables of sign-ins, and of checks that an agent is active."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    String,
    Table,
    Text,
    false,
    text,
)

from auth_agent.server.storage.tables.metadata import metadata
from auth_agent.server.storage.tables.parties import agent

# One row from /authorize to the redemption of its code.
sign_in = Table(
    "sign_in",
    metadata,
    Column("id", String(64), primary_key=True),
    # No foreign key: a client that is a document is stored when an agent first approves it.
    Column("client_id", String(255), nullable=False),
    # The document's content, for a client that is not stored yet; JSON.
    Column("document", Text),
    Column("document_name", String(200)),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("state", Text),
    Column("nonce", Text),
    Column("code_challenge", String(128), nullable=False),
    Column("browser_hash", String(64)),  # none until the first browser arrives
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("agent_id", String(64), ForeignKey(agent.c.id)),
    Column("model", String(200)),
    Column("amr", String(64)),
    Column("approved_at", BigInteger),
    Column("denied_at", BigInteger),
    Column("code_hash", String(64), unique=True),
    Column("code_expires_at", BigInteger),
    Column("redeemed_at", BigInteger),
    Column("family_id", String(64)),
    Column("address", String(64)),
    Column("dpop_jkt", String(64)),  # the key that the code is bound to (RFC 9449 section 10)
    Column("only_agent", String(64)),  # the only agent that may answer, if set
    # What the owner has to approve: authorization_details, a JSON array; and whether `acr_values`
    # or `prompt` asks for the owner's approval of the sign-in itself.
    Column("act", Text),
    Column("needs_owner", Boolean, nullable=False, default=False, server_default=false()),
    Column("question_id", String(64)),  # of the question to the owner, once it is asked
    Column("denied_by", String(16)),  # the owner; none if it was cancelled in the browser
    Index(None, "expires_at"),
)
Index(
    "ix_sign_in_pending",
    sign_in.c.address,
    sqlite_where=text("approved_at IS NULL AND denied_at IS NULL"),
    postgresql_where=text("approved_at IS NULL AND denied_at IS NULL"),
)

# Authorization requests that websites have pushed (RFC 9126); only a digest of the address is kept.
pushed_request = Table(
    "pushed_request",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("client_id", String(255), nullable=False),
    Column("parameters", Text, nullable=False),  # JSON
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
    Column("request_id", String(64)),  # the sign-in that it has opened
    Index(None, "expires_at"),
    Index(None, "address"),
)

# Checks that the agent behind a token is active.
verification = Table(
    "verification",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("agent_id", String(64), ForeignKey(agent.c.id), nullable=False),
    Column("client_id", String(255)),  # the website that asked; none if the agent itself did
    Column("challenge", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger),
    Index(None, "agent_id"),
    Index(None, "expires_at"),
)
