"""The console's first page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select

from auth_agent.server.console import log
from auth_agent.server.console import queries as data
from auth_agent.server.console.administrators.overview.attention import Matter, read_attention
from auth_agent.server.console.administrators.overview.chart import HEIGHT, drawn
from auth_agent.server.console.administrators.overview.statistics import (
    APPROVED,
    PERIODS,
    read_chart,
    read_top,
)
from auth_agent.server.console.visit import ConsoleVisit
from auth_agent.server.context import Context
from auth_agent.server.security.keys.signing import UNOPENED
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.web.call import Answer

_LATEST = 8
_EVER = select(audit.c.id).where(audit.c.kind == log.SIGN_IN, audit.c.outcome == APPROVED).limit(1)


class Step(NamedTuple):
    """One step of a server's start."""

    title: str
    text: str
    path: str
    link: str
    is_done: bool


def overview(visit: ConsoleVisit) -> Answer:
    """GET /console?period=…: numbers, what needs attention, and sign-ins over time."""
    name = visit.query.get("period", "")
    period = name if name in PERIODS else "24h"
    with visit.context.database.read() as connection:
        numbers = data.counts(connection, visit.now)
        matters = read_attention(connection, visit.now)
        steps = _steps(connection, numbers)
        chart = read_chart(connection, period, visit.now)
        top = read_top(connection, period, visit.now)
        recent = log.list_audit(connection, {}, 1)[:_LATEST]
    return visit.page(
        "console_overview.html",
        numbers=numbers,
        matters=sorted([*_of_this_server(visit.context), *matters], key=lambda m: not m.is_urgent),
        steps=steps if not all(step.is_done for step in steps) else [],
        chart=chart,
        drawing=drawn(chart),
        height=HEIGHT,
        periods=PERIODS,
        top=top,
        recent=recent,
    )


def _of_this_server(context: Context) -> Iterator[Matter]:
    """Yields what settings, and not the database, say."""
    if context.keyring.current().unopened:
        yield Matter(f"{UNOPENED}.", "/keys", "See the keys", is_urgent=True)
    if not context.settings.is_https:
        text = "This server speaks http: for development on this machine only."
        yield Matter(text, "", "", is_urgent=not context.settings.is_loopback)
    if not context.outbox.can_send:
        text = "No mail is sent: set AUTH_AGENT_SERVER_SMTP_URL to let owners sign in."
        yield Matter(text, "", "")


def _steps(connection: Connection, numbers: dict[str, int]) -> list[Step]:
    has_signed_in = connection.execute(_EVER).first() is not None
    site = "The website gets a client id, a secret, and the lines for its environment."
    agent = "The agent gets an id and a secret, or you register its public key."
    login = "On the agent's machine, run auth-agent login with the website's address."
    return [
        Step("Add a website", site, "/websites/new", "Add a website", numbers["websites"] > 0),
        Step("Add an agent", agent, "/agents/new", "Add an agent", numbers["agents"] > 0),
        Step("Sign in", login, "/sign-ins", "See sign-ins", has_signed_in),
    ]
