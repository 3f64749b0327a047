"""Alembic's entry point: runs on the given connection, in its transaction."""

from __future__ import annotations

from alembic import context

from auth_agent.server.storage.tables import (  # noqa: F401  # each adds its tables
    approvals,
    people,
    records,
    sign_ins,
    tokens,
)
from auth_agent.server.storage.tables.metadata import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    # SQLite changes tables by copying them.
    render_as_batch=True,
)
context.run_migrations()
