"""The one page that all example sites share."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import NamedTuple

from auth_agent import Agent

_STYLE = """
:root{color-scheme:light dark;--ink:#17202c;--soft:#5a6577;--paper:#fff;--back:#f2f5fa;
--line:#dde3ec;--act:#2b50d8;--on-act:#fff;--good:#0b6b46}
@media(prefers-color-scheme:dark){:root{--ink:#e9edf3;--soft:#a3adbc;--paper:#181e28;
--back:#0f141b;--line:#2c3440;--act:#8fa8ff;--on-act:#0e1220;--good:#6fdcae}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:1rem/1.6 system-ui,sans-serif}
header,main{max-width:44rem;margin:auto;padding:1.25rem}
header{display:flex;justify-content:space-between;gap:1rem;font-weight:700}
section{padding:1.75rem;background:var(--paper);border:1px solid var(--line);border-radius:1rem}
h1{margin:0 0 .5rem;font-size:1.6rem;line-height:1.25}
p{margin:0 0 1.25rem;color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.25rem;margin:0 0 1.5rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
.badge{color:var(--good);font-size:.9rem;font-weight:600}
.act,button{display:inline-block;padding:.7rem 1.25rem;border:0;border-radius:.65rem;font:inherit;
font-weight:600;text-decoration:none;cursor:pointer;background:var(--act);color:var(--on-act)}
.act:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--act);
outline-offset:3px}
ul{padding:0;margin:1.5rem 0 0;list-style:none;display:flex;flex-wrap:wrap;gap:.5rem 1.25rem}
a{color:var(--act)}
.act{color:var(--on-act)}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


class Page(NamedTuple):
    """HTML, and the headers that go with it."""

    html: str
    headers: dict[str, str]


def home_page(agent: Agent | None, login_path: str, logout_path: str) -> Page:
    """The public page: the button, or who is signed in."""
    body = _visitor(login_path) if agent is None else _agent(agent, logout_path)
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,"><title>Example shop</title>'
        f"<style>{_STYLE}</style></head><body><header><span>Example shop</span>"
        f"{_badge(agent)}</header><main><section>{body}</section>"
        '<nav aria-label="Pages"><ul><li><a href="/me">Who am I?</a></li>'
        '<li><a href="/private/report">Private report</a></li>'
        '<li><a href="/reports">Reports</a></li></ul></nav></main></body></html>'
    )
    policy = f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; form-action 'self'; "
    return Page(
        html, {"Content-Security-Policy": policy + "base-uri 'none'; frame-ancestors 'none'"}
    )


def _badge(agent: Agent | None) -> str:
    return "" if agent is None else '<span class="badge">An agent is signed in</span>'


def _visitor(login_path: str) -> str:
    return (
        "<h1>Agents are welcome here</h1>"
        "<p>People sign in with a password. An AI agent signs in with an identity of its own.</p>"
        f'<a class="act" href="{escape(login_path)}">Sign in with Auth Agent</a>'
    )


def _agent(agent: Agent, logout_path: str) -> str:
    facts = {
        "Agent": agent.id,
        "Model": f"{agent.model or 'unknown'} (as the agent says)",
        "Owner": agent.email or "not told",
        "May": " ".join(agent.scopes),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return (
        f"<h1>Hello, {escape(agent.name or agent.id)}</h1><dl>{rows}</dl>"
        f'<form method="post" action="{escape(logout_path)}"><button>Sign out</button></form>'
    )
