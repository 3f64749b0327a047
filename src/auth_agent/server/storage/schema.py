"""Schema migrations, run by Alembic from the files in `migrations/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from auth_agent.extras import DISTRIBUTION

SCRIPTS = Path(__file__).parent / "migrations"
# The number of a revision is in its file's name; tests hold the chain to the numbers.
REVISIONS = tuple(sorted(path.name[1:5] for path in SCRIPTS.glob("versions/r[0-9]*.py")))
HEAD = REVISIONS[-1]


class OtherSchema(ValueError):
    """The database has the tables of another version; the message says what to do."""


def need_head(found: str | None) -> None:
    """Raises OtherSchema unless this revision is the newest that this program knows."""
    if not is_head(found):
        raise OtherSchema(
            f"the database is older than this program: it has {_named(found)}, and schema {HEAD} "
            "is needed; stop the servers that use it, then run: auth-agent migrate"
        )


def is_head(found: str | None) -> bool:
    """Returns whether nothing is left to migrate; raises OtherSchema for an unknown revision."""
    if found is not None and found not in REVISIONS:
        raise OtherSchema(
            f"this program is older than the database, which a newer version of auth-agent has "
            f"migrated: it has {_named(found)}, and this program knows {HEAD}; update "
            f"{DISTRIBUTION}, or restore the backup from before the update"
        )
    return found == HEAD


def _named(revision: str | None) -> str:
    return f"schema {revision}" if revision else "no tables yet"


def current_revision(connection: Connection) -> str | None:
    """Returns the schema's revision; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return revision


def upgrade(connection: Connection) -> None:
    """Runs the missing migrations inside the caller's transaction."""
    from alembic import command  # noqa: PLC0415  (slow to import, seldom needed)

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Any:
    """Returns Alembic's configuration for one connection; no ini file, no logging set-up."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
