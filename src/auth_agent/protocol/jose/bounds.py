"""Bounds of tokens, keys and clocks, the same for website, server and SDK."""

from __future__ import annotations

CLOCK_SKEW = 60
"""Seconds by which the clocks of two machines may differ."""

MIN_RSA_BITS = 2_048
"""Shorter RSA keys neither sign nor verify (RFC 7518 3.3)."""

STALE_SECONDS = 86_400
"""How long an expired snapshot of the server's metadata or keys is used if no fetch succeeds."""
