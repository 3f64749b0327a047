"""The connection on which the event loop's thread does short things at once, and never waits."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from .at_once import WouldWait, happened, is_trying

_PATIENT, _IMPATIENT = "PRAGMA busy_timeout = 10000", "PRAGMA busy_timeout = 0"


class QuickConnection:
    """One SQLite connection in autocommit mode; one thread at a time, and that one never waits."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        raw: Any = connection.connection.driver_connection
        self._raw = raw
        self._raw.execute(_IMPATIENT)
        self._holder: int | None = None
        self._lock = threading.Lock()

    def execute(self, statement: Any, values: Any = None) -> Any:
        return self.connection.execute(statement, values)

    @contextmanager
    def begin_nested(self) -> Iterator[None]:
        """A part of the transaction that may fail alone."""
        self._raw.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self._raw.execute("ROLLBACK TO part")
            raise
        finally:
            self._raw.execute("RELEASE part")

    def version(self) -> int:
        """Changes whenever any other connection, of whatever process, has written something."""
        return int(self._raw.execute("PRAGMA data_version").fetchone()[0])

    def is_mine(self) -> bool:
        return self._holder == threading.get_ident()

    @contextmanager
    def held(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise WouldWait
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()

    @contextmanager
    def transaction(self, turn: Any) -> Iterator[Any]:
        """WouldWait if somebody else is writing, unless it is too late to give up."""
        if not turn.acquire(blocking=not is_trying()):
            raise WouldWait
        try:
            self._begin()
            try:
                yield self
            except BaseException:
                self._raw.execute("ROLLBACK")
                raise
            self._raw.execute("COMMIT")
            happened()
        finally:
            turn.release()

    def _begin(self) -> None:
        if not is_trying():
            self._raw.execute(_PATIENT)
            try:
                self._raw.execute("BEGIN IMMEDIATE")
            finally:
                self._raw.execute(_IMPATIENT)
            return
        try:
            self._raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            raise WouldWait from None
