"""Answers that the relying party gives by itself: redirects, JSON, and small pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

import msgspec

from auth_agent.flow.exchange import Headers
from auth_agent.mark import ICON
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.visit import Cookie

NO_STORE = ("Cache-Control", "no-store")


_STYLE = """
:root{color-scheme:light dark;--ink:#16191f;--soft:#596170;--paper:#fff;--back:#f4f5f7;
--line:#e3e6eb;--act:#3454d1;--on-act:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#eef0f4;--soft:#a4acba;--paper:#191c23;--back:#101217;
--line:#2b303a;--act:#93a8ff;--on-act:#10131c}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);
color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
main{width:100%;max-width:30rem;padding:2rem;background:var(--paper);border:1px solid var(--line);
border-radius:1rem}
h1{margin:0 0 .5rem;font-size:1.35rem;line-height:1.3}
p{margin:0 0 1.25rem;overflow-wrap:anywhere}
small,.site{color:var(--soft)}
.site{margin:0 0 .75rem;font-size:.875rem}
a.act,button{display:inline-block;padding:.65rem 1.2rem;border:0;border-radius:.6rem;font:inherit;
font-weight:600;text-decoration:none;cursor:pointer;background:var(--act);color:var(--on-act)}
a.act:focus-visible,button:focus-visible{outline:3px solid var(--act);outline-offset:3px}
"""


_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")


_PAGE_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    NO_STORE,
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "same-origin"),  # none at all would make a form's Origin "null"
    ("X-Content-Type-Options", "nosniff"),
)
# For a form whose answer may redirect to another origin, which browsers also check.
_LEADING_AWAY = tuple(
    (name, value.replace("form-action 'self'; ", "")) for name, value in _PAGE_HEADERS
)


def redirect(location: str, *, cookies: tuple[Cookie, ...] = ()) -> Reply:
    """Redirects with 303, so that the next request is always a GET (RFC 9110 15.4.4)."""
    headers = (
        ("Location", location),
        ("Content-Type", "text/plain; charset=utf-8"),
        NO_STORE,
        ("Referrer-Policy", "no-referrer"),
    )
    return Reply(303, headers, cookies=cookies)


def json_reply(
    status: int,
    content: Mapping[str, Any],
    *,
    headers: Headers = (),
    cookies: tuple[Cookie, ...] = (),
) -> Reply:
    body = msgspec.json.encode(content)
    return Reply(status, (("Content-Type", "application/json"), NO_STORE, *headers), body, cookies)


def page(
    status: int,
    title: str,
    message: str,
    *,
    site: str,
    action: str,
    note: str = "",
    headers: Headers = (),
    cookies: tuple[Cookie, ...] = (),
    leads_away: bool = False,
) -> Reply:
    """Returns a page that names the site; `action` is HTML (see `link`, `post_button`), all else
    is escaped.
    """
    host = escape(site.partition("://")[2])
    small = f"<p><small>{escape(note)}</small></p>" if note else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="{ICON}"><title>{escape(title)} - {host}</title>'
        f'<style>{_STYLE}</style></head><body><main><p class="site">{host}</p>'
        f"<h1>{escape(title)}</h1>"
        f"<p>{escape(message)}</p>{small}{action}</main></body></html>"
    )
    common = _LEADING_AWAY if leads_away else _PAGE_HEADERS
    return Reply(status, (*common, *headers), body.encode(), cookies)


def link(href: str, text: str) -> str:
    return f'<a class="act" href="{escape(href)}">{escape(text)}</a>'


def post_button(target: str, text: str) -> str:
    button = f"<button>{escape(text)}</button>"
    return f'<form method="post" action="{escape(target)}">{button}</form>'
