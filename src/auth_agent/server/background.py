"""The work between requests: telling websites of logouts, and deleting what has expired."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from auth_agent.server.tokens.logouts import deliver_due

if TYPE_CHECKING:
    from auth_agent.server.context import Context


log = logging.getLogger("auth_agent.server")
EVERY = 2.0  # seconds between looks into the queue
LAST_DELIVERY = 12.0  # seconds; a website answers within ten or not at all


class BackgroundWorker:
    """A thread that delivers and sweeps; several servers may run one each on one database."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends after the delivery that is under way; the mail that waits is sent meanwhile."""
        self._end.set()
        outbox = threading.Thread(target=self._context.outbox.close, name="last mail", daemon=True)
        outbox.start()
        self._thread.join(LAST_DELIVERY)
        outbox.join(LAST_DELIVERY)

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            try:
                deliver_due(self._context, self._end.is_set)
                self._context.record_unrecorded()
                self._context.sweeper.sweep_if_due(self._context.now())
            except SQLAlchemyError:
                log.exception("background work: the database refused")
            except Exception:
                # One delivery that fails must not end the worker.
                log.exception("background work: unexpected error")
