"""The button "Sign in with Auth Agent": a link with the mark, and the style that it needs."""

from __future__ import annotations

from html import escape
from typing import Literal, TypedDict

from auth_agent.mark import mark

Look = Literal["light", "dark", "outline"]
LOOKS: tuple[Look, ...] = ("light", "dark", "outline")
TEXT = "Sign in with Auth Agent"

CSS = """\
.auth-agent-button{display:inline-flex;align-items:center;gap:.625rem;box-sizing:border-box;
min-height:40px;padding:0 16px 0 11px;border:1px solid var(--auth-agent-button-line,#747f94);
border-radius:var(--auth-agent-button-radius,8px);
font:600 15px/1.2 var(--auth-agent-button-font,system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans",sans-serif);text-decoration:none;background:var(--auth-agent-button-paper,#fff);
color:var(--auth-agent-button-ink,#16191f)}
.auth-agent-button svg{flex:none;width:20px;height:20px}
.auth-agent-button:hover{background:var(--auth-agent-button-hover,#f1f3f8)}
.auth-agent-button:focus-visible{outline:3px solid #6f8bff;outline-offset:2px}
.auth-agent-button--dark{background:var(--auth-agent-button-paper,#16191f);
border-color:var(--auth-agent-button-line,#747f94);color:var(--auth-agent-button-ink,#fff)}
.auth-agent-button--dark:hover{background:var(--auth-agent-button-hover,#2b303a)}
.auth-agent-button--outline,.auth-agent-button--outline:hover{background:transparent;
border-color:currentcolor;color:inherit}
.auth-agent-button--outline:hover{text-decoration:underline}
.auth-agent-button--large{min-height:48px;padding:0 20px 0 14px;font-size:17px}
.auth-agent-button--large svg{width:24px;height:24px}
.auth-agent-button--icon{padding:0;width:40px;justify-content:center}
.auth-agent-button--icon.auth-agent-button--large{width:48px}
@media (forced-colors:active){.auth-agent-button{border-color:LinkText}}
"""
"""The website may set its custom properties, for all buttons or for those of one look."""


class LookFields(TypedDict, total=False):
    """How a button looks."""

    look: Look
    large: bool
    icon_only: bool


class ButtonFields(LookFields, total=False):
    """How a button looks, and what it says."""

    text: str


class Html(str):
    """Text that templates (Jinja, Django) insert as it is: it is escaped already."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


def login_button(
    path: str,
    *,
    look: Look = "light",
    large: bool = False,
    icon_only: bool = False,
    text: str = TEXT,
) -> Html:
    """Returns the button as HTML: a link to `path`, which a login path of the website is.

    `look` is light, dark or outline; `large` is 48 pixels high instead of 40; `icon_only` shows the
    mark alone and says the text to screen readers. Raises ValueError for another look.
    """
    if look not in LOOKS:
        raise ValueError(f"look must be one of {', '.join(LOOKS)}, not {look!r}")
    names = ["auth-agent-button"]
    names += [f"auth-agent-button--{look}"] * (look != "light")
    names += ["auth-agent-button--large"] * large + ["auth-agent-button--icon"] * icon_only
    label = f' aria-label="{escape(text)}" title="{escape(text)}"' if icon_only else ""
    shown = "" if icon_only else f"<span>{escape(text)}</span>"
    drawn = mark(24 if large else 20, attributes=' aria-hidden="true" focusable="false"')
    classes = " ".join(names)
    return Html(f'<a class="{classes}" href="{escape(path)}"{label}>{drawn}{shown}</a>')


def login_button_style(nonce: str = "") -> Html:
    """Returns the style of the button as HTML, for the page's head; `nonce` is that of its CSP."""
    allowed = f' nonce="{escape(nonce)}"' if nonce else ""
    return Html(f"<style{allowed}>{CSS}</style>")
