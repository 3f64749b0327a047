"""People: administrators, owners, their browsers, mailed codes; who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0002"

# The database itself refuses to rewrite the audit; only rows that are old enough are swept.
_APPEND_ONLY = {
    "sqlite": (
        """CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit is append only'; END $$""",
        """CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR TRUNCATE ON audit
        FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()""",
    ),
}
_REWRITABLE = {
    "sqlite": ("DROP TRIGGER audit_is_append_only",),
    "postgresql": (
        "DROP TRIGGER audit_is_append_only ON audit",
        "DROP FUNCTION audit_is_append_only()",
    ),
}


def upgrade() -> None:
    with op.batch_alter_table("agent") as table:
        table.add_column(
            sa.Column("second_factor", sa.Boolean, nullable=False, server_default=sa.false())
        )
    op.add_column("audit", sa.Column("actor", sa.String(254)))
    op.create_index("ix_audit_agent_id", "audit", ["agent_id"])
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
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
    for statement in _REWRITABLE[op.get_bind().dialect.name]:
        op.execute(statement)
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
