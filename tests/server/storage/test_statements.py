"""Statements that go past SQLAlchemy answer as SQLAlchemy does, rows and errors alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, bindparam, insert, select
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, OperationalError

from auth_agent.server import Database
from auth_agent.server.approval import websites
from auth_agent.server.registry import agents
from auth_agent.server.security import dpop
from auth_agent.server.sign_in import code, state
from auth_agent.server.storage.statements import Read, Write
from auth_agent.server.storage.tables.parties import agent
from auth_agent.server.storage.tables.tokens import spent_refresh_token, token_family
from auth_agent.server.tokens import families
from tests.server.world import World

_ALL = select(agent, agent.c.email_verified.label("again"), agent.c.jwks.label("none"))
_BY_ID = _ALL.where(agent.c.id == bindparam("id"))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("statements") / "auth-agent.db"
    database = Database.open(f"sqlite:///{path}")
    agents.add_agent(database, "ann@owner.example", agent_id="ann", now=1)
    agents.add_agent(database, "bob@owner.example", agent_id="bob", verified=False, now=2)
    yield database
    database.close()


def _both(database: Database, read: Read, values: dict[str, Any]) -> tuple[Any, Any]:
    """Returns the row as read by a thread, and as read on the event loop."""
    with database.read() as connection:
        slow = read.one(connection, values)
    with database.at_once(), database.read() as connection:
        return slow, read.one(connection, values)


@pytest.mark.parametrize("agent_id", ["ann", "bob", "nobody"])
def test_a_row_is_the_same_on_the_event_loop(database: Database, agent_id: str) -> None:
    slow, quick = _both(database, Read(_BY_ID), {"id": agent_id})
    if agent_id == "nobody":
        assert slow is quick is None
        return
    assert quick == tuple(slow)
    assert [type(value) for value in quick] == [type(value) for value in slow]
    assert (quick.id, quick.email_verified, quick.none) == (agent_id, agent_id == "ann", None)
    assert quick.again is quick.email_verified


@pytest.mark.parametrize(
    "read",
    [
        *(state._WITH_CLIENT, state._WITH_CLAIMANT, code._BY_CODE),
        *(families._BY_ID, families._BY_REFRESH, families._BY_SPENT),
        *(websites._FIND, dpop._USED),
    ],
)
def test_each_row_of_a_sign_in_has_the_names_that_sqlalchemy_gives_it(read: Read) -> None:
    made = read._row()
    assert list(made._fields) == [column.key for column in read._statement.selected_columns]


def test_a_whole_sign_in_reads_the_same_rows_either_way(own_world: World) -> None:
    if not own_world.database.is_quick:
        pytest.skip("PostgreSQL is always asked from a thread")
    tokens = own_world.tokens()
    with own_world.database.read() as connection:
        family_id = connection.execute(select(token_family.c.id)).scalar_one()
    slow, quick = _both(own_world.database, families._BY_ID, {"id": family_id})
    assert quick == tuple(slow)
    assert quick.agent_email_verified is True
    assert tokens["refresh_token"]


def test_more_than_one_row_is_an_error_either_way(database: Database) -> None:
    read: Read = Read(_ALL)
    with database.read() as connection, pytest.raises(MultipleResultsFound):
        read.one(connection, {})
    with (
        database.at_once(),
        database.read() as connection,
        pytest.raises(MultipleResultsFound),
    ):
        read.one(connection, {})


@pytest.mark.parametrize(
    "statement",
    [
        select(agent).where(agent.c.id.in_(bindparam("ids", expanding=True))),
        select(agent).where(agent.c.email_verified == bindparam("verified")),
    ],
)
def test_values_that_sqlalchemy_would_translate_are_refused(
    database: Database, statement: Select[Any]
) -> None:
    with database.at_once(), database.read() as connection, pytest.raises(TypeError):
        Read(statement).one(connection, {"ids": ["ann"], "verified": True})


def test_errors_are_those_of_sqlalchemy_and_quote_no_value(database: Database) -> None:
    write = Write(insert(spent_refresh_token), ["hash", "family_id"])
    row = {"hash": "h" * 64, "family_id": "no such family"}
    for quick in (False, True):
        with pytest.raises(IntegrityError) as refused:
            _write(database, write, row, quick=quick)
        assert "no such family" not in str(refused.value)
        assert refused.value.orig is not None


def _write(database: Database, write: Write, row: dict[str, Any], *, quick: bool) -> None:
    if quick:
        with database.at_once(), database.begin() as connection:
            write.run(connection, row)
    else:
        with database.begin() as connection:
            write.run(connection, row)


def test_an_error_at_the_commit_is_told_as_sqlalchemy_tells_it(database: Database) -> None:
    write = Write(insert(spent_refresh_token), ["hash", "family_id"])
    with (  # noqa: PT012
        database.at_once(),
        pytest.raises(IntegrityError),
        database.begin() as connection,
    ):
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        write.run(connection, {"hash": "h" * 64, "family_id": "no such family"})
    with database.at_once(), database.begin() as connection:
        assert connection.execute(select(spent_refresh_token)).all() == []


def test_an_error_that_ends_the_transaction_passes_a_savepoint_as_it_is(
    database: Database,
) -> None:
    again = "INSERT OR ROLLBACK INTO agent SELECT * FROM agent"
    with (
        database.at_once(),
        pytest.raises(IntegrityError),
        database.begin() as connection,
        connection.begin_nested(),
    ):
        connection.exec_driver_sql(again)
    with database.at_once(), database.begin() as connection:
        assert len(connection.execute(select(agent)).all()) == 2


def test_a_database_that_cannot_be_read_is_an_operational_error(tmp_path: Path) -> None:
    path = tmp_path / "auth-agent.db"
    database = Database.open(f"sqlite:///{path}")
    read = Read(_BY_ID)
    with database.at_once(), database.read() as connection:
        assert read.one(connection, {"id": "ann"}) is None
        connection.exec_driver_sql("DROP TABLE agent")
        with pytest.raises(OperationalError):
            read.one(connection, {"id": "ann"})
    database.close()
