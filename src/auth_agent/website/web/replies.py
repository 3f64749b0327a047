"""Answers that the relying party gives by itself: redirects, JSON, and small pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from auth_agent.flow.exchange import Headers
from auth_agent.mark import ICON
from auth_agent.url import normal_origin
from auth_agent.website.web.outcome import Reply, Shown
from auth_agent.website.web.visit import Cookie

NO_STORE = ("Cache-Control", "no-store")


class Face(Protocol):
    """What a page shows of its website; `Settings` has it."""

    @property
    def base_url(self) -> str: ...

    @property
    def stylesheet(self) -> str: ...


STYLE = """
:root{color-scheme:light dark;
--auth-agent-ink:#16191f;--auth-agent-soft:#596170;--auth-agent-paper:#fff;
--auth-agent-back:#f4f5f7;--auth-agent-line:#e3e6eb;--auth-agent-accent:#3454d1;
--auth-agent-on-accent:#fff;--auth-agent-radius:1rem;--auth-agent-font:system-ui,sans-serif}
@media(prefers-color-scheme:dark){:root{
--auth-agent-ink:#eef0f4;--auth-agent-soft:#a4acba;--auth-agent-paper:#191c23;
--auth-agent-back:#101217;--auth-agent-line:#2b303a;--auth-agent-accent:#93a8ff;
--auth-agent-on-accent:#10131c}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;
background:var(--auth-agent-back);color:var(--auth-agent-ink);font:1rem/1.6 var(--auth-agent-font)}
main{width:100%;max-width:30rem;padding:2rem;background:var(--auth-agent-paper);
border:1px solid var(--auth-agent-line);border-radius:var(--auth-agent-radius)}
h1{margin:0 0 .5rem;font-size:1.35rem;line-height:1.3}
p{margin:0 0 1.25rem;overflow-wrap:anywhere}
small,.site{color:var(--auth-agent-soft)}
.site{margin:0 0 .75rem;font-size:.875rem}
a.act,button{display:inline-block;padding:.65rem 1.2rem;border:0;
border-radius:calc(var(--auth-agent-radius)*.6);font:inherit;font-weight:600;text-decoration:none;
cursor:pointer;background:var(--auth-agent-accent);color:var(--auth-agent-on-accent)}
a.act:focus-visible,button:focus-visible{outline:3px solid var(--auth-agent-accent);
outline-offset:3px}
"""


_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")


def _page_headers(stylesheet: str, *, leads_away: bool) -> Headers:
    own = _origin_of(stylesheet)
    policy = [
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'{own}",
        f"img-src data:{own}",
        *([f"font-src{own}"] if own else []),
        *_frame(leads_away=leads_away),
    ]
    return (
        ("Content-Type", "text/html; charset=utf-8"),
        NO_STORE,
        ("Content-Security-Policy", "; ".join(policy)),
        ("Referrer-Policy", "same-origin"),  # none at all would make a form's Origin "null"
        ("X-Content-Type-Options", "nosniff"),
    )


def _own_policy(stylesheet: str, *, leads_away: bool) -> str:
    """Returns the policy of a page that the website renders; it may load files of its origin."""
    sheet = _origin_of(stylesheet)
    own = f" 'self'{sheet if sheet != _SELF else ''}"
    policy = [
        "default-src 'self'",
        f"style-src 'unsafe-inline'{own}",
        f"img-src data:{own}",
        f"font-src data:{own}",
        "object-src 'none'",
        *_frame(leads_away=leads_away),
    ]
    return "; ".join(policy)


_SELF = " 'self'"


def _origin_of(stylesheet: str) -> str:
    """Returns the source of a stylesheet, from which fonts and images may come, too."""
    if not stylesheet:
        return ""
    return _SELF if stylesheet.startswith("/") else f" {normal_origin(stylesheet)}"


def _frame(*, leads_away: bool) -> list[str]:
    """`form-action` would also stop a form whose answer redirects to another origin."""
    action = [] if leads_away else ["form-action 'self'"]
    return [*action, "base-uri 'none'", "frame-ancestors 'none'"]


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


class Button(NamedTuple):
    """The one thing to do on a page."""

    url: str
    text: str
    method: Literal["get", "post"] = "get"

    def html(self) -> str:
        url, text = escape(self.url), escape(self.text)
        if self.method == "post":
            return f'<form method="post" action="{url}"><button>{text}</button></form>'
        return f'<a class="act" href="{url}">{text}</a>'


def page(
    status: int,
    title: str,
    message: str,
    *,
    code: str,
    site: Face,
    button: Button,
    note: str = "",
    headers: Headers = (),
    cookies: tuple[Cookie, ...] = (),
    leads_away: bool = False,
) -> Reply:
    """Returns a page that names the site and has its style; `own_page` may replace it."""
    host = site.base_url.partition("://")[2]
    sheet = site.stylesheet
    own = f'<link rel="stylesheet" href="{escape(sheet)}">' if sheet else ""
    small = f"<p><small>{escape(note)}</small></p>" if note else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="{ICON}"><title>{escape(title)} - {escape(host)}</title>'
        f'<style>{STYLE}</style>{own}</head><body><main><p class="site">{escape(host)}</p>'
        f"<h1>{escape(title)}</h1>"
        f"<p>{escape(message)}</p>{small}{button.html()}</main></body></html>"
    )
    shown = Shown(
        code=code,
        site=host,
        title=title,
        message=message,
        action=button.text,
        url=button.url,
        method=button.method,
        policy=_own_policy(sheet, leads_away=leads_away),
    )
    common = _page_headers(sheet, leads_away=leads_away)
    return Reply(status, (*common, *headers), body.encode(), cookies, shown)
