"""The tables of agents, their clients, and the APIs that clients may ask tokens for."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, String, Table, Text, false

from auth_agent.server.storage.tables.metadata import metadata

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
    Column("agent_id", String(64), ForeignKey(agent.c.id), unique=True),
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

# Public keys (Ed25519) with which agents sign their HTTP requests; other keys than `agent.jwks`.
# A removed key stays: its agent's document has to go on answering without it.
request_key = Table(
    "request_key",
    metadata,
    Column("kid", String(43), primary_key=True),  # its thumbprint (RFC 7638)
    Column("agent_id", String(64), ForeignKey(agent.c.id), nullable=False),
    Column("x", String(43), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    Index(None, "agent_id"),
)
