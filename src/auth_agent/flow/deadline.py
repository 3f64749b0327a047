"""A deadline for a whole exchange in a thread, which each of its reads and writes observes.

An HTTP client's time-outs are for single reads, so a server that sends slowly could hold a thread
for ever. Tasks are cancelled from outside and do not need this. `auth_agent.flow.clients` makes the
clients that observe it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

LONGEST_WAIT = 10.0  # seconds for a single read that has no time-out of its own

# Unlike a `threading.local` that is created before gevent patches it, this is per greenlet.
_ends_at: ContextVar[float | None] = ContextVar("auth_agent_deadline", default=None)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Sets a deadline for this thread's use of clients from `auth_agent.flow.clients`."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


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
