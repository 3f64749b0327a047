"""The tables of administrators, owners and their browsers, and of the tokens of programs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table

from auth_agent.server.storage.tables.metadata import metadata

# People who may use the console; programs use an `admin_token` instead.
administrator = Table(
    "administrator",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("password_hash", String(100)),  # none until the link was used
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
)

# Bearer tokens of administrators; only a digest is stored.
admin_token = Table(
    "admin_token",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

# Single-use links to set a password; the first administrator's link has no name.
setup_link = Table(
    "setup_link",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("administrator_id", String(64), ForeignKey(administrator.c.id)),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

# Single-use links that an administrator hands to an owner, to add the first passkey.
owner_invitation = Table(
    "owner_invitation",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("owner", String(254), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index(None, "owner"),
    Index(None, "expires_at"),
)

# What an owner has to be mailed about, written by a command that cannot mail itself.
owner_notice = Table(
    "owner_notice",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(254), nullable=False),
    Column("about", String(32), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("told_at", BigInteger),
    Index(None, "created_at"),
)

# Signed-in browsers; `holder` is an administrator's id or an owner's address.
browser_session = Table(
    "browser_session",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("holder", String(254), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    # How the person signed in: mail, passkey or password.
    Column("how", String(16), nullable=False, default="", server_default=""),
    Index(None, "expires_at"),
)

# A code and a link that were mailed to an owner. A row without an address is a decoy for an
# unknown address: it is answered like the others and is never right.
mailed_proof = Table(
    "mailed_proof",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(254)),
    Column("code_hash", String(64), nullable=False),
    Column("link_hash", String(64), nullable=False, unique=True),
    Column("browser_hash", String(64), nullable=False),
    Column("guesses", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index(None, "expires_at"),
)

# The second step of one sign-in: what was mailed, and the number of wrong guesses.
second_step = Table(
    "second_step",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("agent_id", String(64), nullable=False),
    Column("model", String(200), nullable=False),
    Column("code_hash", String(64), nullable=False),
    Column("guesses", Integer, nullable=False),
    Column("mails", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Index(None, "expires_at"),
)

# Recent failures, for rate limits; `subject` is a digest of the person and the action.
failed_attempt = Table(
    "failed_attempt",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index(None, "subject"),
    Index(None, "at"),
)
