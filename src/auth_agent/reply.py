"""Answers that the relying party gives by itself: redirects, JSON, and small pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import msgspec

from auth_agent.wire import Cookie, Headers, Reply

NO_STORE = ("Cache-Control", "no-store")
# What a content delivery network obeys instead of Cache-Control (RFC 9213 2.2).
FOR_SHARED_CACHES = frozenset(
    {"cdn-cache-control", "surrogate-control"}
    | {f"{name}-cdn-cache-control" for name in ("cloudflare", "netlify", "vercel")}
)

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#5b6472;--paper:#fff;--back:#f3f5f9;
--line:#dfe3ea;--act:#2b50d8;--on-act:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf1;--soft:#a5adba;--paper:#1a1f29;--back:#11151c;
--line:#2e3542;--act:#8fa8ff;--on-act:#10131a}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);
color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
main{width:100%;max-width:30rem;padding:2rem;background:var(--paper);border:1px solid var(--line);
border-radius:1rem}
h1{margin:0 0 .5rem;font-size:1.35rem;line-height:1.3}
p{margin:0 0 1.25rem;overflow-wrap:anywhere}
small{color:var(--soft)}
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


def redirect(location: str, *, cookies: tuple[Cookie, ...] = ()) -> Reply:
    """303, so that the next request is a GET whatever this one was (RFC 9110 15.4.4)."""
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
    action: str,
    note: str = "",
    headers: Headers = (),
    cookies: tuple[Cookie, ...] = (),
) -> Reply:
    """A page of ours; `action` is HTML (see `link`, `post_button`), all else is escaped."""
    small = f"<p><small>{escape(note)}</small></p>" if note else ""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p>{escape(message)}</p>{small}{action}</main></body></html>"
    )
    return Reply(status, (*_PAGE_HEADERS, *headers), body.encode(), cookies)


def link(href: str, text: str) -> str:
    return f'<a class="act" href="{escape(href)}">{escape(text)}</a>'


def post_button(target: str, text: str) -> str:
    button = f"<button>{escape(text)}</button>"
    return f'<form method="post" action="{escape(target)}">{button}</form>'


def is_page(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a response is HTML."""
    return any(
        name.lower() == "content-type" and value.lower().startswith("text/html")
        for name, value in headers
    )


def link_headers(headers: Iterable[tuple[str, str]], link: str) -> list[tuple[str, str]]:
    """One more `Link`, in one header with those that are there (RFC 8288 3)."""
    pairs = list(headers)
    links = [value for name, value in pairs if name.lower() == "link"]
    kept = [pair for pair in pairs if pair[0].lower() != "link"]
    return [*kept, ("Link", ", ".join([*links, link]))]


def private_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """For a response for which the agent was read: no shared cache may give it to another."""
    kept, vary, control = [], [], []
    for name, value in headers:
        lower = name.lower()
        if lower == "vary":
            vary += _parts(value)
        elif lower == "cache-control":
            control += _parts(value)
        elif lower not in FOR_SHARED_CACHES:
            kept.append((name, value))
    named = {part.lower() for part in vary}
    if "*" not in named:
        vary += [name for name in ("Cookie", "Authorization") if name.lower() not in named]
    control = [part for part in control if not part.lower().startswith(("public", "s-maxage"))]
    if not {"private", "no-store"} & {part.lower() for part in control}:
        control.append("private")
    return [*kept, ("Vary", ", ".join(vary)), ("Cache-Control", ", ".join(control))]


def cookie_headers(
    headers: Iterable[tuple[str, str]], cookies: Iterable[Cookie]
) -> list[tuple[str, str]]:
    """For a response that also sets cookies of ours: it must be stored nowhere."""
    replaced = FOR_SHARED_CACHES | {"cache-control"}
    kept = [pair for pair in headers if pair[0].lower() not in replaced]
    return [*kept, NO_STORE, *(("Set-Cookie", cookie.header()) for cookie in cookies)]


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]
