"""What an owner has approved: the scopes at a website, and what the token opens.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Adds the columns; a website that was approved before is asked about once more."""
    op.add_column("owner_question", sa.Column("audience", sa.Text()))
    op.add_column("known_website", sa.Column("scope", sa.Text()))


def downgrade() -> None:
    """Removes the columns."""
    with op.batch_alter_table("known_website") as batch:
        batch.drop_column("scope")
    with op.batch_alter_table("owner_question") as batch:
        batch.drop_column("audience")
