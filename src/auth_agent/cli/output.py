"""What commands print: tables for people, JSON for programs, and mistakes on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from auth_agent.errors import AuthError

EXIT_CODES = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage."


def print_json(data: Any) -> None:
    """Exactly one JSON document on stdout, without colour."""
    typer.echo(json.dumps(data, indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def print_values(values: Mapping[str, str], note: str = "") -> None:
    """Names and values below each other, never cut: people copy them."""
    console = Console()
    for name, value in values.items():
        console.print(f"[bold]{name}[/bold]  {value}", highlight=False, soft_wrap=True)
    if note:
        console.print(f"[dim]{note}[/dim]", highlight=False, soft_wrap=True)


def print_credentials(values: Mapping[str, str | None], *, as_json: bool) -> None:
    """An id and the secret that is shown this once; None for those who have no secret."""
    if as_json:
        print_json(dict(values))
        return
    has_secret = all(value is not None for value in values.values())
    note = "Keep the secret now: it is not shown again." if has_secret else ""
    print_values({name: value or "none" for name, value in values.items()}, note)


def fail(message: str) -> typer.Exit:
    """Says on stderr what is wrong; raise what it returns."""
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)


@contextmanager
def refusals_are_told() -> Iterator[None]:
    """Turns mistakes that a user can mend into a message and exit code 1."""
    try:
        yield
    except (AuthError, ValueError) as error:
        raise fail(str(error)) from None
