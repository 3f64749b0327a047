"""Every generated file of the documentation, and its text as it has to be."""

from __future__ import annotations

from pathlib import Path

from handbook.diagrams import svg
from handbook.llms import llms

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def generated() -> dict[str, str]:
    """Returns path below the checkout's root: text, of every file that `make reference` writes."""
    files = {
        f"docs/diagrams/{source.stem}.svg": svg(source.read_text())
        for source in sorted((DOCS / "diagrams").glob("*.txt"))
    }
    return {**files, "docs/llms.txt": llms(ROOT)}
