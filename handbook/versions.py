"""The reference of supported versions, from pyproject.toml."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HEAD = """# Versions

What the distribution needs, from its own metadata. Tests run on the newest versions; the tests of the Django adapter run on every supported Django, and a part of the tests runs on the lowest versions of everything.
"""


def versions(root: Path) -> str:
    """Returns the page about versions of Python and of packages."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    known = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each)
             for each in project["classifiers"]]  # fmt: skip
    pythons = ", ".join(found[1] for found in known if found)
    lines = [HEAD, f"**Python** {pythons}.", ""]
    lines += ["| extra | brings |", "|---|---|", _row("(none)", project["dependencies"])]
    lines += [_row(name, needs) for name, needs in project["optional-dependencies"].items()]
    return "\n".join(lines) + "\n"


def _row(name: str, needs: list[str]) -> str:
    shown = ", ".join(f"`{each.partition(';')[0].strip()}`" for each in needs)
    return f"| {f'`{name}`' if name != '(none)' else 'none'} | {shown} |"
