"""Small interleaved batches, the quick ones told, as ratios.

A batch that another program of the machine slowed down tells of that program; the 5th percentile
leaves it out. The order is another one in every round, because each case finds the caches of the
processor as the one before has left them.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

F = TypeVar("F", bound=Callable[[], Any])

BATCH = 10


class Case(Generic[F]):
    """A function to be called, and how long its batches took; timed while it is a context."""

    def __init__(self, name: str, function: F) -> None:
        self.name = name
        self.function = function
        self._seconds: list[float] = []

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        self._seconds.append(time.perf_counter() - self._started)

    def cost(self) -> float:
        """Microseconds for each call, of the quick batches."""
        return sorted(self._seconds)[len(self._seconds) // 20] / BATCH * 1e6


async def compare_async(
    functions: dict[str, Callable[[], Awaitable[None]]], times: int
) -> dict[str, float]:
    """Microseconds for each call."""
    cases = [Case(name, function) for name, function in functions.items()]
    for case in _order(cases, times):
        await case.function()
        with case:
            for _ in range(BATCH):
                await case.function()
    return {case.name: case.cost() for case in cases}


def compare(functions: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Microseconds for each call."""
    cases = [Case(name, function) for name, function in functions.items()]
    for case in _order(cases, times):
        case.function()
        with case:
            for _ in range(BATCH):
                case.function()
    return {case.name: case.cost() for case in cases}


def _order(cases: list[Case[F]], times: int) -> Iterator[Case[F]]:
    gc.collect()
    for _ in range(times // BATCH):
        yield from random.sample(cases, len(cases))


def report(title: str, costs: dict[str, float]) -> None:
    """Prints the costs as multiples of the first case."""
    print(f"\n{title} (lower is better)")
    base = next(iter(costs.values()))
    for name, cost in costs.items():
        print(f"  {name:34} {cost:8.1f} us {cost / base:7.2f} x {cost - base:+8.1f} us")
