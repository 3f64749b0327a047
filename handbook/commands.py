"""The reference of the command line, from Typer's own tree of commands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from auth_agent.cli.program import app
from handbook.reading import one_line

HEAD = """# Command line

Every command has `--help`. Commands that print data have `--json`. `NO_COLOR` is honoured. `python -m auth_agent` is the
same program.
"""


def commands() -> str:
    """Returns the page about the command line."""
    return HEAD + "".join(_section(words, command) for words, command in tree())


def tree(command: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yields name and command, of every command that does something."""
    command = command or get_command(app)
    if not hasattr(command, "commands"):
        yield " ".join(words), command
        return
    for name, below in command.commands.items():
        if not below.hidden:
            yield from tree(below, (*words, name))


def _section(words: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    lines = [f"\n## auth-agent {words}\n", text, ""]
    if command.params:
        lines += ["| option or argument | what it is | |", "|---|---|---|"]
        lines += [_row(each) for each in command.params if not getattr(each, "hidden", False)]
    if command.epilog:
        lines += ["", one_line(command.epilog)]
    return "\n".join(lines) + "\n"


def _row(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    is_option = names[0].startswith("-")
    shown = ", ".join(f"`{name}`" for name in names) if is_option else f"`{names[0].upper()}`"
    notes = [note for note in _notes(parameter) if note]
    return f"| {shown} | {one_line(parameter.help or '')} | {'; '.join(notes)} |"


def _notes(parameter: Any) -> Iterator[str]:
    default = parameter.default
    if parameter.required:
        yield "required"
    elif default not in (None, False, "", (), []) and not callable(default):
        yield f"default `{default}`"
    if parameter.envvar:
        yield f"or `{parameter.envvar}`"
    if parameter.multiple:
        yield "repeatable"
