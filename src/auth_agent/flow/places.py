"""Places for questions to the server, so that a share of threads and tasks stays free."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from auth_agent.errors import ServerUnavailable
from auth_agent.flow.kept import PerLoop, PerProcess

SECONDS = 0.5
THREADS = 3  # waitress has four, and one must stay free for other visits
TASKS = 20  # a fifth of the connections that a client opens at most


@contextmanager
def thread_place() -> Iterator[None]:
    """Holds a place for the block; raises `too_many_questions` if none becomes free."""
    # One share for all of them: three of each kind would be more than a small server has.
    places = _of_threads.get("all", lambda: Places(THREADS))
    if not places.take(SECONDS):
        raise _no_place()
    try:
        yield
    finally:
        places.give()


@asynccontextmanager
async def task_place(share: str) -> AsyncIterator[None]:
    """Holds a place of this share for the block; raises `too_many_questions` if none is free."""
    import anyio  # noqa: PLC0415

    places = _of_tasks.get(share, lambda: anyio.Semaphore(TASKS))
    with anyio.move_on_after(SECONDS) as scope:
        await places.acquire()
    if scope.cancelled_caught:
        raise _no_place()
    try:
        yield
    finally:
        places.release()


class Places:
    """So many threads at a time, and after somebody has waited in vain no queue for a while.

    Those who queue would hold the last thread of a small server, one after the other.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._are_stuck = False

    def take(self, seconds: float) -> bool:
        """Returns True within so many seconds, or False: at once until a place is given back."""
        taken = self._free.acquire(timeout=0 if self._are_stuck else seconds)
        self._are_stuck = self._are_stuck or not taken
        return taken

    def give(self) -> None:
        """Gives a place back."""
        self._are_stuck = False
        self._free.release()


_of_threads: PerProcess[Places] = PerProcess()
_of_tasks: PerLoop[Any] = PerLoop("auth_agent_places")


def _no_place() -> ServerUnavailable:
    return ServerUnavailable(
        "Too many requests to the Auth Agent server are in progress; try again in a few seconds.",
        code="too_many_questions",
    )
