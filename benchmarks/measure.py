"""Interleaved rounds, medians, ratios: what differs between two cases is not the moment."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable

ROUNDS = 15


async def compare_async(
    cases: dict[str, Callable[[], Awaitable[None]]], times: int
) -> dict[str, float]:
    """Microseconds for each call, the median over rounds."""
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            gc.collect()
            started = time.perf_counter()
            for _ in range(times):
                await case()
            samples[name].append((time.perf_counter() - started) / times * 1e6)
    return {name: statistics.median(values) for name, values in samples.items()}


def compare(cases: dict[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Microseconds for each call, the median over rounds."""
    samples: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            gc.collect()
            started = time.perf_counter()
            for _ in range(times):
                case()
            samples[name].append((time.perf_counter() - started) / times * 1e6)
    return {name: statistics.median(values) for name, values in samples.items()}


def report(title: str, costs: dict[str, float]) -> None:
    """The first case is the measure of the others."""
    print(f"\n{title} (lower is better)")
    base = next(iter(costs.values()))
    for name, cost in costs.items():
        print(f"  {name:34} {cost:8.1f} us {cost / base:7.2f} x {cost - base:+8.1f} us")
