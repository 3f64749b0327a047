"""The work between requests: delivering logouts to websites, and deleting expired rows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from auth_agent.server.approval import questions, recovery, state
from auth_agent.server.tokens.logouts import Deliveries

if TYPE_CHECKING:
    from auth_agent.server.context import Context


log = logging.getLogger("auth_agent.server")
EVERY = 2.0  # seconds between looks into the queue
LAST_DELIVERY = 12.0  # seconds; a website answers within ten or not at all


class BackgroundWorker:
    """Threads that deliver and sweep; several servers may run them on one database."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._deliveries = Deliveries(context)
        self._end = threading.Event()
        # Sweeping a large table must not hold up a logout.
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
            for name, work in (("deliveries", self._deliver), ("sweeping", self._sweep))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stops after the running deliveries; waiting mail is sent meanwhile."""
        self._end.set()
        last = [
            threading.Thread(target=self._context.outbox.close, name="last mail", daemon=True),
            threading.Thread(target=self._deliveries.close, name="last logouts", daemon=True),
        ]
        for thread in last:
            thread.start()
        end = time.monotonic() + LAST_DELIVERY
        for thread in (*self._threads, *last):
            thread.join(max(0.0, end - time.monotonic()))

    def _deliver(self) -> None:
        self._deliveries.start_due()
        self._expire()
        recovery.tell_of_ready(self._context)
        recovery.tell_of_notices(self._context)
        self._context.record_unrecorded()

    def _expire(self) -> None:
        """Ends questions that owners did not answer in time."""
        now = self._context.now()
        with self._context.database.read() as connection:
            is_any = questions.is_any_due(connection, now)
        if is_any:
            with self._context.database.begin() as connection:
                state.expire_due(connection, now)

    def _sweep(self) -> None:
        self._context.sweeper.sweep_if_due(self._context.now())

    def _run(self, work: Callable[[], None]) -> None:
        while not self._end.wait(EVERY):
            try:
                work()
            except SQLAlchemyError:
                log.exception("background work: the database refused")
            except Exception:
                # A round that fails must not end the thread.
                log.exception("background work: unexpected error")
