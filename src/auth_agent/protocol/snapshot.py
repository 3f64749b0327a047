"""A cache of a server's published document: renewed early, and used for a while if fetches fail.

Replacing the copy is a single assignment, so readers take no lock. Only a cold start waits.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from auth_agent.errors import AuthError
from auth_agent.flow.effects import Flow, join, limited, spawn
from auth_agent.protocol.jose.bounds import STALE_SECONDS

T = TypeVar("T")

EARLY_SECONDS = 60  # a copy is fetched again in the background this long before it expires
RETRY_SECONDS = 30


class Fetched(msgspec.Struct, Generic[T], frozen=True):
    """A value and its lifetime in seconds."""

    value: T
    seconds: float


class _Copy(msgspec.Struct, Generic[T], frozen=True):
    value: T
    fetched_at: float
    expires_at: float
    stale_at: float


class Snapshot(Generic[T]):
    """One value of one server. `clock` gives seconds and is monotonic."""

    def __init__(
        self,
        name: str,
        fetch: Callable[[], Flow[Fetched[T]]],
        clock: Callable[[], float],
        *,
        share: str = "cold start",
    ) -> None:
        self._key = (name, self)
        self._share = share
        self._fetch = fetch
        self._clock = clock
        self._copy: _Copy[T] | None = None
        self._retry_at = float("-inf")
        self.count = 0
        """How often the value was fetched."""

    @property
    def fresh(self) -> T | None:
        """Returns the value unless it is expired or from the future; does no I/O."""
        copy = self._copy
        if copy is None or not copy.fetched_at <= self._clock() < copy.expires_at:
            return None
        return copy.value

    @property
    def is_due(self) -> bool:
        """Returns True if there is a value that expires soon, or has expired."""
        copy = self._copy
        return copy is not None and self._clock() >= copy.expires_at - EARLY_SECONDS

    def get(self, *, queues: bool = True) -> Flow[T]:
        """Returns the value; raises the fetch's error if there is none that may still be used.

        A fetch that needs another value does not queue for it: those who hold the places may be
        waiting for that fetch.
        """
        copy, now = self._copy, self._clock()
        if copy is not None and copy.fetched_at > now:  # a clock that was set back: age unknown
            copy = None
        if copy is not None and (now < copy.expires_at or now < self._retry_at):
            if now >= copy.expires_at - EARLY_SECONDS and now >= self._retry_at:
                self._retry_at = now + RETRY_SECONDS
                yield from spawn(self._key, self._renew)
            return copy.value
        try:
            if copy is None and queues:
                look = functools.partial(self.renew_since, self.count)
                return (yield from limited(self._share, look))
            return (yield from self.renew())
        except AuthError:
            if copy is None or now >= copy.stale_at:
                raise
            self._retry_at = now + RETRY_SECONDS
            return copy.value

    def renew(self) -> Flow[T]:
        """Fetches once for all concurrent callers."""
        return join(self._key, self._renew)

    def renew_since(self, count: int) -> Flow[T]:
        """Fetches unless that happened after `count` was read; for callers that had to queue."""
        if self._copy is not None and self.count > count:
            return self._copy.value
        return (yield from self.renew())

    def _renew(self) -> Flow[T]:
        found = yield from self._fetch()
        now = self._clock()
        expires_at = now + found.seconds
        stale_at = max(expires_at, now + STALE_SECONDS)
        self._copy = _Copy(found.value, now, expires_at, stale_at)
        self.count += 1
        return found.value


class Question:
    """Fetches again because a copy lacks what a visitor names: seldom, against floods."""

    def __init__(
        self, clock: Callable[[], float], seconds: float, *, share: str = "unknown"
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._share = share
        self._asked_at = float("-inf")
        self._count = 0
        self._asking_in = 0  # the process that asks now; a forked child does not inherit it

    def ask(self, snapshot: Snapshot[T], known: T) -> Flow[T]:
        """Returns the server's present value, or `known`. Concurrent callers may share a fetch."""
        now = self._clock()
        is_asking = self._asking_in == os.getpid()
        if not is_asking and self._asked_at <= now < self._asked_at + self._seconds:
            return known
        if not is_asking:
            self._asked_at, self._asking_in = now, os.getpid()
            self._count = snapshot.count
        try:
            look = functools.partial(snapshot.renew_since, self._count)
            return (yield from limited(self._share, look))
        except AuthError as error:  # the cached copy stays
            if error.code == "too_many_questions":  # no fetch took place
                raise
            return known
        finally:
            self._asking_in = 0
