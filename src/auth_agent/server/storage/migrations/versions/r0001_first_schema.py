"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _people()
    _sign_ins()
    _tokens()
    _records()


def downgrade() -> None:
    for table in (
        "audit",
        "signing_key",
        "spent_refresh_token",
        "token_family",
        "sign_in",
        "agent",
        "client",
    ):
        op.drop_table(table)


def _people() -> None:
    op.create_table(
        "client",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("auth_method", sa.String(32), nullable=False),
        sa.Column("secret_hash", sa.String(100)),
        sa.Column("redirect_uris", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("resources", sa.Text, nullable=False),
        sa.Column("upstream_compat", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
    )
    op.create_table(
        "agent",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("email_verified", sa.Boolean, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("scopes", sa.Text),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.String(100)),
        sa.Column("require_origin", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("disabled_at", sa.BigInteger),
    )


def _sign_ins() -> None:
    op.create_table(
        "sign_in",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(255), sa.ForeignKey("client.id"), nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("nonce", sa.Text),
        sa.Column("code_challenge", sa.String(128), nullable=False),
        sa.Column("browser_hash", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("agent_id", sa.String(64), sa.ForeignKey("agent.id")),
        sa.Column("model", sa.String(200)),
        sa.Column("amr", sa.String(64)),
        sa.Column("approved_at", sa.BigInteger),
        sa.Column("denied_at", sa.BigInteger),
        sa.Column("code_hash", sa.String(64), unique=True),
        sa.Column("code_expires_at", sa.BigInteger),
        sa.Column("redeemed_at", sa.BigInteger),
        sa.Column("family_id", sa.String(64)),
    )
    op.create_index("ix_sign_in_expires_at", "sign_in", ["expires_at"])


def _tokens() -> None:
    op.create_table(
        "token_family",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(255), sa.ForeignKey("client.id"), nullable=False),
        sa.Column("agent_id", sa.String(64), sa.ForeignKey("agent.id"), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("amr", sa.String(64), nullable=False),
        sa.Column("auth_time", sa.BigInteger, nullable=False),
        sa.Column("refresh_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("refresh_issued_at", sa.BigInteger, nullable=False),
        sa.Column("refresh_expires_at", sa.BigInteger, nullable=False),
        sa.Column("access_expires_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
    )
    for column in ("agent_id", "client_id", "refresh_expires_at"):
        op.create_index(f"ix_token_family_{column}", "token_family", [column])
    op.create_table(
        "spent_refresh_token",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column(
            "family_id",
            sa.String(64),
            sa.ForeignKey("token_family.id", ondelete="CASCADE"),
            nullable=False,
        ),
    )
    op.create_index("ix_spent_refresh_token_family_id", "spent_refresh_token", ["family_id"])


def _records() -> None:
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String(64), primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False, unique=True),
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("public_jwk", sa.Text, nullable=False),
        sa.Column("private_sealed", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("signs_from", sa.BigInteger, nullable=False),
        sa.Column("published_until", sa.BigInteger),
    )
    counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "audit",
        sa.Column("id", counter, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("outcome", sa.String(40), nullable=False),
        sa.Column("agent_id", sa.String(64)),
        sa.Column("client_id", sa.String(255)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("address", sa.String(64)),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
