"""One server for all tests that leave it as it was, and fresh ones for the others.

Everything runs twice: on SQLite, and on a PostgreSQL that is started for it.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from sqlalchemy import delete

from auth_agent.server import Database
from auth_agent.server.storage.tables.tokens import signing_key
from tests.server.postgres import Postgres, running_postgres
from tests.server.world import SECRET, World, make_world, register

Build = Callable[..., World]
NewDatabase = Callable[[], str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Starts one for all tests, however often they change between the databases."""
    with running_postgres() as url:
        postgres = Postgres(url)
        yield postgres
        postgres.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> Postgres | None:
    """Returns the running PostgreSQL; None stands for SQLite."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """Starts one event loop for all the requests of a test run."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def templates(
    tmp_path_factory: pytest.TempPathFactory, portal: BlockingPortal
) -> Callable[[Postgres | None], tuple[str, dict[str, Any]]]:
    """Makes a database to be copied, with people and signing keys: both take a while to make."""

    @functools.cache
    def make(backend: Postgres | None) -> tuple[str, dict[str, Any]]:
        path = tmp_path_factory.mktemp("template") / "auth-agent.db"
        url = f"sqlite:///{path}" if backend is None else backend.create()
        database = Database.open(url)
        database.migrate()
        people = register(database)
        database.close()
        if backend is None:
            kept = Path(f"{path}.secret")
            kept.touch(mode=0o600)
            kept.write_text(SECRET)
        make_world(url, people, portal).context.close()
        return url, people

    return make


@pytest.fixture(scope="session")
def template(
    backend: Postgres | None, templates: Callable[[Postgres | None], tuple[str, dict[str, Any]]]
) -> tuple[str, dict[str, Any]]:
    """Returns the URL of the database to copy, and the people in it."""
    return templates(backend)


@pytest.fixture(scope="session")
def copies(
    backend: Postgres | None,
    template: tuple[str, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> NewDatabase:
    """Makes copies of the template."""

    def copy() -> str:
        if backend is not None:
            return backend.create(template[0].rpartition("/")[2])
        path = tmp_path_factory.mktemp("database") / "auth-agent.db"
        origin = template[0].removeprefix("sqlite:///")
        shutil.copy(origin, path)
        shutil.copy(f"{origin}.secret", f"{path}.secret")
        return f"sqlite:///{path}"

    return copy


@pytest.fixture(scope="session")
def world(
    template: tuple[str, dict[str, Any]], copies: NewDatabase, portal: BlockingPortal
) -> Iterator[World]:
    """Shares a server: tests may sign in and move the clock forward, nothing else."""
    # Its clock stands still for most of them, so that a minute has no end.
    endless = dict.fromkeys(("limit_agent_successes", "limit_address_failures"), 1_000_000)
    made = make_world(copies(), template[1], portal, **endless)
    yield made
    made.context.close()


@pytest.fixture
def build(
    backend: Postgres | None,
    template: tuple[str, dict[str, Any]],
    copies: NewDatabase,
    portal: BlockingPortal,
) -> Iterator[Build]:
    """Makes servers with settings of their own, all on the same new database."""
    url, made = copies(), []

    def one(**settings: Any) -> World:
        if not made and {"secrets", "signing_algorithm"} & set(settings):
            _forget_keys(url)
        made.append(make_world(url, template[1], portal, **settings))
        return made[-1]

    yield one
    for each in made:
        each.context.close()
    if backend is not None:
        backend.drop(url)


def _forget_keys(url: str) -> None:
    """Lets a server with a secret or an algorithm of its own make the first keys."""
    database = Database.open(url)
    with database.begin() as connection:
        connection.execute(delete(signing_key))
    database.close()
    if url.startswith("sqlite"):
        Path(f"{url.removeprefix('sqlite:///')}.secret").unlink()


@pytest.fixture
def own_world(build: Build) -> World:
    """Starts a server for this test alone."""
    return build()


@pytest.fixture
def empty_database(backend: Postgres | None, tmp_path: Path) -> str:
    """Returns the URL of a database without a schema."""
    return f"sqlite:///{tmp_path}/empty.db" if backend is None else backend.create()
