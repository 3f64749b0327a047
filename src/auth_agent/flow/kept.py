"""Objects that a process or event loop creates once and keeps. A forked child starts without them.

A child that used its parent's connections would read the parent's answers, and a lock that another
thread held at the fork would never open.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from anyio.lowlevel import RunVar

T = TypeVar("T")


class Guard:
    """A lock that is open in a forked child."""

    def __init__(self) -> None:
        self.reset()
        _renewed.add(self)

    def reset(self) -> None:
        """Creates a new lock; called in a forked child, where this thread is the only one."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class PerProcess(Generic[T]):
    """Values by key, each created when it is first requested."""

    def __init__(self) -> None:
        self.reset()
        _renewed.add(self)

    def reset(self) -> None:
        """Forgets all values without closing them; called in a forked child."""
        self._lock = threading.Lock()
        self._values: dict[Hashable, T] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Returns the value of this key; if `make` raises, raises that and keeps nothing."""
        with self._lock:
            if key not in self._values:
                self._values[key] = make()
            return self._values[key]

    def take_all(self) -> list[T]:
        """Returns all values and forgets them."""
        with self._lock:
            values = list(self._values.values())
            self._values.clear()
        return values


class PerLoop(Generic[T]):
    """Values by key, for one event loop; needs no lock, since nothing here waits."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._variable: RunVar[dict[Hashable, T]] | None = None

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Returns the value of this key in the running loop."""
        values = self._values()
        if key not in values:
            values[key] = make()
        return values[key]

    def take_all(self) -> list[T]:
        """Returns all values of the running loop and forgets them."""
        values = self._values()
        taken = list(values.values())
        values.clear()
        return taken

    def _values(self) -> dict[Hashable, T]:
        from anyio.lowlevel import RunVar  # noqa: PLC0415

        if self._variable is None:
            self._variable = RunVar(self._name)
        values = self._variable.get(None)
        if values is None:
            values = {}
            self._variable.set(values)
        return values


_renewed: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_after_fork(kept: Any) -> None:
    """Calls `kept.reset()` in every forked child from now on."""
    _renewed.add(kept)


def _renew() -> None:
    for kept in list(_renewed):
        kept.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
