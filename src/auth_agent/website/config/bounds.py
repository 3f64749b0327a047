"""Bounds of numeric settings: lowest and highest value, in seconds."""

from __future__ import annotations

DAY = 86_400
MAX_LIFETIME = 30 * DAY

NUMBERS = {
    "bearer_recheck": (0, DAY),
    "session_lifetime": (60, MAX_LIFETIME),
    "session_idle": (30, MAX_LIFETIME),
}
