"""Lists as files: CSV for spreadsheets and JSON for programs, streamed, at most 100,000 rows."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from auth_agent.server.console.visit import ConsoleVisit, not_found
from auth_agent.server.storage.audit import record
from auth_agent.server.web.call import NO_STORE, Answer

Batches = Iterator[list[Any]]
Columns = Mapping[str, Callable[[Any], Any]]

# A spreadsheet reads a cell that begins with one of these as a formula. Where its list separator
# is not the comma, it also splits a cell in two, so each part of a cell counts.
_FORMULA = re.compile(r"(^|[;,|\t\r\n\"'])(?=\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


def export(visit: ConsoleVisit, name: str, columns: Columns, batches: Batches) -> Answer:
    """Returns a list as the file that the address asks for, and records that it was taken."""
    suffix = visit.call.path_params["suffix"]
    if suffix not in ("csv", "json"):
        raise not_found("page")
    with visit.context.database.begin() as connection:
        record(connection, at=visit.now, kind="audit", outcome=f"exported {suffix} of {name}")
    rows = ([_values(row, columns) for row in batch] for batch in batches)
    chunks, content_type = (
        (_csv(tuple(columns), rows), "text/csv; charset=utf-8")
        if suffix == "csv"
        else (_json(rows), "application/json")
    )
    disposition = ("content-disposition", f'attachment; filename="auth-agent-{name}.{suffix}"')
    return Answer(200, b"", (*NO_STORE, disposition), content_type, chunks)


def column(name: str) -> Callable[[Any], Any]:
    """Returns what reads this column of a row."""
    return lambda row: getattr(row, name)


def moment(name: str) -> Callable[[Any], str]:
    """Returns what reads a time of a row, in UTC (RFC 3339); empty if there is none."""

    def read(row: Any) -> str:
        at = getattr(row, name)
        return "" if at is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))

    return read


def _values(row: Any, columns: Columns) -> dict[str, Any]:
    return {name: read(row) for name, read in columns.items()}


def _csv(header: tuple[str, ...], batches: Iterator[list[dict[str, Any]]]) -> Iterator[bytes]:
    yield _lines([header])
    for rows in batches:
        yield _lines([[_cell(value) for value in row.values()] for row in rows])


def _json(batches: Iterator[list[dict[str, Any]]]) -> Iterator[bytes]:
    """Returns one array, with one object per line."""
    joint = "[\n"
    for rows in batches:
        yield (joint + ",\n".join(json.dumps(row) for row in rows)).encode()
        joint = ",\n"
    yield b"[]\n" if joint == "[\n" else b"\n]\n"


def _lines(rows: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    """Keeps a value from becoming a formula; names and ids may come from outside."""
    return _FORMULA.sub(r"\1'", "" if value is None else str(value))
