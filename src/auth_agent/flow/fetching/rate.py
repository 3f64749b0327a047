"""How often each host is asked: so many times a minute."""

from __future__ import annotations

import time
from collections import OrderedDict

from auth_agent.flow.kept import Guard

MOST_HOSTS = 1_000
_MINUTE = 60.0


class Rate:
    """Counts in fixed minutes; hosts beyond the most recent ones are forgotten."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = Guard()

    def take(self, host: str, *, spare: int = 0) -> bool:
        """Returns whether this host may be asked once more, so that `spare` times are left."""
        now = time.monotonic()
        with self._lock:
            since, count = self._counts.pop(host, (now, 0))
            if now >= since + _MINUTE:
                since, count = now, 0
            allowed = count < self._per_minute - spare
            self._counts[host] = (since, count + allowed)
            while len(self._counts) > MOST_HOSTS:
                self._counts.popitem(last=False)
            return allowed
