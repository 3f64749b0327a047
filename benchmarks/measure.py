"""Small interleaved batches, the quick ones told, as ratios.

A batch that another program of the machine slowed down tells of that program; the 5th percentile
leaves it out. The order is another one in every round, because each case finds the caches of the
processor as the one before has left them.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Awaitable, Callable

BATCH = 10
WARM_UP = 200


async def compare_async(
    cases: dict[str, Callable[[], Awaitable[None]]], times: int
) -> dict[str, float]:
    """Microseconds for each call."""
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        for _ in range(WARM_UP):
            await case()
    gc.collect()
    for name in _order(list(cases), times // BATCH):
        case = cases[name]
        await case()
        started = time.perf_counter()
        for _ in range(BATCH):
            await case()
        samples[name].append((time.perf_counter() - started) / BATCH * 1e6)
    return _quick_ones(samples)


def compare(cases: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Microseconds for each call."""
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        for _ in range(WARM_UP):
            case()
    gc.collect()
    for name in _order(list(cases), times // BATCH):
        case = cases[name]
        case()
        started = time.perf_counter()
        for _ in range(BATCH):
            case()
        samples[name].append((time.perf_counter() - started) / BATCH * 1e6)
    return _quick_ones(samples)


def _order(names: list[str], rounds: int) -> list[str]:
    return [name for _ in range(rounds) for name in random.sample(names, len(names))]


def _quick_ones(samples: dict[str, list[float]]) -> dict[str, float]:
    return {name: sorted(values)[len(values) // 20] for name, values in samples.items()}


def report(title: str, costs: dict[str, float]) -> None:
    """The first case is the measure of the others."""
    print(f"\n{title} (lower is better)")
    base = next(iter(costs.values()))
    for name, cost in costs.items():
        print(f"  {name:34} {cost:8.1f} us {cost / base:7.2f} x {cost - base:+8.1f} us")
