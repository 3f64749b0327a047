"""A database of each earlier migration is brought up to date, as documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from anyio.from_thread import BlockingPortal

from auth_agent.server import Database
from auth_agent.server.storage.schema import HEAD, SCRIPTS, alembic_config
from tests.server.conftest import NewDatabase
from tests.server.world import make_world

PAGE = Path(__file__).parents[3] / "docs/server/upgrade.md"
EARLIER = [
    script.revision
    for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()
    if script.revision != HEAD
]


def test_there_is_a_chain() -> None:
    assert len(EARLIER) > 5


def migrate_as_documented(url: str) -> None:
    documented = re.search(r"<!-- test: migrate -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert documented
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-euc", documented[1]],
        env={**os.environ, "PATH": path, "DATABASE_URL": url},
        check=True,
        timeout=60,
    )


def migrate(url: str) -> None:
    database = Database.open(url)
    database.migrate()
    database.close()


@pytest.mark.parametrize("revision", EARLIER)
def test_an_agent_of_before_signs_in_afterwards(
    revision: str,
    template: tuple[str, dict[str, Any]],
    copies: NewDatabase,
    portal: BlockingPortal,
) -> None:
    url = copies()
    go_back(url, revision)
    # The command itself takes seconds to start: from the oldest it passes all the others.
    (migrate_as_documented if revision == EARLIER[-1] else migrate)(url)
    world = make_world(url, template[1], portal)
    try:
        assert world.tokens()["access_token"]
    finally:
        world.context.close()


def go_back(url: str, revision: str) -> None:
    """Makes the database what it was at that revision."""
    database = Database.open(url)
    with database.engine.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        if revision == EARLIER[-1]:  # it knew no agents that are clients
            connection.exec_driver_sql("DELETE FROM client WHERE agent_id IS NOT NULL")
        command.downgrade(alembic_config(connection), revision)
        connection.commit()
    database.close()
