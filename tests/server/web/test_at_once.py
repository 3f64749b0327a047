"""Calls that are done on the event loop's thread: when they are, and when they are given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from auth_agent.server import Database
from auth_agent.server.registry import clients
from auth_agent.server.storage.statements import Write
from auth_agent.server.storage.tables.parties import client
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import signing_key, spent_refresh_token
from auth_agent.server.tokens import endings
from auth_agent.server.web.at_once import WouldWait, happened, is_trying, or_wait
from tests.server.conftest import Build
from tests.server.world import NOW, World


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Uses SQLite: PostgreSQL is always asked from a thread."""
    made = Database.open(f"sqlite:///{tmp_path}/auth-agent.db")
    assert made.is_quick
    yield made
    made.close()


def test_whatever_is_slow_gives_up(database: Database) -> None:
    or_wait()
    with database.at_once():
        assert is_trying()
        with pytest.raises(WouldWait):
            or_wait()
        happened()
        or_wait()
    assert not is_trying()


def test_a_writer_elsewhere_is_not_waited_for(database: Database) -> None:
    with database.begin(), pytest.raises(WouldWait):
        _in_thread(lambda: _write_at_once(database))
    other = Database.open(str(database.engine.url))
    with other.begin(), pytest.raises(WouldWait):
        _write_at_once(database)
    other.close()
    _write_at_once(database)


def test_after_something_has_happened_it_waits(database: Database) -> None:
    with database.at_once():
        with database.begin():
            assert is_trying()
        assert not is_trying()
        with database.begin():
            pass


def test_one_thread_at_a_time(database: Database) -> None:
    with database.at_once(), pytest.raises(WouldWait):
        _in_thread(lambda: _write_at_once(database))


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.at_once(), database.begin() as connection:
            connection.execute(insert(audit), {"at": 1, "kind": "x", "outcome": "y"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as connection:
        assert not connection.execute(select(audit).where(audit.c.kind == "x")).all()


def test_a_commit_that_fails_leaves_no_transaction_open(database: Database) -> None:
    """Stores a family without its website, which SQLite notices only at the commit if told so."""
    with pytest.raises(IntegrityError):
        _break_a_reference_at_once(database)
    _write_at_once(database)
    with database.read() as connection:
        assert not connection.execute(select(spent_refresh_token)).all()


def test_a_write_hands_on_only_what_the_driver_takes_as_it_stands(database: Database) -> None:
    """Passes no booleans: SQLite has none, so SQLAlchemy would have to translate."""
    write = Write(insert(client), ["id", "upstream_compat"])
    with database.begin() as connection, pytest.raises(TypeError, match="upstream_compat"):
        write.run(connection, {"id": "x", "upstream_compat": True})


def test_a_part_of_a_transaction_may_fail_alone(database: Database) -> None:
    def fail(connection: Any) -> None:
        with connection.begin_nested():
            connection.execute(insert(audit), {"at": 2, "kind": "lost", "outcome": "y"})
            raise RuntimeError

    with database.at_once(), database.begin() as connection:
        connection.execute(insert(audit), {"at": 1, "kind": "kept", "outcome": "y"})
        with pytest.raises(RuntimeError):
            fail(connection)
    with database.read() as connection:
        kinds = set(connection.execute(select(audit.c.kind).where(audit.c.at < 3)).scalars())
    assert kinds == {"kept"}


def test_errors_are_sqlalchemys(database: Database) -> None:
    with database.at_once(), database.read() as connection:
        row = {"id": "client_twice", "name": "s3cret", "auth_method": "none"}
        row |= dict.fromkeys(("redirect_uris", "scopes", "resources"), "")
        values: dict[str, Any] = {**row, "upstream_compat": False, "created_at": 1}
        connection.execute(insert(client), values)
        with pytest.raises(IntegrityError) as error:
            connection.execute(insert(client), values)
        assert "s3cret" not in str(error.value)
        raw: Any = connection.connection
        raw.exec_driver_sql("DROP TABLE signing_key")
        with pytest.raises(OperationalError):
            connection.execute(select(signing_key))


def test_a_website_changed_elsewhere_is_seen_at_once(own_world: World) -> None:
    """Drops what it has cached about websites at the first write of another process."""
    assert own_world.tokens()
    code = own_world.code()
    other = Database.open(own_world.database.engine.url.render_as_string(hide_password=False))
    fresh = clients.rotate_client_secret(other, own_world.shop.client_id, NOW)
    assert fresh
    assert own_world.redeem(code).status_code == 401
    auth = (own_world.shop.client_id, fresh.reveal())
    assert own_world.redeem(code, auth=auth).status_code == 200
    endings.remove_client(other, own_world.shop.client_id, NOW)
    assert own_world.redeem(code, auth=auth).status_code == 401
    other.close()


def test_with_full_syncs_nothing_is_written_on_the_loop(build: Build) -> None:
    world = build(sqlite_synchronous="FULL")
    assert not world.database.is_quick
    assert world.tokens()


def _break_a_reference_at_once(database: Database) -> None:
    with database.at_once(), database.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.exec_driver_sql("INSERT INTO spent_refresh_token VALUES ('x', 'no family')")


def _write_at_once(database: Database) -> None:
    with database.at_once(), database.begin():
        pass


def _in_thread(function: Any) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except WouldWait as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    if failed:
        raise failed[0]
