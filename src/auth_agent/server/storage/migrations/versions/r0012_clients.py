"""Known APIs; self-registered clients: their algorithm, return addresses and changed columns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_BY_CONVENTION = "fk_sign_in_client_id"
_NAMES = {"fk": "fk_%(table_name)s_%(column_0_name)s"}


def upgrade() -> None:
    op.create_table(
        "known_resource",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    for column in _client_columns():
        op.add_column("client", column)
    with op.batch_alter_table("sign_in", naming_convention=_NAMES) as table:
        table.drop_constraint(_foreign_key(), type_="foreignkey")
        table.add_column(sa.Column("document", sa.Text))
        table.add_column(sa.Column("document_name", sa.String(200)))


def downgrade() -> None:
    op.execute("DELETE FROM sign_in WHERE client_id NOT IN (SELECT id FROM client)")
    with op.batch_alter_table("sign_in", naming_convention=_NAMES) as table:
        table.drop_column("document_name")
        table.drop_column("document")
        table.create_foreign_key(_BY_CONVENTION, "client", ["client_id"], ["id"])
    with op.batch_alter_table("client") as table:
        for column in reversed(_client_columns()):
            table.drop_column(column.name)
    op.drop_table("known_resource")


def _client_columns() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("id_token_alg", sa.String(16)),
        sa.Column("post_logout_redirect_uris", sa.Text, nullable=False, server_default=""),
        sa.Column("strict_audience", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("set_by_admin", sa.Text, nullable=False, server_default=""),
        sa.Column("approved_at", sa.BigInteger),
    )


def _foreign_key() -> str:
    """Returns the name of the constraint: PostgreSQL chose one, SQLite has none."""
    for key in sa.inspect(op.get_bind()).get_foreign_keys("sign_in"):
        if key["constrained_columns"] == ["client_id"]:
            return key["name"] or _BY_CONVENTION
    return _BY_CONVENTION
