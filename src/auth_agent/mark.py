"""The mark of Auth Agent as SVG: the icon of every page, and a part of the button."""

from __future__ import annotations

from urllib.parse import quote

BLUE, WHITE = "#3454d1", "#fff"


def mark(size: int, *, paper: str = BLUE, ink: str = WHITE, attributes: str = "") -> str:
    """Returns the mark, `size` pixels wide and high; `paper` and `ink` are colours of CSS."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" '
        f'viewBox="0 0 32 32"{attributes}><rect width="32" height="32" rx="8" fill="{paper}"/>'
        f'<path d="M8.5 24 16 7l7.5 17" fill="none" stroke="{ink}" stroke-width="3.2" '
        f'stroke-linecap="round" stroke-linejoin="round"/>'
        f'<circle cx="16" cy="20.5" r="2.6" fill="{ink}"/></svg>'
    )


ICON = "data:image/svg+xml," + quote(mark(32), safe="/:=,")
"""The mark as a data URL, for `<link rel="icon">`: no page loads anything for it."""
