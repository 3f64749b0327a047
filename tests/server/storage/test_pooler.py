"""PostgreSQL as it is found: behind PgBouncer, and in a cluster that was made under LC_ALL=C."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from anyio.from_thread import BlockingPortal

from auth_agent.server import Database
from auth_agent.server.registry import agents
from auth_agent.server.web.call import Refusal
from tests.server.approval.test_questions import approve, setting, waiting
from tests.server.postgres import Postgres, _user
from tests.server.world import NOW, World, make_world, register
from tests.services import free_port, need, wait_for_port

_CONFIGURATION = """[databases]
* = host=127.0.0.1 port={database_port} user=auth
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
"""


@contextmanager
def _pooler(url: str) -> Iterator[str]:
    """Starts PgBouncer in front of the same database, with three connections for all clients."""
    parts, port = urlsplit(url), free_port()
    with tempfile.TemporaryDirectory(prefix="auth-agent-pool-") as name:
        folder, user = Path(name), _user()
        path = folder / "pgbouncer.ini"
        path.write_text(_CONFIGURATION.format(database_port=parts.port, port=port))
        if user:
            os.chown(folder, user["user"], user["group"])
            os.chown(path, user["user"], user["group"])
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(
            [need("/usr/sbin/pgbouncer", "pgbouncer"), str(path)], **quiet, **user
        )
        try:
            wait_for_port(port, process)
            yield f"postgresql://auth@127.0.0.1:{port}{parts.path}"
        finally:
            process.terminate()
            process.wait(30)


def test_sign_ins_behind_pgbouncer_in_transaction_mode(
    postgres: Postgres, portal: BlockingPortal
) -> None:
    direct = postgres.create()
    database = Database.open(direct)
    database.migrate()
    people = register(database)
    database.close()
    with _pooler(direct) as url:
        world = make_world(url, people, portal)
        try:
            with ThreadPoolExecutor(8) as threads:
                done = list(threads.map(lambda _: world.tokens(), range(64)))
            assert len({tokens["access_token"] for tokens in done}) == 64
            assert world.refresh(done[0]["refresh_token"]).status_code == 200
            setting(world, "always")
            browser, question = waiting(world)
            with ThreadPoolExecutor(4) as threads:  # from as many devices
                done = list(threads.map(lambda _: _approves(world, question), range(4)))
            assert sorted(done) == [False, False, False, True]
            assert world.poll(browser, question.request_id)["status"] == "authenticated"
        finally:
            world.context.close()


def _approves(world: World, question: Any) -> bool:
    try:
        approve(world, question)
    except Refusal:
        return False
    return True


def test_the_schema_is_made_through_pgbouncer(postgres: Postgres) -> None:
    with _pooler(postgres.create()) as url:
        database = Database.open(url)
        assert database.migrate() is True
        assert database.migrate() is False
        database.close()


@pytest.mark.parametrize(("query", "prepared"), [("", 0), ("?prepare_threshold=1", 1)])
def test_statements_are_prepared_only_on_demand(
    postgres: Postgres, query: str, prepared: int
) -> None:
    database = Database.open(postgres.create() + query)
    try:
        with database.read() as connection:
            for _ in range(9):
                connection.exec_driver_sql("SELECT 1 + %s", (1,))
            rows = connection.exec_driver_sql(
                "SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'SELECT 1 +%%'"
            ).all()
    finally:
        database.close()
    assert len(rows) == prepared


def test_a_database_without_an_encoding(postgres: Postgres) -> None:
    """Uses what `initdb` makes under LC_ALL=C."""
    url = postgres.create().rpartition("/")[0]
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    database = Database.open(f"{url}/plain")
    try:
        assert database.migrate() is True
        agents.add_agent(database, "jürgen@owner.example", name="Jürgen 吉", now=NOW)
        (found,) = agents.list_agents(database)
        assert (found["email"], found["name"]) == ("jürgen@owner.example", "Jürgen 吉")
    finally:
        database.close()
