"""Claims whose form differs between providers, normalised."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger("auth_agent")

_BOOLEANS = {"true": True, "false": False}
# A flag describes the value beside it, so both have to come from one source.
VERIFIED = {"email": "email_verified", "phone_number": "phone_number_verified"}


def with_flags(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the claims with "true" and "false" as booleans (Cognito and Azure send text).

    Any other form counts as not verified.
    """
    read = dict(claims)
    for name in VERIFIED.values():
        value = read.get(name)
        if value is None or isinstance(value, bool):
            continue
        found = _BOOLEANS.get(value) if isinstance(value, str) else None
        if found is None:
            logger.warning("The claim %s is neither true nor false; counts as false.", name)
        read[name] = bool(found)
    return read


def merge(signed: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Merges both; signed claims win, and an address keeps the flag of its own source."""
    merged = {**more, **signed}
    for name, flag in VERIFIED.items():
        source = signed if signed.get(name) is not None else more
        for one in (name, flag):
            merged.pop(one, None)
            if source.get(one) is not None:
                merged[one] = source[one]
    return merged
