"""Reads what the code says of itself: fields with the docstrings below them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from pathlib import Path


def field_docs(kind: type) -> dict[str, str]:
    """Returns field: docstring, of the annotated fields in a class's own body."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    found: dict[str, str] = {}
    body = tree.body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(f"{kind} is no class")
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if is_text and isinstance(below.value.value, str):
                found[field.target.id] = inspect.cleandoc(below.value.value).strip()
    return found


def one_line(text: str) -> str:
    """Returns a text as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def sources(*rooms: Path) -> dict[Path, ast.Module]:
    """Returns path: syntax tree, of every module below some rooms."""
    paths = (path for room in rooms for path in sorted(room.rglob("*.py")))
    return {path: _parsed(path) for path in paths}


@cache  # several pages read the same source
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())
