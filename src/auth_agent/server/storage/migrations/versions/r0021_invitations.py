"""Invitations of owners without mail, and notices that commands leave for the server to mail.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Adds the tables."""
    op.create_table(
        "owner_invitation",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(254), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_owner_invitation"),
    )
    op.create_index("ix_owner_invitation_owner", "owner_invitation", ["owner"])
    op.create_index("ix_owner_invitation_expires_at", "owner_invitation", ["expires_at"])
    op.create_table(
        "owner_notice",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(254), nullable=False),
        sa.Column("about", sa.String(32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_owner_notice"),
    )
    op.create_index("ix_owner_notice_created_at", "owner_notice", ["created_at"])


def downgrade() -> None:
    """Removes the tables."""
    op.drop_table("owner_notice")
    op.drop_table("owner_invitation")
