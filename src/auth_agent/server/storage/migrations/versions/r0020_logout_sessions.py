"""Websites whose logout tokens have to name a session.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Adds the column."""
    column = sa.Column(
        "backchannel_logout_session_required", sa.Boolean, nullable=False, server_default=sa.false()
    )
    op.add_column("client", column)


def downgrade() -> None:
    """Removes the column."""
    with op.batch_alter_table("client") as batch:
        batch.drop_column("backchannel_logout_session_required")
