"""Pushed requests, and the acts that owners are asked to approve.

Revision ID: 0014
Revises: 0013
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def _columns() -> tuple[tuple[str, sa.Column[Any]], ...]:
    needs_owner = sa.Column("needs_owner", sa.Boolean, nullable=False, server_default=sa.false())
    return (
        ("sign_in", sa.Column("act", sa.Text)),
        ("sign_in", needs_owner),
        ("token_family", sa.Column("granted_details", sa.Text)),
        ("token_family", sa.Column("acr", sa.String(64))),
    )


def upgrade() -> None:
    """Adds one table and four columns; existing rows stay as they are."""
    for table, column in _columns():
        op.add_column(table, column)
    op.create_table(
        "pushed_request",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_pushed_request"),
    )
    op.create_index("ix_pushed_request_expires_at", "pushed_request", ["expires_at"])
    op.create_index("ix_pushed_request_address", "pushed_request", ["address"])


def downgrade() -> None:
    """Removes them."""
    op.drop_table("pushed_request")
    for table, column in _columns():
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column.name)
