"""A deadline for a whole exchange in a thread, which each of its reads and writes observes, and a
budget for all exchanges of one request.

An HTTP client's time-outs are for single reads, so a server that sends slowly could hold a thread
for ever. Tasks are cancelled from outside and do not need this. The clients beside this module
observe it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

LONGEST_WAIT = 10.0  # seconds for a single read that has no time-out of its own

# Unlike a `threading.local` that is created before gevent patches it, this is per greenlet.
_budget: ContextVar[list[float] | None] = ContextVar("auth_agent_budget", default=None)
_ends_at: ContextVar[float | None] = ContextVar("auth_agent_deadline", default=None)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Sets a deadline for this thread's use of the clients beside this module."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


@contextlib.contextmanager
def within_budget(seconds: float) -> Iterator[None]:
    """Gives this thread or task a budget of waiting, which `spend_budget` counts down.

    Unlike a deadline it passes only while something is waited for.
    """
    token = _budget.set([seconds])
    try:
        yield
    finally:
        _budget.reset(token)


@contextlib.contextmanager
def spend_budget(longest: float) -> Iterator[float]:
    """Gives the block the seconds that it may take, at most `longest`; raises `TimeoutError` if
    nothing is left of the budget.
    """
    budget = _budget.get()
    left = longest if budget is None else min(longest, budget[0])
    if left <= 0:
        raise TimeoutError("all the waiting of this request together took too long")
    started_at = time.monotonic()
    try:
        yield left
    finally:
        if budget is not None:
            budget[0] -= time.monotonic() - started_at


def seconds_left(timeout: float | None = None) -> float:
    """Returns the time left for this exchange, at most `timeout`; raises `TimeoutError`."""
    at = _ends_at.get()
    limit = LONGEST_WAIT if timeout is None else timeout
    if at is None:
        return limit
    left = at - time.monotonic()
    if left <= 0:
        raise TimeoutError("the whole exchange took too long")
    return min(left, limit)
