"""The tables; times are whole seconds since 1970, lists of words are separated by spaces."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts up only a column whose type is exactly INTEGER.
_Counter = BigInteger().with_variant(Integer(), "sqlite")

client = Table(
    "client",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("auth_method", String(32), nullable=False),
    Column("secret_hash", String(100)),
    Column("redirect_uris", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("resources", Text, nullable=False),
    Column("upstream_compat", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    # Origin: added by an administrator, registered by itself, or read from its document.
    Column("origin", String(16), nullable=False, server_default="added"),
    # An agent of the older generation is a client under its own id.
    Column("agent_id", String(64), ForeignKey("agent.id"), unique=True),
    Column("jwks", Text),
    Column("jwks_uri", Text),
    Column("backchannel_logout_uri", Text),
    # Each of its logout tokens has to name a session (Back-Channel Logout 1.0, section 2.2).
    Column(
        "backchannel_logout_session_required",
        Boolean,
        nullable=False,
        default=False,
        server_default=false(),
    ),
    # The algorithm of its ID tokens; none for the server's own.
    Column("id_token_alg", String(16)),
    # Where a browser may go after the agent has signed out here, separated by spaces.
    Column("post_logout_redirect_uris", Text, nullable=False, server_default=""),
    # Only the issuer may be the audience of its assertions.
    Column("strict_audience", Boolean, nullable=False, default=False, server_default=false()),
    # It gets no token without a proof of a key (RFC 9449 section 5.2).
    Column("dpop_bound", Boolean, nullable=False, default=False, server_default=false()),
    # Columns that an administrator has changed; they override its document.
    Column("set_by_admin", Text, nullable=False, server_default=""),
    # The first approval of a self-registered client by an agent; none before it.
    Column("approved_at", BigInteger),
)

# APIs that native clients may ask tokens for, beside the resources of websites.
known_resource = Table(
    "known_resource",
    metadata,
    Column("url", Text, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

agent = Table(
    "agent",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("email_verified", Boolean, nullable=False),
    Column("name", String(200), nullable=False),  # the owner's
    Column("display_name", String(80), nullable=False, default="", server_default=""),
    Column("model", String(200), nullable=False),
    Column("scopes", Text),  # none for every scope that the website may ask for
    Column("permissions", Text, nullable=False),
    Column("secret_hash", String(100)),
    Column("require_origin", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("jwks", Text),  # public keys, for an agent that signs instead of sending a secret
    # It gets no token of its own without a proof of a key.
    Column("dpop_bound", Boolean, nullable=False, default=False, server_default=false()),
    # Each of its sign-ins needs a code that is mailed to the owner.
    Column("second_factor", Boolean, nullable=False, default=False, server_default=false()),
    # When its owner is asked: off, notify, first or always; none for the server's default.
    Column("approval", String(8)),
    Index(None, "email"),
    Index(None, "created_at"),
)

# Public keys (Ed25519) with which agents sign their HTTP requests; other keys than `agent.jwks`.
# A removed key stays: its agent's document has to go on answering without it.
request_key = Table(
    "request_key",
    metadata,
    Column("kid", String(43), primary_key=True),  # its thumbprint (RFC 7638)
    Column("agent_id", String(64), ForeignKey("agent.id"), nullable=False),
    Column("x", String(43), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    Index(None, "agent_id"),
)

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
    Column("agent_id", String(64), ForeignKey("agent.id")),
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

# All tokens from one redeemed code; the row holds the valid refresh token.
token_family = Table(
    "token_family",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("client_id", String(255), ForeignKey("client.id"), nullable=False),
    Column("agent_id", String(64), ForeignKey("agent.id"), nullable=False),
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
        ForeignKey("token_family.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Index(None, "family_id"),
)

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

# Append only (its trigger enforces that), and without foreign keys: it outlives other rows.
audit = Table(
    "audit",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
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
    Column("id", _Counter, primary_key=True, autoincrement=True),
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

# Events that agents report with send_event; sign-ins neither read nor write them.
event = Table(
    "event",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("agent_id", String(64), nullable=False),
    Column("client_id", String(255), nullable=False),
    Column("kind", String(200), nullable=False),
    Column("site", String(255)),
    Column("data", Text, nullable=False),
    Index(None, "at"),
    Index(None, "agent_id"),
)

# Checks that the agent behind a token is active.
verification = Table(
    "verification",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("agent_id", String(64), ForeignKey("agent.id"), nullable=False),
    Column("client_id", String(255)),  # the website that asked; none if the agent itself did
    Column("challenge", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger),
    Index(None, "agent_id"),
    Index(None, "expires_at"),
)
