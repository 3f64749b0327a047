"""Makes foreign text presentable: one printable line, bounded, for people, terminals and models."""

from __future__ import annotations

from auth_agent.letters import SILENT
from auth_agent.url import url_problem

MAX_LINE = 300
_SCANNED = 8  # characters looked at for each one shown, so that a long text costs little


def one_line(text: object, most: int = MAX_LINE) -> str:
    """Returns at most `most` characters: white space is folded, the unprintable becomes a blank.

    Escape sequences, line breaks and characters that change the direction of writing are gone, and
    so are the silent ones, in which a page could hide a text for a model.
    """
    start = SILENT.sub("", str(text)[: most * _SCANNED])
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def quoted_url(url: str) -> str | None:
    """Returns a URL that may stand in a message, without its query; None if it is no URL."""
    return None if url_problem(url, query=True) else one_line(url.partition("?")[0])
