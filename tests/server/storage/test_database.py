"""Schema, migrations and what the two databases promise."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server import Database, ServerSettings
from auth_agent.server.context import build_context
from auth_agent.server.registry import agents, clients
from auth_agent.server.storage.schema import HEAD, SCRIPTS, OtherSchema, alembic_config, need_head
from auth_agent.server.storage.tables.metadata import metadata
from tests.server.conftest import Build
from tests.server.world import NOW, World


def test_models_and_migrations_agree(own_world: World) -> None:
    with own_world.database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        script = ScriptDirectory.from_config(alembic_config(connection))
    assert script.get_current_head() == HEAD


def test_the_migrations_are_one_chain_in_the_order_of_their_numbers() -> None:
    """Read as text: two files of one number would already stop Alembic, with other words."""
    before, seen = None, dict[str, str]()
    for path in sorted(SCRIPTS.glob("versions/r*.py")):
        number, text = path.name[1:5], path.read_text()
        assert number not in seen, (
            f"{path.name} and {seen[number]} have one number: give the one that is not on main yet "
            f"the number after {HEAD}, in its file's name, revision and down_revision"
        )
        for name, value in (("revision", number), ("down_revision", before)):
            found = re.search(rf'^{name}(?:: [^=]+)? = "?(\w+)"?$', text, re.MULTILINE)
            assert found is not None, f"{path.name} has no {name}"
            assert found[1] == str(value), (
                f"{path.name}: {name} is {found[1]}, but the file's name and the one before it "
                f"in the chain want {value}"
            )
        before, seen[number] = number, path.name
    assert before == HEAD


@pytest.mark.parametrize(
    ("revision", "told"),
    [
        ("0010", f"older than this program: it has schema 0010, and schema {HEAD} is needed"),
        (None, "no tables yet"),
        ("9999", "this program is older than the database"),
    ],
)
def test_a_database_of_another_version_says_which_is_older(
    revision: str | None, told: str, empty_database: str
) -> None:
    """A server, a command and a migration say the same; none changes a newer database."""
    database = Database.open(empty_database)
    database.migrate()
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
        if revision is not None:
            connection.execute(text("INSERT INTO alembic_version VALUES (:r)"), {"r": revision})
    with pytest.raises(OtherSchema, match=told) as caught:
        need_head(database.revision())
    is_newer = revision == "9999"
    assert ("auth-agent migrate" in str(caught.value)) is not is_newer
    if is_newer:
        with pytest.raises(OtherSchema, match=told):
            database.migrate()
    if is_newer or not database.is_sqlite:  # a server brings an older SQLite file up to date
        secrets = (Secret("s" * 32),)
        settings = ServerSettings(
            issuer="http://127.0.0.1", secrets=secrets, database=empty_database
        )
        with pytest.raises(SettingsError, match=told):
            build_context(settings)
    assert database.revision() == revision
    database.close()


def test_migrations_run_twice_and_back(empty_database: str) -> None:
    database = Database.open(empty_database)
    assert database.migrate() is not database.is_sqlite
    assert database.migrate() is False
    with database.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert database.migrate() is True
    database.close()


def test_a_database_in_use_is_migrated_with_everything_in_it(empty_database: str) -> None:
    database = Database.open(empty_database)
    database.migrate()
    clients.add_client(database, "Shop", ["https://shop.example/"], now=NOW)
    agent = agents.add_agent(database, "ann@owner.example", now=NOW)
    with database.engine.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("DELETE FROM client WHERE agent_id IS NOT NULL")
        command.downgrade(alembic_config(connection), "0001")
        connection.commit()
    assert database.migrate() is True
    assert [row["agent_id"] for row in agents.list_agents(database)] == [agent.agent_id]
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT agent_id FROM client").all()
        if database.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert set(found) == {(None,), (agent.agent_id,)}
    database.close()


def test_machines_that_migrate_at_once_do_it_once(empty_database: str) -> None:
    words = [sys.executable, "-c", "from auth_agent.cli import main; main()", "migrate"]
    root = Path(__file__).parents[3]
    several = [
        subprocess.Popen([*words, "--database", empty_database], cwd=root, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    told = [process.communicate(timeout=60)[0] for process in several]
    assert [process.returncode for process in several] == [0, 0, 0, 0]
    if not empty_database.startswith("sqlite"):
        assert sum(b"was brought" in text for text in told) == 1
    database = Database.open(empty_database)
    assert database.migrate() is False
    database.close()


@pytest.mark.parametrize("setting", ["NORMAL", "FULL"])
def test_sqlite_is_set_up(build: Build, setting: str) -> None:
    world = build(sqlite_synchronous=setting)
    if not world.database.is_sqlite:
        return
    with world.database.read() as connection:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("foreign_keys", 1),
            ("busy_timeout", 10_000),
            ("synchronous", {"NORMAL": 1, "FULL": 2}[setting]),
        ):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_the_short_name_of_postgresql_is_enough() -> None:
    for url in ("postgresql://a:s3cret@db.example/x", "postgresql+psycopg://a:s3cret@db.example/x"):
        database = Database.open(url)
        assert database.engine.url.drivername == "postgresql+psycopg"
        assert "s3cret" not in repr(database)
        database.close()


def test_a_new_sqlite_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        database = Database.open(f"sqlite:///{tmp_path}/new.db")
        clients.add_client(database, "Shop", ["https://shop.example/"], now=NOW)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), 0o600)
