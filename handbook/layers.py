"""The layers of the code, from the contracts that import-linter holds."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HEAD = """# Architecture

The core decides and performs no I/O. A decision that needs the network is a generator that yields effects; one module
performs them, for threads and for tasks. Adapters read a request, ask the core, write its reply, and make no decision of their own.

`website/`, `server/` and `sdk/` never import each other: they meet on the wire. An arrow goes down only; `make check` refuses every other import, and every circle. [Contributing](contributing.md) says where a change goes.
"""


def layers(root: Path) -> str:
    """Returns the page about the layers, the highest first."""
    tool = tomllib.loads((root / "pyproject.toml").read_text())["tool"]
    parts = [HEAD]
    for contract in tool["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            parts += [f"\n## {contract['name']}\n", "| floor | rooms |", "|---|---|"]
            parts += [_row(level, names) for level, names in enumerate(contract["layers"], 1)]
    return "\n".join(parts) + "\n"


def _row(level: int, names: str) -> str:
    shown = ", ".join(f"`{name.strip()}`" for name in names.split("|"))
    return f"| {level} | {shown} |"
