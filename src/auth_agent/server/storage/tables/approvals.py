"""The tables of approvals: questions to owners, the websites that agents know, and passkeys."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from auth_agent.server.storage.tables.metadata import metadata
from auth_agent.server.storage.tables.parties import agent

# One question to one owner, about one request of one agent; `approval.state` has its states.
owner_question = Table(
    "owner_question",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),  # sign-in, or ciba
    # The sign-in's id, or that of a request without a browser.
    Column("request_id", String(64), nullable=False, unique=True),
    Column("agent_id", String(64), ForeignKey(agent.c.id), nullable=False),
    Column("owner", String(254), nullable=False),  # the agent's verified address
    Column("model", String(200), nullable=False),  # as the agent claims
    Column("amr", String(64), nullable=False),  # how the agent proved itself
    Column("scope", Text, nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("website", String(200), nullable=False),  # the name that the website gave itself
    Column("origin", Text, nullable=False),  # verified: where the answer goes
    Column("audience", Text),  # what the token opens, as the owner saw it
    Column("message", String(60)),  # CIBA's binding_message
    Column("act", Text),  # authorization_details: a JSON array; none for a sign-in alone
    Column("address", String(64)),  # of the agent
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("answer", String(16)),  # approved, denied, withdrawn or expired
    Column("answered_at", BigInteger),
    Column("answered_by", String(254)),
    Column("answered_how", String(16)),  # passkey or mail
    Column("passkey_id", String(64)),
    # The signed data of the passkey (WebAuthn), which shows later what was approved; JSON.
    Column("assertion", Text),
    Column("taken_at", BigInteger),
    Index(None, "owner"),
    Index(None, "agent_id"),
    Index(None, "expires_at"),
)
_OPEN = text("answer IS NULL")
Index(
    "ix_owner_question_open",
    owner_question.c.agent_id,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)

# A request without a browser (CIBA); the question with this `request_id` holds all else.
backchannel_request = Table(
    "backchannel_request",
    metadata,
    Column("id", String(64), primary_key=True),  # a digest of auth_req_id
    Column("audience", Text, nullable=False),
    Column("interval", Integer, nullable=False),  # seconds between two polls
    Column("polled_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False),
    Index(None, "expires_at"),
)

# The websites at which an agent has signed in, and what its owner has decided about them.
known_website = Table(
    "known_website",
    metadata,
    Column("agent_id", String(64), ForeignKey(agent.c.id), primary_key=True),
    Column("client_id", String(255), primary_key=True),
    Column("origin", String(255), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("approved_at", BigInteger),  # the owner approved a sign-in here
    Column("always_at", BigInteger),  # the owner wants no more questions about sign-ins here
    Column("scope", Text),  # all that the owner has approved here
    # A digest of the link that was mailed, which ends the sign-ins here.
    Column("link_hash", String(64), unique=True),
)

passkey = Table(
    "passkey",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),  # owner or administrator, as in browser_session
    Column("holder", String(254), nullable=False),
    # A digest: a credential's id may be longer than an index takes.
    Column("credential_hash", String(64), nullable=False, unique=True),
    Column("credential_id", Text, nullable=False),  # base64url, as the rest
    Column("user_handle", String(64), nullable=False),
    Column("public_key", Text, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("is_synced", Boolean, nullable=False),
    Column("name", String(80), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index(None, "holder"),
    Index(None, "user_handle"),
)

# A lost passkey: an owner who can only prove the address waits, or an administrator helps.
passkey_recovery = Table(
    "passkey_recovery",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(254), nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("ready_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("told_at", BigInteger),  # the second mail
    Column("used_at", BigInteger),
    Column("cancelled_at", BigInteger),
    Index(None, "owner"),
    Index(None, "expires_at"),
)
