"""A circuit breaker: after a time-out, requests to that place fail at once for some seconds.

Otherwise each visitor who causes a request to a hanging server would hold a thread until the
time-out. One request at a time finds out whether the place answers again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from auth_agent.flow.kept import Guard, renew_after_fork

PAUSE_SECONDS = 5.0
PROBE_SECONDS = 15.0  # a probe that never came back is replaced
MAX_PLACES = 100


class Breaker:
    """Places by name; remembers only those that timed out, each until it answers."""

    def __init__(self) -> None:
        self._guard = Guard()
        self.reset()
        renew_after_fork(self)

    def reset(self) -> None:
        """Forgets every time-out; also called in a forked child."""
        self._closed_until: OrderedDict[str, float] = OrderedDict()

    @contextmanager
    def watch(self, place: str, paused: Exception) -> Iterator[None]:
        """Raises `paused` at once if the place is paused, else watches the block.

        A `TimeoutError` pauses the place; any other result, an error included, is an answer.
        """
        if self._closed_until and not self._may_ask(place):
            raise paused
        try:
            yield
        except TimeoutError:
            self._pause(place, PAUSE_SECONDS)
            raise
        except BaseException:
            self._resume(place)
            raise
        self._resume(place)

    def _may_ask(self, place: str) -> bool:
        """Returns True if the place is not paused, or for the one request that probes it."""
        now = time.monotonic()
        with self._guard:
            until = self._closed_until.get(place)
            if until is None:
                return True
            if now < until:
                return False
            self._closed_until[place] = now + PROBE_SECONDS
            return True

    def _pause(self, place: str, seconds: float) -> None:
        with self._guard:
            self._closed_until[place] = time.monotonic() + seconds
            while len(self._closed_until) > MAX_PLACES:
                self._closed_until.popitem(last=False)

    def _resume(self, place: str) -> None:
        if self._closed_until:
            with self._guard:
                self._closed_until.pop(place, None)
