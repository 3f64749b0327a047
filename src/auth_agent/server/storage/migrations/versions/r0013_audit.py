"""Fresh lines of the audit cannot be deleted, and none can be replaced.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

# One hour below the shortest retention in the settings (a day for refusals, thirty days for the
# rest), because the clocks of the server and of the database may differ.
_FRESH = (
    "OLD.at > {now} - CASE WHEN OLD.outcome IN ('refused', 'invalid_credentials')"
    " THEN 82800 ELSE 2588400 END"
)
_REFUSED = "the audit is append only"
_SQLITE_NOW = "CAST(strftime('%s', 'now') AS INTEGER)"
_POSTGRES_NOW = "EXTRACT(EPOCH FROM now())"
_GUARDED = {
    "sqlite": (
        f"""CREATE TRIGGER audit_keeps_fresh_lines BEFORE DELETE ON audit
        WHEN {_FRESH.format(now=_SQLITE_NOW)}
        BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END""",
        # REPLACE deletes without a delete trigger.
        """CREATE TRIGGER audit_replaces_no_line BEFORE INSERT ON audit
        WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'the audit is append only'); END""",
    ),
    "postgresql": (
        f"""CREATE FUNCTION audit_keeps_fresh_lines() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            IF ({_FRESH.format(now=_POSTGRES_NOW)}) THEN RAISE EXCEPTION '{_REFUSED}'; END IF;
            RETURN OLD;
        END $$""",
        """CREATE TRIGGER audit_keeps_fresh_lines BEFORE DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_keeps_fresh_lines()""",
    ),
}
_FREE = {
    "sqlite": ("DROP TRIGGER audit_keeps_fresh_lines", "DROP TRIGGER audit_replaces_no_line"),
    "postgresql": (
        "DROP TRIGGER audit_keeps_fresh_lines ON audit",
        "DROP FUNCTION audit_keeps_fresh_lines()",
    ),
}


def upgrade() -> None:
    """Adds the triggers."""
    for statement in _GUARDED[op.get_bind().dialect.name]:
        op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    """Removes the triggers."""
    for statement in _FREE[op.get_bind().dialect.name]:
        op.execute(statement)
