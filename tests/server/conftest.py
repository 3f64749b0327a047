"""One server for all tests that leave it as it was, and fresh ones for the others."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from auth_agent.server import Database
from tests.server.world import World, make_world, register

Build = Callable[..., World]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A database file with people in it, to be copied: hashing their secrets takes a while."""
    path = tmp_path_factory.mktemp("template") / "auth-agent.db"
    database = Database.open(f"sqlite:///{path}")
    people = register(database)
    database.close()
    return path, people


@pytest.fixture(scope="session")
def world(
    template: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Shared: tests may sign in and move the clock forward, nothing else."""
    path = tmp_path_factory.mktemp("shared") / "auth-agent.db"
    shutil.copy(template[0], path)
    made = make_world(f"sqlite:///{path}", template[1])
    yield made
    made.context.close()


@pytest.fixture
def build(template: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Build]:
    """Makes servers with settings of their own, all on the same new database."""
    path, made = tmp_path / "auth-agent.db", []
    shutil.copy(template[0], path)

    def one(**settings: Any) -> World:
        made.append(make_world(f"sqlite:///{path}", template[1], **settings))
        return made[-1]

    yield one
    for each in made:
        each.context.close()


@pytest.fixture
def own_world(build: Build) -> World:
    """A server that this test alone uses."""
    return build()
