"""Indexes for the console's lists and charts.

Revision ID: 0022
Revises: 0021
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_AUDIT = {
    "ix_audit_at": ["at", "id"],
    "ix_audit_agent_id": ["agent_id", "at", "id"],
    "ix_audit_client_id": ["client_id", "at", "id"],
    "ix_audit_kind": ["kind", "at", "id"],
    "ix_audit_counted": ["kind", "outcome", "at", "id", "client_id", "agent_id"],
}
_VALID = sa.text("revoked_at IS NULL")


def upgrade() -> None:
    for name in ("ix_audit_at", "ix_audit_agent_id"):
        op.drop_index(name, "audit")
    for name, columns in _AUDIT.items():
        op.create_index(name, "audit", columns)
    op.create_index("ix_token_family_created_at", "token_family", ["created_at"])
    op.create_index(
        "ix_token_family_valid",
        "token_family",
        ["model", "expires_at", "refresh_expires_at"],
        sqlite_where=_VALID,
        postgresql_where=_VALID,
    )
    op.create_index("ix_agent_email", "agent", ["email"])
    op.create_index("ix_agent_created_at", "agent", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_agent_created_at", "agent")
    op.drop_index("ix_agent_email", "agent")
    op.drop_index("ix_token_family_valid", "token_family")
    op.drop_index("ix_token_family_created_at", "token_family")
    for name in _AUDIT:
        op.drop_index(name, "audit")
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_agent_id", "audit", ["agent_id"])
