"""The shop that all example sites are: one look, three pages, and who is signed in."""

from __future__ import annotations

import secrets
from html import escape
from typing import NamedTuple

from auth_agent import Agent, login_button, login_button_style

PERSON = "Ann"
PERSON_COOKIE = "shop_person"

_STYLE = """
:root{color-scheme:light dark;--ink:#17202c;--soft:#566173;--paper:#fff;--back:#f2f5fa;
--line:#dbe1ea;--act:#2b50d8;--on-act:#fff;--agent:#0b6b46;--person:#7a3aa8;--tint:#e9eef9}
@media(prefers-color-scheme:dark){:root{--ink:#e9edf3;--soft:#a3adbc;--paper:#181e28;
--back:#0f141b;--line:#2c3440;--act:#8fa8ff;--on-act:#0e1220;--agent:#6fdcae;--person:#d3a5f5;
--tint:#222b3a}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:1rem/1.55 system-ui,sans-serif}
header,main{max-width:52rem;margin:auto;padding:1.25rem}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.5rem 1.75rem;padding-bottom:.25rem}
header strong{font-size:1.1rem}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem}
a{color:var(--act)}
nav a{padding:.25rem 0;text-decoration:none}
nav a:hover{text-decoration:underline}
nav a[aria-current]{color:var(--ink);font-weight:600;box-shadow:0 2px var(--act)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:1rem}
.who{display:grid;margin:0 0 2rem;padding:0;list-style:none}
.who li{display:grid;grid-template-columns:2.25rem 1fr auto;gap:.25rem .9rem;align-items:center;
padding:.9rem 1.1rem}
.who li+li{border-top:1px solid var(--line)}
.who>li>svg{width:2.25rem;height:2.25rem;padding:.45rem;border-radius:50%;background:var(--tint);
color:var(--soft)}
.who div{min-width:0;overflow-wrap:anywhere}
.who b,.who small{display:block}
.who small{color:var(--soft);font-size:.9rem}
.agent svg,.agent b{color:var(--agent)}
.person svg,.person b{color:var(--person)}
form{margin:0}
.act,button{display:inline-block;padding:.55rem 1rem;border:1px solid var(--act);
border-radius:.6rem;font:inherit;font-weight:600;text-align:center;text-decoration:none;
cursor:pointer;background:var(--act);color:var(--on-act)}
button.quiet{background:none;color:var(--act);border-color:var(--line)}
.act:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--act);
outline-offset:3px;border-radius:.4rem}
h1{margin:0 0 .25rem;font-size:1.6rem;line-height:1.25}
h2{margin:0;font-size:1rem}
p{margin:0 0 1.25rem;color:var(--soft)}
.goods{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:1rem;padding:0;
margin:0;list-style:none}
.goods li{overflow:hidden}
.goods svg{display:block;width:100%;height:7.5rem;padding:1.5rem;background:var(--tint);
color:var(--act)}
.goods div{padding:.8rem 1rem 1rem}
.goods span{color:var(--soft)}
table{width:100%;border-spacing:0}
th,td{padding:.75rem 1.1rem;text-align:left;border-top:1px solid var(--line)}
tr:first-child th{border-top:0;color:var(--soft);font-size:.9rem;font-weight:600}
td:last-child,th:last-child{text-align:right;white-space:nowrap}
@media(max-width:30rem){.who li{grid-template-columns:2.25rem 1fr}.who>li>svg{align-self:start}
.who form{grid-column:2}.who>li>a{grid-column:1/-1;margin-top:.35rem}th,td{padding:.7rem .55rem}}
"""
_POLICY = (
    "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_PAGES = {
    "/": "Catalogue",
    "/orders": "Orders",
    "/refunds": "Refunds",
    "/private/report": "Report",
}
_GOODS = (
    ("Mug", "12.00", "M5 7h11v9a4 4 0 0 1-4 4H9a4 4 0 0 1-4-4zM16 9h2a2.5 2.5 0 0 1 0 6h-2M8 1v3M12 1v3"),  # noqa: E501
    ("Lamp", "48.00", "M8 3h8l4 9H4zM12 12v8M8 21h8"),
    ("Notebook", "9.50", "M6 2h12v20H6zM9 2v20M12 7h4M12 11h4M3.5 6h4M3.5 12h4M3.5 18h4"),
    ("Plant", "19.00", "M7 15h10l-1.5 7h-7zM12 15V8M12 10C12 5 8 4 4 4c0 4 3 6 8 6M12 8c0-4 3-6 7-6 0 4-2 6-7 6"),  # noqa: E501
)  # fmt: skip
_ORDERS = (
    ("1041", "Mug", "Delivered", "12.00"),
    ("1042", "Lamp", "On its way", "48.00"),
    ("1043", "Plant", "Being packed", "19.00"),
)
_FACE = "M12 3a4 4 0 1 1 0 8 4 4 0 0 1 0-8M4 21c0-5 4-7 8-7s8 2 8 7"
_ROBOT = "M4 9h16v11H4zM12 9V4M9 4h6M9 14h.01M15 14h.01M9 17h6"


class Page(NamedTuple):
    """HTML, and the headers that go with it."""

    html: str
    headers: dict[str, str]


class Visitor(NamedTuple):
    """The visitor of a page; an agent and a person may share a browser."""

    agent: Agent | None
    login_path: str
    logout_path: str
    person: str | None = None
    """A name to show, nothing more: it opens no door."""
    person_path: str | None = None
    """The path that the person's button posts to."""


def catalogue_page(visitor: Visitor) -> Page:
    """Returns the page for everyone."""
    goods = "".join(
        f'<li class="card">{_drawing(path)}<div><h2>{name}</h2><span>€ {price}</span></div></li>'
        for name, price, path in _GOODS
    )
    return _page(
        "/",
        visitor,
        "<h1>Good things for a desk</h1><p>Everybody may look. A person signs in with a password, "
        "an AI agent with an identity of its own.</p>"
        f'<ul class="goods">{goods}</ul>',
    )


def orders_page(visitor: Visitor) -> Page:
    """Returns the page for a signed-in agent."""
    rows = "".join(
        f"<tr><td>{number}</td><td>{item}</td><td>{state}</td><td>€ {price}</td></tr>"
        for number, item, state, price in _ORDERS
    )
    return _page(
        "/orders",
        visitor,
        "<h1>Orders</h1><p>Only a signed-in agent sees them.</p>"
        '<table class="card"><tr><th scope="col">Order</th><th scope="col">Item</th>'
        f'<th scope="col">State</th><th scope="col">Price</th></tr>{rows}</table>',
    )


def refund_of(number: str) -> dict[str, str] | None:
    """Returns the act for the agent's owner to approve; None if the order cannot be refunded."""
    refundable, item, _, price = _ORDERS[0]
    if number != refundable:
        return None
    return {
        "type": "refund",
        "title": f"Refund {price} EUR for the {item} of order {number}",
        "amount": price,
        "currency": "EUR",
        "order": number,
    }


def refunds_page(visitor: Visitor) -> Page:
    """Returns the page for an agent that was granted `refunds:write`."""
    number, item, _, price = _ORDERS[0]
    button = _button(f"/refunds/{number}", "Refund", f"Refund order {number}")
    return _page(
        "/refunds",
        visitor,
        "<h1>Refunds</h1><p>This page needs the scope refunds:write, and the agent has it. "
        "For a refund itself the shop asks the agent's owner.</p>"
        '<table class="card"><tr><th scope="col">Order</th><th scope="col">Item</th>'
        '<th scope="col">May be refunded</th><th scope="col">Refund</th></tr>'
        f"<tr><td>{number}</td><td>{item}</td><td>€ {price}</td>"
        f"<td>{button}</td></tr></table>",
    )


def _page(current: str, visitor: Visitor, body: str) -> Page:
    links = "".join(
        f'<a href="{path}"{" aria-current=page" if path == current else ""}>{title}</a>'
        for path, title in _PAGES.items()
    )
    nonce = secrets.token_urlsafe(16)
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{_PAGES[current]} · Example shop</title>'
        f'<style nonce="{nonce}">{_STYLE}</style>{login_button_style(nonce)}</head>'
        f"<body><header><strong>Example shop</strong>"
        f'<nav aria-label="Pages">{links}</nav></header><main>'
        f'<ul class="who card" aria-label="Who is signed in">{_person(visitor)}{_agent(visitor)}'
        f"</ul>{body}</main></body></html>"
    )
    policy = _POLICY.format(nonce=nonce)
    return Page(html, {"Content-Security-Policy": policy, "Cache-Control": "no-store"})


def _person(visitor: Visitor) -> str:
    if visitor.person_path is None:
        return ""
    if visitor.person is None:
        words = "<b>No person is signed in</b><small>For the example a name will do.</small>"
        button = _button(visitor.person_path, f"I am {PERSON}")
    else:
        words = f"<b>A person is signed in</b><small>{escape(visitor.person)}</small>"
        button = _button(visitor.person_path, "Sign out", "Sign out the person")
    return _row("person" if visitor.person else "", _FACE, words, button)


def _agent(visitor: Visitor) -> str:
    agent = visitor.agent
    if agent is None:
        words = "<b>No agent is signed in</b><small>Orders and refunds are for agents.</small>"
        return _row("", _ROBOT, words, login_button(visitor.login_path))
    facts = [
        agent.name or agent.id,
        f"says it is {agent.model}" if agent.model else "",
        f"for {agent.email}" if agent.email else "",
    ]
    told = " · ".join(escape(fact) for fact in facts if fact)
    granted = escape(" ".join(agent.scopes))
    words = f"<b>An agent is signed in</b><small>{told}</small><small>Granted: {granted}</small>"
    return _row(
        "agent", _ROBOT, words, _button(visitor.logout_path, "Sign out", "Sign out the agent")
    )


def _row(kind: str, path: str, words: str, action: str) -> str:
    return f'<li class="{kind}">{_drawing(path)}<div>{words}</div>{action}</li>'


def _button(target: str, text: str, label: str = "") -> str:
    named = f' aria-label="{label}"' if label else ""
    button = f'<button class="quiet"{named}>{text}</button>'
    return f'<form method="post" action="{escape(target)}">{button}</form>'


def _drawing(path: str) -> str:
    return (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
        f'<path d="{path}"/></svg>'
    )
