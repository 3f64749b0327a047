"""The database: short reads without a transaction, and writers that cannot deadlock.

A read runs in autocommit mode, so it never turns into a writer half-way (SQLite would refuse that).
A writer on SQLite uses BEGIN IMMEDIATE, and the writers of one process queue at a lock: that is
cheaper and fairer than SQLite's own retries, which remain between processes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from auth_agent.server.storage.quick_connection import QuickConnection
from auth_agent.server.storage.schema import current_revision, is_head, upgrade

_READ_ONLY = "25006"  # SQLSTATE read_only_sql_transaction
_MIGRATING = 0x61757468  # any number that no other program locks
# 16 MiB: a checkpoint waits for the disk, and copies a page that was written often only once.
_CHECKPOINT_PAGES = 4_000


class Database:
    """An open database; `Database.open(url)`, then `read()` and `begin()`, at last `close()`."""

    def __init__(self, engine: Engine, sqlite_synchronous: str = "NORMAL") -> None:
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.engine = engine
        # SQLite's connections are in autocommit mode; BEGIN is explicit.
        self._reader: Engine = (
            engine if self.is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()
        # A commit that syncs the disk must not run on the event loop, and a memory database has
        # one connection only.
        on_disk = self.is_sqlite and engine.url.database not in (None, "", ":memory:")
        self.is_quick = on_disk and sqlite_synchronous == "NORMAL"
        self._quick: QuickConnection | None = None
        if self.is_sqlite:
            event.listen(engine, "connect", _sqlite_set_up(sqlite_synchronous))

    @classmethod
    def open(
        cls, url: str, *, sqlite_synchronous: str = "NORMAL", upgrade: bool = True
    ) -> Database:
        """Connects; updates an SQLite schema (`auth-agent migrate` updates others).

        Without `upgrade` only an empty SQLite file gets a schema: a server of an older version may
        be using this one.
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
        """Returns a connection for SELECT statements that need no common snapshot."""
        if self._quick is not None and self._quick.is_mine():
            return self._quick.reading
        return self._reader.connect()

    def begin(self) -> AbstractContextManager[Connection]:
        """Opens a transaction that may write; commits at the end, rolls back on an exception."""
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
        """Makes reads and writes of this thread use a connection that is kept open for them.

        WouldWait if another thread is inside; only for a database that `is_quick`.
        """
        if self._quick is None:
            self._quick = QuickConnection(self._reader.connect())
        return self._quick

    def version(self) -> int | None:
        """Returns a number that changes with other connections' writes; None if unavailable."""
        if self._quick is not None and self._quick.is_mine():
            return self._quick.version()
        return None

    def revision(self) -> str | None:
        """Returns the version of the schema; None if there is none yet."""
        with self.read() as connection:
            return current_revision(connection)

    def migrate(self) -> bool:
        """Updates the schema; False if it was up to date. Safe to call twice at once.

        Raises ValueError for a database of a newer version.
        """
        if is_head(self.revision()):
            return False
        with self._turn, self.engine.connect() as connection:
            return self._upgrade(connection)

    def _upgrade(self, connection: Connection) -> bool:
        """Updates under a lock; processes that waited for it find nothing left to do."""
        if not self.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
            return self._upgrade_in(connection)
        # SQLite changes a table by copying it, and foreign keys must not fire meanwhile; the
        # pragma does nothing inside a transaction.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return self._upgrade_in(connection)
        finally:
            connection.rollback()
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    def _upgrade_in(self, connection: Connection) -> bool:
        if is_head(current_revision(connection)):
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
        return f"Database({shown_url(self.engine.url)})"


def shown_url(url: str | URL) -> str:
    """Returns a database's URL for people: without the password, and without the query.

    A query may hold the password, too (`?password=`).
    """
    return make_url(url).set(query={}).render_as_string(hide_password=True)


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        # The usual form of a PostgreSQL URL; the driver is psycopg 3.
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
        options |= {"pool_size": 8, "max_overflow": 40, "pool_timeout": 10}
        _make_private(str(parsed.database))
    return create_engine(
        parsed,
        poolclass=QueuePool,
        connect_args={"check_same_thread": False, "isolation_level": None},
        **options,
    )


def _make_private(path: str) -> None:
    """Creates a new SQLite file with access for its owner alone; its WAL files get the same mode.

    The file holds password hashes and people's addresses. SQLite itself reports a path that
    cannot be created; a URI names its own file.
    """
    if path.startswith("file:"):
        return
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _network_engine(url: URL, options: dict[str, Any]) -> Engine:
    """Returns an engine that relies on no setting of a pooler or a server's default.

    psycopg prepares statements on the connection, which PgBouncer in transaction mode hands to
    another client; `?prepare_threshold=5` in the URL turns them on. A server with the default
    encoding SQL_ASCII would answer with bytes.
    """
    arguments: dict[str, Any] = {}
    if url.get_driver_name() == "psycopg":
        threshold = str(url.query.get("prepare_threshold", ""))
        arguments["prepare_threshold"] = int(threshold) if threshold.isdecimal() else None
        arguments["client_encoding"] = "utf8"
        url = url.difference_update_query(["prepare_threshold", "client_encoding"])
    # One connection for each of the event loop's 40 threads.
    options |= {"pool_size": 10, "max_overflow": 30, "pool_timeout": 10}
    engine = create_engine(url, pool_pre_ping=True, connect_args=arguments, **options)
    event.listen(engine, "handle_error", _leave_standby)
    return engine


def _leave_standby(context: ExceptionContext) -> Exception | None:
    """Gives up all connections to a PostgreSQL that has become a standby, which takes no writes.

    It answers every other question, so that nothing else would notice; the next call connects to
    the new primary.
    """
    error = context.original_exception
    if getattr(error, "sqlstate", None) != _READ_ONLY:
        return None
    context.is_disconnect = True
    return OperationalError("a write", None, error, hide_parameters=True)


def _sqlite_set_up(synchronous: str) -> Callable[[Any, Any], None]:
    """Returns the set-up of every new connection.

    In WAL mode NORMAL loses nothing if the process dies; a power cut may undo the last commits
    (the file stays intact). FULL survives that, too, at the price of one sync per commit.
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
