"""Sign-ins and refusals over time, and the websites, agents and models behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Select, column, func, select, values

from auth_agent.server.bounds import DAY, HOUR
from auth_agent.server.console.log import SIGN_IN, is_website
from auth_agent.server.console.queries import is_alive
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family

TOP = 5


class Period(NamedTuple):
    """How far back a chart looks, in bars of the same length (in seconds)."""

    text: str
    step: int
    bars: int
    unit: int  # the last bar ends with the present hour or day, UTC

    def start(self, now: int) -> int:
        """Returns where the first bar begins."""
        return (now // self.unit + 1) * self.unit - self.bars * self.step


PERIODS: Mapping[str, Period] = {
    "24h": Period("24 hours", HOUR, 24, HOUR),
    "7d": Period("7 days", 6 * HOUR, 28, DAY),
    "30d": Period("30 days", DAY, 30, DAY),
}
APPROVED = "approved"
# Why sign-ins fail, in the order in which a bar stacks them, each with what the audit calls it.
REASONS: Mapping[str, tuple[tuple[str, str], ...]] = {
    APPROVED: ((SIGN_IN, "approved"),),
    "credentials": ((SIGN_IN, "invalid_credentials"), ("agent sign-in", "invalid_credentials")),
    "code": ((SIGN_IN, "invalid_code"),),
    "owner": (("owner question", "denied"), ("owner question", "expired")),
    "cancelled": ((SIGN_IN, "denied"),),
    "website": tuple(
        (kind, "refused") for kind in ("token", "pushed request", "backchannel request")
    ),
}
_REASON_OF = {pair: reason for reason, pairs in REASONS.items() for pair in pairs}


class Bar(NamedTuple):
    start: int
    end: int
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


class Chart(NamedTuple):
    """The bars of a period, oldest first, and the sum of each reason."""

    name: str
    period: Period
    bars: tuple[Bar, ...]
    totals: Mapping[str, int]

    @property
    def highest(self) -> int:
        return max(bar.total for bar in self.bars)


class Top(NamedTuple):
    """The websites and agents with most sign-ins in a period, the models of valid sign-ins."""

    websites: list[Any]
    agents: list[Any]
    models: list[Any]


def read_chart(connection: Connection, name: str, now: int) -> Chart:
    """Counts sign-ins and refusals, each bar and outcome as one range of an index."""
    period = PERIODS[name]
    step, first = period.step, period.start(now)
    starts = [first + step * number for number in range(period.bars)]
    bar = values(column("start", BigInteger), name="bar").data([(at,) for at in starts]).cte()
    statement = select(bar.c.start, *(_times(pair, bar.c.start, step) for pair in _REASON_OF))
    rows = connection.execute(statement.order_by(bar.c.start)).all()
    bars = tuple(Bar(row[0], row[0] + step, _by_reason(row[1:])) for row in rows)
    totals = {reason: sum(each.counts[reason] for each in bars) for reason in REASONS}
    return Chart(name, period, bars, totals)


def _times(pair: tuple[str, str], start: Any, step: int) -> Any:
    of_pair = (audit.c.kind == pair[0], audit.c.outcome == pair[1])
    within = (audit.c.at >= start, audit.c.at < start + step)
    return select(func.count()).select_from(audit).where(*of_pair, *within).scalar_subquery()


def _by_reason(times: Sequence[int]) -> Mapping[str, int]:
    counts = dict.fromkeys(REASONS, 0)
    for reason, number in zip(_REASON_OF.values(), times, strict=True):
        counts[reason] += number
    return counts


def read_top(connection: Connection, name: str, now: int) -> Top:
    """Returns the lists of the overview, five rows each, with the most first."""
    start = PERIODS[name].start(now)
    sites = _most(audit.c.client_id, start).subquery()
    websites = (
        select(sites, client.c.name)
        .join(client, client.c.id == sites.c.key)
        .where(is_website())
        .order_by(sites.c.times.desc(), sites.c.key)
    )
    who = _most(audit.c.agent_id, start).subquery()
    agents = (
        select(who, agent.c.display_name, agent.c.email)
        .join(agent, agent.c.id == who.c.key)
        .order_by(who.c.times.desc(), who.c.key)
    )
    models = (
        select(token_family.c.model.label("key"), func.count().label("times"))
        .where(is_alive(now))
        .group_by(token_family.c.model)
        .order_by(func.count().desc(), token_family.c.model)
        .limit(TOP)
    )
    return Top(*(list(connection.execute(each).all()) for each in (websites, agents, models)))


def _most(of: Any, start: int) -> Select[Any]:
    """Counts sign-ins by agent or website; SQLite would group by that index and read every row."""
    key, times = func.coalesce(of, "").label("key"), func.count().label("times")
    signed_in = (audit.c.kind == SIGN_IN, audit.c.at >= start, audit.c.outcome == APPROVED)
    statement = select(key, times).where(*signed_in)
    return statement.group_by("key").order_by(func.count().desc(), "key").limit(TOP)
