"""People: administrators, owners, their browsers, mailed codes; who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("agent") as table:
        table.add_column(
            sa.Column("second_factor", sa.Boolean, nullable=False, server_default=sa.false())
        )
    op.add_column("audit", sa.Column("actor", sa.String(254)))
    op.create_index("ix_audit_agent_id", "audit", ["agent_id"])
    _administrators()
    _mailed()


def downgrade() -> None:
    for table in (
        "failed_attempt",
        "second_step",
        "mailed_proof",
        "browser_session",
        "setup_link",
        "administrator",
    ):
        op.drop_table(table)
    op.drop_index("ix_audit_agent_id", "audit")
    op.drop_column("audit", "actor")
    with op.batch_alter_table("agent") as changed:
        changed.drop_column("second_factor")


def _administrators() -> None:
    op.create_table(
        "administrator",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(100)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
    )
    op.create_table(
        "setup_link",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("administrator_id", sa.String(64), sa.ForeignKey("administrator.id")),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_table(
        "browser_session",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(254), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_browser_session_expires_at", "browser_session", ["expires_at"])


def _mailed() -> None:
    op.create_table(
        "mailed_proof",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("email", sa.String(254)),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("link_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("browser_hash", sa.String(64), nullable=False),
        sa.Column("guesses", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_index("ix_mailed_proof_expires_at", "mailed_proof", ["expires_at"])
    op.create_table(
        "second_step",
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("guesses", sa.Integer, nullable=False),
        sa.Column("mails", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_index("ix_second_step_expires_at", "second_step", ["expires_at"])
    op.create_table(
        "failed_attempt",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_failed_attempt_subject", "failed_attempt", ["subject"])
    op.create_index("ix_failed_attempt_at", "failed_attempt", ["at"])
