"""Sweeping: in batches, each a transaction, so that other writers have their turn between them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, func, insert, select

from auth_agent.server.storage import sweep
from auth_agent.server.storage.people_tables import failed_attempt
from tests.server.conftest import Build


@pytest.mark.parametrize("more", [0, 500])
def test_many_rows_are_deleted_in_batches(build: Build, more: int) -> None:
    world, kept = build(), 3
    database, now = world.database, world.context.now()
    rows = [
        {"id": f"row-{number}", "subject": "s", "at": now if number < kept else 1}
        for number in range(2 * sweep.BATCH + more + kept)
    ]
    with database.begin() as connection:
        connection.execute(insert(failed_attempt), rows)
    happened: list[Any] = []

    def note(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE FROM failed_attempt"):
            happened.append(cursor.rowcount)

    event.listen(database.engine, "after_cursor_execute", note)
    event.listen(database.engine, "commit", lambda _: happened.append("commit"))
    assert world.context.sweeper.sweep(now) == 2 * sweep.BATCH + more
    first = happened.index(sweep.BATCH)
    batches = [sweep.BATCH, "commit", sweep.BATCH, "commit", more, "commit"]
    assert happened[first : first + 6] == batches
    with database.read() as connection:
        left = connection.execute(select(func.count()).select_from(failed_attempt)).scalar()
    assert left == kept
