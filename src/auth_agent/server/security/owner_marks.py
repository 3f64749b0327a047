"""Marks of browsers in which an owner once proved an address.

A mark signs no one in: requests for codes that come with it are counted apart from those of
strangers, so that strangers cannot use up an owner's.
"""

from __future__ import annotations

import hmac
import re

from auth_agent.secret import Secret
from auth_agent.server.security.credentials import derive_key, new_token

MOST_ADDRESSES = 5
_MARK = re.compile(r"[A-Za-z0-9_-]{22}(?:\.[0-9a-f]{32}){1,5}")


class OwnerMarks:
    """Makes and recognises marks: a random name, and a keyed digest for each proved address."""

    def __init__(self, server_secrets: tuple[Secret, ...]) -> None:
        self._keys = [derive_key(secret, "owner mark") for secret in server_secrets]

    def name_of(self, mark: str | None, email: str) -> str | None:
        """Returns the browser's name if it has proved this address; None otherwise."""
        name, digests = _parts(mark)
        for key in self._keys:
            right = _digest(key, name, email)
            if any(hmac.compare_digest(right, each) for each in digests):
                return name
        return None

    def add(self, mark: str | None, email: str) -> str:
        """Returns the mark of a browser that has just proved this address too."""
        name, digests = _parts(mark)
        name = name or new_token("", 16)
        fresh = _digest(self._keys[0], name, email)
        kept = [each for each in digests if each != fresh]
        return ".".join([name, fresh, *kept[: MOST_ADDRESSES - 1]])


def _parts(mark: str | None) -> tuple[str, list[str]]:
    if mark is None or not _MARK.fullmatch(mark):
        return "", []
    name, *digests = mark.split(".")
    return name, digests


def _digest(key: bytes, name: str, email: str) -> str:
    return hmac.digest(key, f"{name}\0{email.lower()}".encode(), "sha256").hex()[:32]
