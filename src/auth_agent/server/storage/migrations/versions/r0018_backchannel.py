"""Requests to owners without a browser (CIBA).

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Adds the table."""
    op.create_table(
        "backchannel_request",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("interval", sa.Integer(), nullable=False),
        sa.Column("polled_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backchannel_request"),
    )
    op.create_index("ix_backchannel_request_expires_at", "backchannel_request", ["expires_at"])


def downgrade() -> None:
    """Removes the table."""
    op.drop_table("backchannel_request")
