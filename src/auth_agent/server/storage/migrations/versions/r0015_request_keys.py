"""Public keys with which agents sign their HTTP requests.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "request_key",
        sa.Column("kid", sa.String(43), primary_key=True),
        sa.Column("agent_id", sa.String(64), sa.ForeignKey("agent.id"), nullable=False),
        sa.Column("x", sa.String(43), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger),
    )
    op.create_index("ix_request_key_agent_id", "request_key", ["agent_id"])


def downgrade() -> None:
    op.drop_table("request_key")
