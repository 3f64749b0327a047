"""Owners are asked: questions, the websites that agents know, passkeys and their recovery.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_OPEN = sa.text("answer IS NULL")


def upgrade() -> None:
    op.add_column("agent", sa.Column("approval", sa.String(8)))
    op.add_column(
        "browser_session", sa.Column("how", sa.String(16), nullable=False, server_default="")
    )
    for column in _sign_in_columns():
        op.add_column("sign_in", column)
    _questions()
    _websites()
    _passkeys()


def downgrade() -> None:
    for table in ("passkey_recovery", "passkey", "known_website", "owner_question"):
        op.drop_table(table)
    with op.batch_alter_table("sign_in") as batch:
        for column in reversed(_sign_in_columns()):
            batch.drop_column(column.name)
    with op.batch_alter_table("browser_session") as batch:
        batch.drop_column("how")
    with op.batch_alter_table("agent") as batch:
        batch.drop_column("approval")


def _questions() -> None:
    op.create_table(
        "owner_question",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False, unique=True),
        sa.Column("agent_id", sa.String(64), sa.ForeignKey("agent.id"), nullable=False),
        sa.Column("owner", sa.String(254), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("amr", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("website", sa.String(200), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("message", sa.String(60)),
        sa.Column("act", sa.Text),
        sa.Column("address", sa.String(64)),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.String(16)),
        sa.Column("answered_at", sa.BigInteger),
        sa.Column("answered_by", sa.String(254)),
        sa.Column("answered_how", sa.String(16)),
        sa.Column("passkey_id", sa.String(64)),
        sa.Column("assertion", sa.Text),
        sa.Column("taken_at", sa.BigInteger),
    )
    for column in ("owner", "agent_id", "expires_at"):
        op.create_index(f"ix_owner_question_{column}", "owner_question", [column])
    op.create_index(
        "ix_owner_question_open",
        "owner_question",
        ["agent_id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def _websites() -> None:
    op.create_table(
        "known_website",
        sa.Column("agent_id", sa.String(64), sa.ForeignKey("agent.id"), primary_key=True),
        sa.Column("client_id", sa.String(255), primary_key=True),
        sa.Column("origin", sa.String(255), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("approved_at", sa.BigInteger),
        sa.Column("always_at", sa.BigInteger),
        sa.Column("link_hash", sa.String(64), unique=True),
    )


def _passkeys() -> None:
    op.create_table(
        "passkey",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(254), nullable=False),
        sa.Column("credential_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("credential_id", sa.Text, nullable=False),
        sa.Column("user_handle", sa.String(64), nullable=False),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("is_synced", sa.Boolean, nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_index("ix_passkey_holder", "passkey", ["holder"])
    op.create_index("ix_passkey_user_handle", "passkey", ["user_handle"])
    op.create_table(
        "passkey_recovery",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(254), nullable=False),
        sa.Column("asked_at", sa.BigInteger, nullable=False),
        sa.Column("ready_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("told_at", sa.BigInteger),
        sa.Column("used_at", sa.BigInteger),
        sa.Column("cancelled_at", sa.BigInteger),
    )
    op.create_index("ix_passkey_recovery_owner", "passkey_recovery", ["owner"])
    op.create_index("ix_passkey_recovery_expires_at", "passkey_recovery", ["expires_at"])


def _sign_in_columns() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("question_id", sa.String(64)),
        sa.Column("denied_by", sa.String(16)),
    )
