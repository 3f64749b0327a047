"""Prometheus counters: audit events and durations of requests.

Several workers write to files in one folder (`PROMETHEUS_MULTIPROC_DIR`, which `auth-agent serve`
creates), so that each of them can report the totals.
"""

from __future__ import annotations

import os
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_own = CollectorRegistry(auto_describe=True)
_EVENTS = Counter(
    "auth_agent_events",
    "What the audit log records: issues, refusals, revocations, sign-ins, administration.",
    ["kind", "outcome"],
    registry=_own,
)
_REQUESTS = Histogram(
    "auth_agent_request_seconds",
    "How long requests took, from their last byte read to their answer.",
    ["endpoint", "status"],
    buckets=_BUCKETS,
    registry=_own,
)


# Looking up a child costs more than counting; there are few, and all their names are ours.
_event = lru_cache(maxsize=1_024)(_EVENTS.labels)
_request = lru_cache(maxsize=1_024)(_REQUESTS.labels)


def families() -> list[tuple[str, tuple[str, ...], str]]:
    """Returns name, labels and meaning of every metric, as they are exposed."""
    return [
        ("auth_agent_events_total", _EVENTS._labelnames, _EVENTS._documentation),
        ("auth_agent_request_seconds", _REQUESTS._labelnames, _REQUESTS._documentation),
    ]


def count_event(kind: str, outcome: str) -> None:
    """Counts an event; both words are ours, never foreign text."""
    _event(kind, outcome).inc()


def observe_request(endpoint: str, status: int, seconds: float) -> None:
    """Counts an answered request, with its status as a class, e.g. `2xx`."""
    _request(endpoint, f"{status // 100}xx").observe(seconds)


def exposition() -> bytes:
    """Returns all counters in Prometheus' text format."""
    registry = _own
    if os.environ.get(FOLDER):
        registry = CollectorRegistry(auto_describe=True)
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
