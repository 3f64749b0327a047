"""Standard output and error, whatever their encoding."""

from __future__ import annotations

import sys


def accept_any_text() -> None:
    """Makes both streams replace what their encoding cannot hold, such as cp1252 in a pipe."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
