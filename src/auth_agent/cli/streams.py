"""Standard output and error with any encoding."""

from __future__ import annotations

import sys


def accept_any_text() -> None:
    """Makes both streams replace characters that their encoding lacks, such as cp1252 in a pipe."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
