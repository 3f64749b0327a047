"""Administrators, keys instead of secrets, agents as clients, logouts, events, verifications."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_PENDING = sa.text("approved_at IS NULL AND denied_at IS NULL")
_CLIENT = ("origin", "agent_id", "jwks", "jwks_uri", "backchannel_logout_uri")


def upgrade() -> None:
    _clients_and_agents()
    _sign_ins()
    _administrators()
    _logouts()
    _events()


def downgrade() -> None:
    for name in ("verification", "event", "logout_delivery", "used_assertion", "admin_token"):
        op.drop_table(name)
    op.drop_index("ix_sign_in_pending", "sign_in")
    op.execute("DELETE FROM sign_in WHERE browser_hash IS NULL")
    with op.batch_alter_table("sign_in") as table:
        table.alter_column("browser_hash", existing_type=sa.String(64), nullable=False)
        table.drop_column("address")
        table.drop_column("only_agent")
    with op.batch_alter_table("agent") as table:
        table.drop_column("jwks")
    with op.batch_alter_table("client") as table:
        table.drop_constraint("uq_client_agent_id", type_="unique")
        table.drop_constraint("fk_client_agent_id", type_="foreignkey")
        for column in _CLIENT:
            table.drop_column(column)


def _clients_and_agents() -> None:
    with op.batch_alter_table("agent") as table:
        table.add_column(sa.Column("jwks", sa.Text))
    with op.batch_alter_table("client") as table:
        table.add_column(sa.Column("origin", sa.String(16), nullable=False, server_default="added"))
        table.add_column(sa.Column("agent_id", sa.String(64)))
        for column in ("jwks", "jwks_uri", "backchannel_logout_uri"):
            table.add_column(sa.Column(column, sa.Text))
        table.create_unique_constraint("uq_client_agent_id", ["agent_id"])
        table.create_foreign_key("fk_client_agent_id", "agent", ["agent_id"], ["id"])
    op.execute(
        "INSERT INTO client (id, name, auth_method, redirect_uris, scopes, resources, "
        "upstream_compat, created_at, origin, agent_id) "
        "SELECT id, id, 'agent', '', 'openid profile email agent', '', false, created_at, "
        "'agent', id FROM agent"
    )


def _sign_ins() -> None:
    with op.batch_alter_table("sign_in") as table:
        table.alter_column("browser_hash", existing_type=sa.String(64), nullable=True)
        table.add_column(sa.Column("address", sa.String(64)))
        table.add_column(sa.Column("only_agent", sa.String(64)))
    op.create_index(
        "ix_sign_in_pending",
        "sign_in",
        ["address"],
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    )


def _administrators() -> None:
    op.create_table(
        "admin_token",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
    )
    op.create_table(
        "used_assertion",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_used_assertion_expires_at", "used_assertion", ["expires_at"])


def _logouts() -> None:
    counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "logout_delivery",
        sa.Column("id", counter, primary_key=True, autoincrement=True),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("family_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("outcome", sa.String(40)),
    )
    op.create_index("ix_logout_delivery_next_at", "logout_delivery", ["next_at"])


def _events() -> None:
    counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "event",
        sa.Column("id", counter, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("site", sa.String(255)),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("ix_event_at", "event", ["at"])
    op.create_index("ix_event_agent_id", "event", ["agent_id"])
    op.create_table(
        "verification",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("agent_id", sa.String(64), sa.ForeignKey("agent.id"), nullable=False),
        sa.Column("client_id", sa.String(255)),
        sa.Column("challenge", sa.String(64)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("verified_at", sa.BigInteger),
    )
    op.create_index("ix_verification_agent_id", "verification", ["agent_id"])
    op.create_index("ix_verification_expires_at", "verification", ["expires_at"])
