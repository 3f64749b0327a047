"""The output of a report: in colour if Rich is installed, else plain text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

MAX_WIDTH = 100


class Paper:
    """Prints lines of styled parts to `file`, or to stdout."""

    def __init__(self, file: IO[str] | None = None, *, no_color: bool = False) -> None:
        self._file = file
        self._console: Console | None = None
        reconfigure = getattr(file or sys.stdout, "reconfigure", None)
        if reconfigure is not None:  # cp1252 in a pipe has no tick
            reconfigure(errors="replace")
        try:
            from rich.console import Console  # noqa: PLC0415
        except ModuleNotFoundError:  # a website's machine may have the base installation alone
            return
        self._console = Console(file=file, no_color=no_color or None)

    @property
    def width(self) -> int:
        """Returns the columns of the terminal, 100 at most."""
        if self._console is not None:
            return min(self._console.width, MAX_WIDTH)
        return min(shutil.get_terminal_size().columns, MAX_WIDTH)

    def line(self, *parts: tuple[str, str]) -> None:
        """Prints one line; each part is a text and its style. The text is never markup."""
        if self._console is None:
            print(*(text for text, _ in parts), sep="", file=self._file)
            return
        from rich.text import Text  # noqa: PLC0415

        self._console.print(Text.assemble(*parts), soft_wrap=True, highlight=False)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Shows on a terminal that a check is waiting."""
        if self._console is None or not (self._file or sys.stdout).isatty():
            yield
            return
        with self._console.status(text):
            yield
