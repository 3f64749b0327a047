"""Rate limits: count failures, not successes, always per name and address together.

Valid requests are recognised first: a secret that was just verified, a sign-in that exists. So an
attacker cannot slow down the agent or client whose name he uses. Counters live in this process, or
in Redis for several workers; if Redis is unreachable, this process counts alone.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, cast

from limits.errors import StorageError
from limits.storage import Storage, storage_from_string

from auth_agent.extras import needed_for
from auth_agent.flow.connections.breaker import Breaker
from auth_agent.server.bounds import HOUR, MINUTE
from auth_agent.server.settings import ServerSettings
from auth_agent.server.web.at_once import happened, or_wait
from auth_agent.server.web.call import Headers, Refusal

T = TypeVar("T")

MOST_COUNTERS = 100_000
# Counter by name: the setting that bounds it, and the window in seconds.
WINDOWS = {
    "agent_failures": MINUTE,  # per agent and address
    "client_failures": MINUTE,  # per client and address
    "address_failures": MINUTE,  # per address: wrong secrets of any agent and client
    "unknown_requests": MINUTE,  # per address
    "registrations": HOUR,  # per address
    "refreshes": HOUR,  # per token family
    "calls": HOUR,  # per agent, with any of its tokens
    "agent_successes": MINUTE,  # per agent: sign-ins approved, and tokens for itself
    "refusal_records": MINUTE,  # all audit rows about refusals that one server writes
}
# They bound writes only; a Redis round trip for each sign-in would cost more than it saves.
_OF_THIS_PROCESS = ("agent_successes", "refusal_records")
log = logging.getLogger("auth_agent.server")


class Memory(Storage):
    """Counters of this process, at most `size`: the least recently used goes first."""

    STORAGE_SCHEME = ["auth-agent-memory"]  # noqa: RUF012  (the library's way)

    def __init__(self, clock: Callable[[], float], size: int = MOST_COUNTERS) -> None:
        super().__init__()
        self._clock = clock
        self._size = size
        self._counters: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        with self._lock:
            count, until = self._fresh(key) or (0, self._clock() + expiry)
            self._counters[key] = (count + amount, until)
            self._counters.move_to_end(key)
            while len(self._counters) > self._size:
                self._counters.popitem(last=False)
            return count + amount

    def get(self, key: str) -> int:
        with self._lock:
            return (self._fresh(key) or (0, 0.0))[0]

    def get_expiry(self, key: str) -> float:
        with self._lock:
            return (self._fresh(key) or (0, self._clock()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        with self._lock:
            count = len(self._counters)
            self._counters.clear()
        return count

    def clear(self, key: str) -> None:
        with self._lock:
            self._counters.pop(key, None)

    def _fresh(self, key: str) -> tuple[int, float] | None:
        found = self._counters.get(key)
        return found if found is not None and found[1] > self._clock() else None


class _Paused(TimeoutError):
    """Redis did not answer, now or a moment ago."""


class _Window(NamedTuple):
    """So many attempts in so many seconds, which begin with the first one."""

    most: int
    seconds: int


class Limits:
    """The counters of one server; the names are those of `WINDOWS`."""

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows = {
            name: _Window(getattr(settings, f"limit_{name}"), seconds)
            for name, seconds in WINDOWS.items()
        }
        self._windows["second_chances"] = _Window(1, MINUTE)
        self._own: Storage = Memory(clock)
        self._shared: Storage | None = None
        self._breaker = Breaker()
        if address := settings.redis.reveal():
            with needed_for("redis"):
                import redis  # noqa: F401, PLC0415  # `limits` says less about its absence
            storage = storage_from_string(
                address, wrap_exceptions=True, socket_timeout=1.0, socket_connect_timeout=1.0
            )
            self._shared = cast(Storage, storage)  # no address that settings take is asynchronous
            self._clock = time.time  # Redis has its own clock

    def is_spent(self, name: str, *who: str) -> bool:
        """Returns True if no further attempt is allowed; counts nothing."""
        key = _key(name, who)
        return self._ask(name, lambda counters: counters.get(key)) >= self._windows[name].most

    def count(self, name: str, *who: str) -> bool:
        """Counts one attempt; returns False if it was one too many."""
        key, window = _key(name, who), self._windows[name]
        self._wait_for(name)
        happened()
        return self._ask(name, lambda shared: shared.incr(key, window.seconds)) <= window.most

    def take(self, name: str, *who: str) -> Headers:
        """Counts one attempt and returns headers with the remaining number; else refuses (429)."""
        if not self.count(name, *who):
            raise self.refusal(name, *who)
        return self._headers(name, who, retry=False)

    def refuse_if_spent(self, name: str, *who: str) -> None:
        """Raises the refusal (429) if no further attempt is allowed; counts nothing."""
        if self.is_spent(name, *who):
            raise self.refusal(name, *who)

    def refusal(self, name: str, *who: str) -> Refusal:
        """Returns 429 with the time to wait."""
        text = "Too many requests of this kind; wait for the seconds in Retry-After"
        return Refusal(429, "too_many_requests", text, self._headers(name, who, retry=True))

    def _headers(self, name: str, who: tuple[str, ...], *, retry: bool) -> Headers:
        key, most = _key(name, who), self._windows[name].most
        reset, count = self._ask(name, lambda found: (found.get_expiry(key), found.get(key)))
        wait = max(1, int(reset - self._clock()) + 1)
        return (
            *((("retry-after", str(wait)),) if retry else ()),
            ("x-ratelimit-limit", str(most)),
            ("x-ratelimit-remaining", str(max(0, most - count))),
            ("x-ratelimit-reset", str(wait)),
        )

    def _is_shared(self, name: str) -> bool:
        return self._shared is not None and name not in _OF_THIS_PROCESS

    def _wait_for(self, name: str) -> None:
        """Leaves the event loop, which must not ask Redis."""
        if self._is_shared(name):
            or_wait()

    def _ask(self, name: str, ask: Callable[[Storage], T]) -> T:
        """Asks the counters of this name; without Redis those of this process.

        A Redis that fails is left alone for some seconds: each question to one that hangs would
        hold the thread of a visitor for a second.
        """
        self._wait_for(name)
        shared = self._shared
        if shared is None or not self._is_shared(name):
            return ask(self._own)
        with suppress(_Paused), self._breaker.watch("redis", _Paused()):
            try:
                return ask(shared)
            except StorageError as error:
                self._leave(shared)
                raise _Paused from error
        return ask(self._own)

    def _leave(self, shared: Storage) -> None:
        """Says that this process counts alone, and gives up the connections to that Redis.

        It may have become a replica, which goes on to answer, but counts nothing.
        """
        log.warning(
            "The Redis of AUTH_AGENT_SERVER_REDIS does not answer. Until it does, this process "
            "counts on its own: rate limits hold for each worker, not for all together. Start "
            "Redis, or correct the address."
        )
        with suppress(Exception):
            cast(Any, shared).storage.connection_pool.disconnect()


def _key(name: str, who: tuple[str, ...]) -> str:
    """Returns a key of bounded length for names of any length."""
    digest = hashlib.sha256("\0".join(who).encode()).hexdigest()
    return f"{name}/{digest[:32]}"
