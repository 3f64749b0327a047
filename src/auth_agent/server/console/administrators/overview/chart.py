"""The chart of the overview as plain numbers, for a template to draw as SVG."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from auth_agent.server.bounds import DAY
from auth_agent.server.console.administrators.overview.statistics import (
    APPROVED,
    REASONS,
    Bar,
    Chart,
)

HEIGHT = 100
_WIDTH = 10  # of one bar, with the gap to the next one
_LABELS = {"24h": 3, "7d": 4, "30d": 6}  # bars from one label below the chart to the next
_EACH = {"24h": "an hour", "7d": "6 hours", "30d": "a day"}
TEXTS: Mapping[str, str] = {
    APPROVED: "Signed in",
    "credentials": "Wrong credentials",
    "code": "Wrong code",
    "owner": "Denied or not answered by the owner",
    "cancelled": "Cancelled in the browser",
    "website": "Website refused",
}
# The page that lists the rows of a reason.
_PAGES: Mapping[str, tuple[str, dict[str, str]]] = {
    APPROVED: ("sign-ins", {"outcome": "approved"}),
    "credentials": ("sign-ins", {"outcome": "invalid_credentials"}),
    "code": ("sign-ins", {"outcome": "invalid_code"}),
    "owner": ("audit", {"kind": "owner question"}),
    "cancelled": ("sign-ins", {"outcome": "denied"}),
    "website": ("audit", {"kind": "token", "outcome": "refused"}),
}


class Part(NamedTuple):
    """One colour of a bar."""

    reason: str
    y: float
    height: float


class Column(NamedTuple):
    """One bar; `title` says in words what it shows."""

    x: int
    title: str
    parts: list[Part]


class Key(NamedTuple):
    """One line of the legend."""

    reason: str
    text: str
    total: int
    path: str


class Line(NamedTuple):
    """One line of the table that says the same as the chart."""

    when: str
    day: str
    counts: list[int]


class Drawing(NamedTuple):
    width: int
    bar: int
    columns: list[Column]
    labels: list[str]
    highest: str
    legend: list[Key]
    lines: list[Line]


def drawn(chart: Chart) -> Drawing:
    """Returns a chart as coordinates, texts and links."""
    shown = [reason for reason in REASONS if chart.totals[reason] or reason == APPROVED]
    days = {"from": _day(chart.bars[0].start), "to": _day(chart.bars[-1].end - 1)}
    return Drawing(
        width=_WIDTH * len(chart.bars),
        bar=_WIDTH - 2,
        columns=[_column(chart, number, bar) for number, bar in enumerate(chart.bars)],
        labels=[_label(chart, bar.start) for bar in chart.bars[:: _LABELS[chart.name]]],
        highest=f"{chart.highest:,} in {_EACH[chart.name]}",
        legend=[
            Key(reason, TEXTS[reason], chart.totals[reason], _path(reason, days))
            for reason in shown
        ],
        lines=[
            Line(_span(chart, bar), _day(bar.start), [bar.counts[reason] for reason in shown])
            for bar in reversed(chart.bars)
            if bar.total
        ],
    )


def _column(chart: Chart, number: int, bar: Bar) -> Column:
    parts, top = [], float(HEIGHT)
    for reason, times in bar.counts.items():
        if times:
            # One of a thousand has to be seen, too.
            height = max(1.0, round(HEIGHT * times / chart.highest, 2))
            top = max(0.0, round(top - height, 2))
            parts.append(Part(reason, top, height))
    told = [f"{times:,} {TEXTS[reason].lower()}" for reason, times in bar.counts.items() if times]
    title = f"{_span(chart, bar)}: {', '.join(told) or 'none'}"
    return Column(number * _WIDTH + 1, title, parts)


def _span(chart: Chart, bar: Bar) -> str:
    if chart.period.step == DAY:
        return _day(bar.start)
    start, end = (time.strftime("%H:%M", time.gmtime(at)) for at in (bar.start, bar.end))
    return f"{_day(bar.start)} {start} to {end}"


def _label(chart: Chart, at: int) -> str:
    form = "%H:%M" if chart.period.unit < DAY else "%b %d"
    return time.strftime(form, time.gmtime(at))


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _path(reason: str, days: dict[str, str]) -> str:
    page, query = _PAGES[reason]
    return f"/{page}?{urlencode({**query, **days})}"
