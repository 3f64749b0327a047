"""Every generated file of the documentation, and its text as it has to be."""

from __future__ import annotations

from pathlib import Path

from handbook import settings
from handbook.assets import assets
from handbook.claims import claims
from handbook.commands import commands
from handbook.diagrams import svg
from handbook.errors import error_codes
from handbook.events import events
from handbook.http_api import http_api
from handbook.layers import layers
from handbook.llms import llms
from handbook.python_api import python_api
from handbook.versions import versions

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def generated() -> dict[str, str]:
    """Returns path below the checkout's root: text, of every file that `make reference` writes."""
    drawn = {
        f"docs/diagrams/{source.stem}.svg": svg(source.read_text())
        for source in sorted((DOCS / "diagrams").glob("*.txt"))
    }
    pages = {
        "website-settings": settings.website(),
        "server-settings": settings.server(),
        "agent-settings": settings.agent(),
        "commands": commands(),
        "python": python_api(),
        "http": http_api(),
        "events": events(ROOT),
        "claims": claims(),
        "versions": versions(ROOT),
    }
    made = {f"docs/assets/{name}": text for name, text in assets().items()}
    written = {f"docs/reference/{name}.md": text for name, text in pages.items()}
    written["docs/errors.md"] = error_codes(ROOT)
    written["docs/help/architecture.md"] = layers(ROOT)
    return {**drawn, **made, **written, "docs/llms.txt": llms(ROOT, written)}
