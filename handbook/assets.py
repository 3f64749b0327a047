"""The mark and the button as files, made by the code that websites call."""

from __future__ import annotations

import re
from html import escape

from auth_agent.mark import mark
from auth_agent.website.web.button import CSS, LOOKS, TEXT, Look, login_button

_DARK = (
    "<style>@media (prefers-color-scheme: dark) "
    "{ text { fill: #dfe4ee; } .edge { stroke: #dfe4ee; } }</style>"
)
PATH = "/auth-agent/login?next=/me"
_COLOURS = {
    "light": ("#fff", "#747f94", "#16191f"),
    "dark": ("#16191f", "#747f94", "#fff"),
    "outline": ("none", "#3d4656", "#3d4656"),
}


def assets() -> dict[str, str]:
    """Returns name: text, of every file below docs/assets/ that is made here."""
    drawn = {
        f"button-{look}{'-large' if large else ''}.svg": button_svg(look, large=large)
        for look in LOOKS
        for large in (False, True)
    }
    looks = (login_button(PATH, look=look) for look in LOOKS)
    page = "\n".join(looks) + "\n"
    return {"mark.svg": mark(32) + "\n", "button.css": CSS, "button.html": page, **drawn}


def button_svg(look: Look, *, large: bool) -> str:
    """Returns the button as a picture, for design tools and print."""
    height, letters, icon = (48, 17, 24) if large else (40, 15, 20)
    width = round(len(TEXT) * letters * 0.545) + icon + 3 * (height // 3)
    paper, edge, ink = _COLOURS[look]
    inner = re.sub(r"^<svg", f'<svg x="{height // 3}" y="{(height - icon) // 2}"', mark(icon))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img">'
        f"<title>{escape(TEXT)}</title>{_DARK if look == 'outline' else ''}"
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" fill="{paper}" '
        f'stroke="{edge}" class="edge"/>{inner}'
        f'<text x="{height // 3 * 2 + icon}" y="{height / 2 + letters * 0.35:.1f}" fill="{ink}" '
        f'font-family="system-ui, sans-serif" font-size="{letters}" font-weight="600" '
        f'textLength="{width - icon - height // 3 * 3}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(TEXT)}</text></svg>\n"
    )
