"""Codes and refresh tokens that are bound to a key; clients and agents that have to prove one.

Revision ID: 0017
Revises: 0016
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def _columns() -> tuple[tuple[str, sa.Column[Any]], ...]:
    def flag() -> sa.Column[Any]:
        return sa.Column("dpop_bound", sa.Boolean, nullable=False, server_default=sa.false())

    return (
        ("client", flag()),
        ("agent", flag()),
        ("sign_in", sa.Column("dpop_jkt", sa.String(64))),
        ("token_family", sa.Column("dpop_jkt", sa.String(64))),
    )


def upgrade() -> None:
    """Adds four columns; what exists stays unbound."""
    for table, column in _columns():
        op.add_column(table, column)


def downgrade() -> None:
    """Removes them."""
    for table, column in _columns():
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column.name)
