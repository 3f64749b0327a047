"""A deadline for a whole exchange in a thread: each of its reads and writes ends in time.

The time-outs of an HTTP client are for single reads, so that a server that drips could hold a
thread for ever. Tasks are cancelled from outside and need none of this. `auth_agent.flow.clients`
makes the clients that keep to it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

LONGEST_WAIT = 10.0  # seconds for a single read that has no time-out of its own

# Unlike a `threading.local` that is made before gevent patches it, each greenlet has its own.
_ends_at: ContextVar[float | None] = ContextVar("auth_agent_deadline", default=None)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Ends in time all that this thread does with a client of `auth_agent.flow.clients`."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def seconds_left(timeout: float | None = None) -> float:
    """Returns what this exchange may still take, at most `timeout`; raises `TimeoutError`."""
    at = _ends_at.get()
    limit = LONGEST_WAIT if timeout is None else timeout
    if at is None:
        return limit
    left = at - time.monotonic()
    if left <= 0:
        raise TimeoutError("the whole exchange took too long")
    return min(left, limit)
