"""JSON documents of other parties, with a bound on their depth."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_DEPTH = 64


def read_object(data: bytes) -> dict[str, Any] | None:
    """Parses a JSON object, else returns None; raises `ValueError` if it is nested too deeply."""
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _inside(value: dict[str, Any] | list[Any]) -> list[Any]:
    parts = value.values() if isinstance(value, dict) else value
    return [part for part in parts if isinstance(part, (dict, list))]
