"""The connection that the event loop's thread uses for short statements, without ever waiting."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from auth_agent.server.web.at_once import WouldWait, happened, is_trying, try_at_once

# Even after the point of no return the event loop waits only briefly.
PATIENCE = 0.05  # seconds
_PATIENT, _IMPATIENT = "PRAGMA busy_timeout = 50", "PRAGMA busy_timeout = 0"
_CACHE = "PRAGMA cache_size = -32000"  # KiB; every sign-in uses this connection


class QuickConnection(AbstractContextManager[None]):
    """One SQLite connection in autocommit mode, for one thread at a time, which never waits.

    As a context manager it belongs to the thread inside; WouldWait if another thread is there.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        raw: Any = connection.connection.driver_connection
        self._raw = raw
        self._raw.execute(_IMPATIENT)
        self._raw.execute(_CACHE)
        self.dialect = connection.dialect
        self.execute = connection.execute
        self.exec_driver_sql = connection.exec_driver_sql
        self.reading = nullcontext(cast(Connection, self))
        self._holder: int | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise WouldWait
        self._holder = threading.get_ident()
        try_at_once()

    def __exit__(self, *_error: object) -> None:
        happened()  # too late to give up
        self._holder = None
        self._lock.release()

    def close(self) -> None:
        """Closes the connection itself; in a pool that was replaced it would stay open."""
        self.connection.detach()
        self.connection.close()

    @contextmanager
    def begin_nested(self) -> Iterator[None]:
        """Opens a savepoint: a part of the transaction that can fail on its own."""
        self._raw.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._raw.in_transaction:  # some errors end the transaction by themselves
                self._raw.execute("ROLLBACK TO part")
                self._raw.execute("RELEASE part")
            raise
        self._raw.execute("RELEASE part")

    def fetch(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Returns all rows of a SELECT; raises the errors that SQLAlchemy would."""
        try:
            rows: list[tuple[Any, ...]] = self._raw.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise self._as_told(error, text) from error
        return rows

    def change(self, text: str, values: tuple[Any, ...]) -> int:
        """Returns how many rows a statement changed; raises the errors that SQLAlchemy would."""
        try:
            return int(self._raw.execute(text, values).rowcount)
        except sqlite3.Error as error:
            raise self._as_told(error, text) from error

    def _as_told(self, error: sqlite3.Error, text: str) -> BaseException:
        return DBAPIError.instance(
            text, None, error, sqlite3.Error, hide_parameters=True, dialect=self.dialect
        )

    def version(self) -> int:
        """Returns a number that changes when another connection of any process writes."""
        return int(self._raw.execute("PRAGMA data_version").fetchone()[0])

    def is_mine(self) -> bool:
        return self._holder == threading.get_ident()

    def transaction(self, turn: Any) -> AbstractContextManager[Connection]:
        """Starts a transaction; raises WouldWait if another thread is writing."""
        return _Transaction(self, turn)

    def begin(self) -> None:
        if not is_trying():
            self._raw.execute(_PATIENT)
            try:
                self._raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise _locked(error) from None
            finally:
                self._raw.execute(_IMPATIENT)
            return
        try:
            self._raw.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            raise WouldWait from None

    def commit(self) -> None:
        try:
            self.change("COMMIT", ())
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        if self._raw.in_transaction:  # some errors end the transaction by themselves
            self._raw.execute("ROLLBACK")


def _locked(error: sqlite3.OperationalError) -> OperationalError:
    """Returns the error as SQLAlchemy raises it, which the shell answers with 503."""
    return OperationalError("BEGIN IMMEDIATE", None, error, hide_parameters=True)


class _Transaction(AbstractContextManager[Connection]):
    def __init__(self, quick: QuickConnection, turn: Any) -> None:
        self._quick, self._turn = quick, turn

    def __enter__(self) -> Connection:
        if not self._turn.acquire(timeout=0 if is_trying() else PATIENCE):
            if is_trying():
                raise WouldWait
            raise _locked(sqlite3.OperationalError("database is locked"))
        try:
            self._quick.begin()
        except BaseException:
            self._turn.release()
            raise
        return cast(Connection, self._quick)

    def __exit__(self, kind: object, *_error: object) -> None:
        try:
            if kind is not None:
                self._quick.rollback()
                return
            self._quick.commit()
            happened()
        finally:
            self._turn.release()
