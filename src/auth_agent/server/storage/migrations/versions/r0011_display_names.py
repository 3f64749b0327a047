"""Agents have a display name.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the column."""
    op.add_column(
        "agent", sa.Column("display_name", sa.String(80), nullable=False, server_default="")
    )


def downgrade() -> None:
    """Removes the column."""
    with op.batch_alter_table("agent") as table:
        table.drop_column("display_name")
