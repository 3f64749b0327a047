"""The scheme of a visit's `Authorization` header: ours are Bearer and DPoP."""

from __future__ import annotations

import re

_BEARER = re.compile(r"bearer(?:\s|$)", re.IGNORECASE)
_DPOP = re.compile(r"dpop(?:\s|$)", re.IGNORECASE)
_SECOND = re.compile(r",[ \t]*(?:bearer|dpop)[ \t]", re.IGNORECASE)


def is_bearer(authorization: str) -> bool:
    """Returns True for the scheme of RFC 6750."""
    return _BEARER.match(authorization) is not None


def is_dpop(authorization: str) -> bool:
    """Returns True for the scheme of RFC 9449."""
    return _DPOP.match(authorization) is not None


def is_doubled(authorization: str) -> bool:
    """Returns True if a token of ours follows credentials of another scheme."""
    return _SECOND.search(authorization) is not None
