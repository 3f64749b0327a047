"""Standard input, output and error: with any encoding, and where the caller has closed them."""

from __future__ import annotations

import os
import sys


def accept_any_text() -> None:
    """Makes both streams replace characters that their encoding lacks, such as cp1252 in a pipe."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def open_closed() -> None:
    """Opens the streams that the caller has closed (`<&-`), which Python leaves out, on nothing.

    The lowest first: otherwise the next file or connection gets the number of a standard stream.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
