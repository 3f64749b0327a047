"""Sweeping: in batches, each a transaction, so that other writers have their turn between them."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.pool import QueuePool

from auth_agent.server.storage import sweep
from auth_agent.server.storage.tables.people import failed_attempt
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


ABANDONED = 300_000
_MANY = text("""
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
    INSERT INTO failed_attempt (id, subject, at) SELECT 'row-' || i, 's', 1 FROM n
""")


def test_three_hundred_thousand_rows_are_swept_while_others_write(build: Build) -> None:
    """Deletes at most a batch in each transaction, so that writers get their turn in between."""
    world = build()
    database, now = world.database, world.context.now()
    with database.begin() as connection:
        connection.execute(_MANY, {"rows": ABANDONED})
    sizes: list[int] = []
    turns = 0

    def note(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE"):
            sizes.append(cursor.rowcount)

    def take_turns() -> None:
        nonlocal turns
        while not swept.is_set():
            with database.begin() as connection:
                written = insert(failed_attempt).values(id=f"w-{turns}", subject="w", at=now)
                connection.execute(written)
            turns += 1

    event.listen(database.engine, "after_cursor_execute", note)
    swept = threading.Event()
    writer = threading.Thread(target=take_turns)
    writer.start()
    try:
        assert world.context.sweeper.sweep(now) == ABANDONED
    finally:
        swept.set()
        writer.join()
    assert max(sizes) == sweep.BATCH
    assert turns >= 10, "the writer was not kept waiting for the whole sweep"


def test_a_pool_without_a_free_connection_is_a_clear_refusal(
    build: Build, backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits some seconds for a connection, then answers that the client should try again."""
    world = build()
    pool = world.database.engine.pool
    assert isinstance(pool, QueuePool)
    assert 1 <= pool.timeout() <= 30
    monkeypatch.setattr(pool, "_timeout", 0.1)
    refused = {"grant_type": "refresh_token", "refresh_token": "unknown"}
    with ExitStack() as held:
        with suppress(NoConnection):
            while True:
                held.enter_context(pool.connect())  # type: ignore[no-untyped-call]
        answer = world.browser().post("/token", data=refused, auth=world.basic())
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"] == "temporarily_unavailable"
        assert world.browser().get("/health").status_code == 200
    answer = world.browser().post("/token", data=refused, auth=world.basic())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
