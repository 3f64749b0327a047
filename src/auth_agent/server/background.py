"""What the server does between requests: it tells websites of logouts, and sweeps."""

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


class BackgroundWorker:
    """A thread that delivers and sweeps; several servers may run one each on one database."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._end.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            try:
                deliver_due(self._context)
                self._context.sweeper.sweep_if_due(self._context.now())
            except SQLAlchemyError:
                log.exception("background work: the database refused")
            except Exception:
                # The worker outlives whatever one delivery runs into.
                log.exception("background work: unexpected error")
