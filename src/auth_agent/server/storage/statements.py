"""The statements of a sign-in, compiled once to SQL and parameters for the driver.

SQLAlchemy works out the parameters and the result of a compiled statement for each execution, which
costs several times what SQLite does with them. On the event loop's connection the statements go to
the driver itself; elsewhere `Connection.exec_driver_sql` is a public way around half of that.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.sql.compiler import SQLCompiler

from auth_agent.server.storage.quick_connection import QuickConnection

Ready = tuple[str, Callable[[dict[str, Any]], Any]]
AnyConnection = Connection | QuickConnection
RowOf = Callable[[tuple[Any, ...]], Any]


class Write:
    """One INSERT, UPDATE or DELETE; an INSERT of plain values names its columns."""

    def __init__(self, statement: Insert | Update | Delete, columns: Collection[str] = ()) -> None:
        self._statement = statement.inline() if isinstance(statement, Insert) else statement
        self._columns = list(columns) or None
        self._ready: dict[str, Ready] = {}

    def run(self, connection: AnyConnection, values: dict[str, Any]) -> int:
        """Executes the statement; returns the number of affected rows."""
        dialect = connection.dialect
        ready = self._ready.get(dialect.name)
        if ready is None:
            ready = self._ready[dialect.name] = self._compile(dialect)
        text, arrange = ready
        if isinstance(connection, QuickConnection):
            return connection.change(text, arrange(values))
        return int(connection.exec_driver_sql(text, arrange(values)).rowcount)

    def _compile(self, dialect: Dialect) -> Ready:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101  (for mypy)
        return _ready(compiled, dialect)


class Read:
    """One SELECT of at most one row."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._ready: tuple[Ready, RowOf] | None = None

    def one(self, connection: AnyConnection, values: dict[str, Any]) -> Any:
        """Returns the row, with its columns as attributes; None if there is none."""
        if not isinstance(connection, QuickConnection):
            return connection.execute(self._statement, values).one_or_none()
        if self._ready is None:
            self._ready = self._compile(connection.dialect)
        (text, arrange), row_of = self._ready
        rows = connection.fetch(text, arrange(values))
        if len(rows) > 1:
            raise MultipleResultsFound("Multiple rows were found when one or none was required")
        return row_of(rows[0]) if rows else None

    def _compile(self, dialect: Dialect) -> tuple[Ready, RowOf]:
        compiled = self._statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101  (for mypy)
        return _ready(compiled, dialect), self._row_of(dialect)

    def _row_of(self, dialect: Dialect) -> RowOf:
        """Returns what makes a row of the driver's values: as the columns' types read them."""
        row = self._row()
        readers = [
            column.type.dialect_impl(dialect).result_processor(dialect, None)
            for column in self._statement.selected_columns
        ]
        converted = [(number, read) for number, read in enumerate(readers) if read is not None]

        def made(values: tuple[Any, ...]) -> Any:
            read = list(values)
            for number, reader in converted:
                read[number] = reader(read[number])
            return row._make(read)

        return made

    def _row(self) -> Any:
        names = [str(column.key) for column in self._statement.selected_columns]
        return namedtuple("Row", names)


def _ready(compiled: SQLCompiler, dialect: Dialect) -> Ready:
    for bind in compiled.binds.values():
        if bind.expanding or bind.type.dialect_impl(dialect).bind_processor(dialect) is not None:
            raise TypeError(f"{bind.key} is not handed to the driver as it stands")
    names = compiled.positiontup
    if names is None:
        return str(compiled), dict
    order = tuple(names)
    return str(compiled), lambda values: tuple([values[name] for name in order])
