"""The connection on which the event loop's thread does short things at once.

SQLAlchemy writes every statement, once; what is left out is its machinery around each execution,
which costs several times what SQLite does.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound

from .at_once import WouldWait, happened, is_trying

MOST_STATEMENTS = 200
_PATIENT, _IMPATIENT = "PRAGMA busy_timeout = 10000", "PRAGMA busy_timeout = 0"


class QuickResult:
    """What is asked of a result here, over a plain cursor."""

    __slots__ = ("_cursor", "_make", "rowcount")

    def __init__(self, cursor: sqlite3.Cursor, make: Callable[[Any], Any]) -> None:
        self._cursor = cursor
        self._make = make
        self.rowcount = cursor.rowcount

    def one_or_none(self) -> Any:
        rows = self._cursor.fetchmany(2)
        if len(rows) > 1:
            raise MultipleResultsFound("one row was expected")
        return self._make(rows[0]) if rows else None

    def one(self) -> Any:
        row = self.one_or_none()
        if row is None:
            raise NoResultFound("one row was expected")
        return row

    def scalar(self) -> Any:
        row = self._cursor.fetchone()
        self._cursor.close()
        return None if row is None else self._make(row)[0]

    scalar_one = scalar

    def scalars(self) -> list[Any]:
        return [row[0] for row in self.all()]

    def first(self) -> Any:
        row = self._cursor.fetchone()
        self._cursor.close()
        return None if row is None else self._make(row)

    def all(self) -> list[Any]:
        return [self._make(row) for row in self._cursor.fetchall()]


class _Prepared(NamedTuple):
    """A statement as SQLAlchemy has compiled it, and how its rows become named tuples."""

    statement: Any  # kept, so that its identity is not given to another one
    sql: str
    names: tuple[str, ...]
    defaults: Mapping[str, Any]
    make: Callable[[Any], Any]


class _Statements:
    """The statements of this program, compiled once; what is not simple is left to SQLAlchemy."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self._known: dict[tuple[Any, ...], _Prepared | None] = {}

    def find(self, statement: Any, values: Mapping[str, Any]) -> _Prepared | None:
        key = (id(statement), *values)
        try:
            return self._known[key]
        except KeyError:
            if len(self._known) >= MOST_STATEMENTS:
                return None
            found = self._known[key] = self._prepare(statement, values)
            return found

    def _prepare(self, statement: Any, values: Mapping[str, Any]) -> _Prepared | None:
        compiled = statement.compile(dialect=self._dialect, column_keys=sorted(values))
        names = compiled.positiontup
        if names is None or compiled.post_compile_params or compiled.literal_execute_params:
            return None
        make = _row_maker(compiled, self._dialect)
        return _Prepared(statement, compiled.string, tuple(names), compiled.params, make)


def _row_maker(compiled: Any, dialect: Any) -> Callable[[Any], Any]:
    columns = compiled._result_columns
    if not columns:
        return tuple
    row = namedtuple("row", [entry.keyname for entry in columns], rename=True)  # type: ignore[misc]
    processors = [
        (place, processor)
        for place, entry in enumerate(columns)
        if (processor := entry.type.dialect_impl(dialect).result_processor(dialect, None))
    ]
    if not processors:
        return row._make

    def make(raw: Any) -> Any:
        values = list(raw)
        for place, processor in processors:
            values[place] = processor(values[place])
        return row._make(values)

    return make


class QuickConnection:
    """One SQLite connection in autocommit mode; one thread at a time, and that one never waits."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        raw: Any = connection.connection.driver_connection
        self._raw = raw
        self._raw.execute(_IMPATIENT)
        self._statements = _Statements(connection.dialect)
        self._holder: int | None = None
        self._lock = threading.Lock()

    def execute(self, statement: Any, values: Any = None) -> Any:
        """Like SQLAlchemy's, which is asked for whatever is not a known, simple statement."""
        given = {} if values is None else values
        prepared = self._statements.find(statement, given) if isinstance(given, dict) else None
        if prepared is None:
            return self.connection.execute(statement, values)
        defaults = prepared.defaults
        arguments = [given[n] if n in given else defaults[n] for n in prepared.names]
        try:
            return QuickResult(self._raw.execute(prepared.sql, arguments), prepared.make)
        except sqlite3.OperationalError:
            # Told in the words of SQLAlchemy, which also hides the values.
            return self.connection.execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise IntegrityError(None, None, error) from None

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
