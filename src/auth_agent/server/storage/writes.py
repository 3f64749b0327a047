"""The writes of a sign-in, compiled once to SQL and parameters for the driver.

SQLAlchemy works out the parameters of a compiled statement for each execution, which costs several
times what SQLite does with them. `Connection.exec_driver_sql` is its public way around that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Ready = tuple[str, Callable[[dict[str, Any]], Any]]


class Write:
    """One INSERT, UPDATE or DELETE; an INSERT of plain values names its columns."""

    def __init__(self, statement: Insert | Update | Delete, columns: Collection[str] = ()) -> None:
        self._statement = statement.inline() if isinstance(statement, Insert) else statement
        self._columns = list(columns) or None
        self._ready: dict[str, Ready] = {}

    def run(self, connection: Connection, values: dict[str, Any]) -> int:
        """Executes the statement; returns the number of affected rows."""
        dialect = connection.dialect
        ready = self._ready.get(dialect.name)
        if ready is None:
            ready = self._ready[dialect.name] = self._compile(dialect)
        text, arrange = ready
        return int(connection.exec_driver_sql(text, arrange(values)).rowcount)

    def _compile(self, dialect: Dialect) -> Ready:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101  (for mypy)
        for bind in compiled.binds.values():
            if bind.type.dialect_impl(dialect).bind_processor(dialect) is not None:
                raise TypeError(f"{bind.key} is not handed to the driver as it stands")
        names = compiled.positiontup
        if names is None:
            return str(compiled), dict
        order = tuple(names)
        return str(compiled), lambda values: tuple([values[name] for name in order])
