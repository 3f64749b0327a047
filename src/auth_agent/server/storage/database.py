"""The database: short reads without a transaction, and writers that do not wait in circles.

A read runs in autocommit mode, so that it never turns into a writer half-way (SQLite would
refuse that). A writer on SQLite says BEGIN IMMEDIATE, and the writers of one process queue at
a lock: waiting there is cheaper and fairer than SQLite's own retries, which remain between
processes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import QueuePool

from auth_agent.server.storage.quick_connection import QuickConnection
from auth_agent.server.storage.schema import current_revision, upgrade

HEAD = "0013"
_MIGRATING = 0x61757468  # any number that no other program locks
# 16 MiB: a checkpoint waits for the disk, and copies a page that was written often only once.
_CHECKPOINT_PAGES = 4_000


class Database:
    """An open database; `Database.open(url)`, then `read()` and `begin()`, at last `close()`."""

    def __init__(self, engine: Engine, sqlite_synchronous: str = "NORMAL") -> None:
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.engine = engine
        # SQLite's connections are in autocommit mode anyway: only we say BEGIN there.
        self._reader: Engine = (
            engine if self.is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()
        # A commit that syncs the disk is not for the event loop, and a memory database has one
        # connection only.
        on_disk = self.is_sqlite and engine.url.database not in (None, "", ":memory:")
        self.is_quick = on_disk and sqlite_synchronous == "NORMAL"
        self._quick: QuickConnection | None = None
        if self.is_sqlite:
            event.listen(engine, "connect", _sqlite_set_up(sqlite_synchronous))

    @classmethod
    def open(
        cls, url: str, *, sqlite_synchronous: str = "NORMAL", upgrade: bool = True
    ) -> Database:
        """Connects; an SQLite schema is brought up to date, others by `auth-agent migrate`.

        Without `upgrade` only an empty SQLite file gets a schema: a server of an older version may
        be at work on this one.
        """
        database = cls(_engine(url), sqlite_synchronous)
        if database.is_sqlite:
            try:
                if upgrade or database.revision() is None:
                    database.migrate()
            except BaseException:
                database.close()
                raise
        return database

    def read(self) -> AbstractContextManager[Connection]:
        """Returns a connection for SELECT statements that need not agree with each other."""
        if self._quick is not None and self._quick.is_mine():
            return self._quick.reading
        return self._reader.connect()

    def begin(self) -> AbstractContextManager[Connection]:
        """One transaction that may write; committed at the end, rolled back on an exception."""
        if self._quick is not None and self._quick.is_mine():
            return self._quick.transaction(self._turn)
        return self._begin()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        with self._turn, self.engine.begin() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def at_once(self) -> AbstractContextManager[None]:
        """Reads and writes of this thread inside use a connection that is kept open for them.

        WouldWait if another thread is inside; only for a database that `is_quick`.
        """
        if self._quick is None:
            self._quick = QuickConnection(self._reader.connect())
        return self._quick

    def version(self) -> int | None:
        """Changes with every write of another connection; None where that cannot be told."""
        if self._quick is not None and self._quick.is_mine():
            return self._quick.version()
        return None

    def revision(self) -> str | None:
        """Returns the version of the schema; None if there is none yet."""
        with self.read() as connection:
            return current_revision(connection)

    def migrate(self) -> bool:
        """Brings the schema up to date; False if it was already. Safe to call twice at once."""
        with self.read() as connection:
            if current_revision(connection) == HEAD:
                return False
        with self._turn, self.engine.connect() as connection:
            return self._upgrade(connection)

    def _upgrade(self, connection: Connection) -> bool:
        """Under a lock that other processes wait for, and see that there is nothing left to do."""
        if not self.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
            return self._upgrade_in(connection)
        # SQLite changes a table by copying it, which no foreign key may notice on the way; the
        # pragma does nothing inside a transaction.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return self._upgrade_in(connection)
        finally:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    def _upgrade_in(self, connection: Connection) -> bool:
        if current_revision(connection) == HEAD:
            return False
        upgrade(connection)
        if self.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise RuntimeError("the migration would break references between tables")
        connection.commit()
        return True

    def close(self) -> None:
        """Closes every connection of the pool."""
        if self._quick is not None:
            self._quick.close()
            self._quick = None
        self.engine.dispose()

    def __repr__(self) -> str:
        return f"Database({self.engine.url!r})"


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        # What everybody writes; the driver is psycopg 3.
        parsed = parsed.set(drivername="postgresql+psycopg")
    options: dict[str, Any] = {
        # Error messages would otherwise quote what was being stored.
        "hide_parameters": True,
    }
    if parsed.get_backend_name() != "sqlite":
        return _network_engine(parsed, options)
    if parsed.database in (None, "", ":memory:"):
        # A memory database lives in one connection, which its users take in turns.
        options |= {"pool_size": 1, "max_overflow": 0}
    else:
        options |= {"pool_size": 8, "max_overflow": 40}
        _make_private(str(parsed.database))
    return create_engine(
        parsed,
        poolclass=QueuePool,
        connect_args={"check_same_thread": False, "isolation_level": None},
        **options,
    )


def _make_private(path: str) -> None:
    """Makes a new SQLite file for its owner alone; SQLite gives its WAL files the same mode.

    It holds hashes of passwords and people's addresses. A path that cannot be made is left to
    SQLite, which reports it; a URI names what it names.
    """
    if path.startswith("file:"):
        return
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _network_engine(url: URL, options: dict[str, Any]) -> Engine:
    """An engine whose connections rely on nothing that a pooler or a server's default may change.

    psycopg prepares statements on the connection, which PgBouncer in transaction mode hands to
    another client; `?prepare_threshold=5` in the URL prepares them all the same. A server whose
    default encoding is SQL_ASCII would answer with bytes.
    """
    arguments: dict[str, Any] = {}
    if url.get_driver_name() == "psycopg":
        threshold = str(url.query.get("prepare_threshold", ""))
        arguments["prepare_threshold"] = int(threshold) if threshold.isdecimal() else None
        arguments["client_encoding"] = "utf8"
        url = url.difference_update_query(["prepare_threshold", "client_encoding"])
    # One connection for each of the event loop's 40 threads.
    options |= {"pool_size": 10, "max_overflow": 30, "pool_timeout": 10}
    return create_engine(url, pool_pre_ping=True, connect_args=arguments, **options)


def _sqlite_set_up(synchronous: str) -> Callable[[Any, Any], None]:
    """Returns the set-up of every new connection.

    In WAL mode NORMAL loses nothing when the process dies, however it dies; a power cut may undo
    the last commits (and leaves the file whole). FULL survives that, too, at one sync per commit.
    """

    def set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout = 10000")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    return set_up
