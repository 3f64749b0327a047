"""The output of commands: tables for people, JSON for programs, errors on stderr.

Every value is printed literally: names, models and websites' texts are foreign, and are never read
as markup or control sequences.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auth_agent.errors import AuthError

EXIT_CODES = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage."


def literal(value: object) -> str:
    """Returns text without control characters and without characters that reorder the display."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


def _is_screen(console: Console) -> bool:
    """Returns True if people read it; FORCE_COLOR, which CI sets, makes no screen of a pipe."""
    return console.is_terminal and console.file.isatty()


class Lines:
    """Prints lines, wrapped between words at a terminal's width; a pipe gets whole lines."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._console = Console(stderr=stderr)

    def print(self, text: str, *, margin: str = "", style: str = "") -> None:
        for paragraph in text.splitlines() or [""]:
            for line in self._wrapped(literal(paragraph), len(margin)):
                self._console.print(Text(f"{margin}{line}", style), soft_wrap=True)
                margin = " " * len(margin)

    def _wrapped(self, text: str, margin: int) -> list[str]:
        if not _is_screen(self._console):
            return [text]
        width = max(self._console.width - margin, 20)
        wrapped = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        return wrapped or [""]


def print_json(data: Any) -> None:
    """Prints exactly one JSON document on stdout, without colour."""
    typer.echo(json.dumps(data, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table; in a pipe each row is one line, its cells separated by tabs."""
    console = Console()
    if not _is_screen(console):
        for row in (columns, *rows):
            typer.echo("\t".join(literal(cell) for cell in row))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(literal(cell)) for cell in row))
    console.print(table)


def print_values(values: Mapping[str, str], note: str = "") -> None:
    """Prints names and values below each other, uncut, so that they can be copied."""
    console = Console()
    for name, value in values.items():
        line = Text.assemble((literal(name), "bold"), "  ", literal(value))
        console.print(line, soft_wrap=True)
    if note:
        console.print(Text(literal(note), "dim"), soft_wrap=True)


def print_credentials(values: Mapping[str, str | None], *, as_json: bool) -> None:
    """Prints an id and its secret, which is shown only once; omits an absent secret."""
    if as_json:
        print_json(dict(values))
        return
    shown = {name: value for name, value in values.items() if value is not None}
    note = "Keep the secret now: it is not shown again." if len(shown) == len(values) else ""
    print_values(shown, note)


def print_change(name: str, changes: Iterable[str], found: Any, *, as_json: bool) -> None:
    """Prints what a change has left, as JSON, or the names of what was changed."""
    if as_json:
        print_json(found)
    else:
        typer.echo(f"{name} is changed: {', '.join(sorted(changes))}.")


def fail(message: str) -> typer.Exit:
    """Prints the error on stderr; raise the returned exception."""
    Lines(stderr=True).print(message, style="red")
    return typer.Exit(1)


@contextmanager
def refusals_are_told() -> Iterator[None]:
    """Turns errors that a user can correct into a message and exit code 1."""
    try:
        yield
    except (AuthError, ValueError) as error:
        raise fail(str(error)) from None
