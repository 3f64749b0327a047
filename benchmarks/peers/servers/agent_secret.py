"""The agent's secret: bcrypt once, then the digest under a key of this process."""

from __future__ import annotations

import hmac
import secrets

import bcrypt


class KnownSecret:
    """The stored form of the agent's secret."""

    def __init__(self, secret: str) -> None:
        self._hash = bcrypt.hashpw(secret.encode(), bcrypt.gensalt(10))
        self._mark_key, self._verified = secrets.token_bytes(32), set[bytes]()

    def is_right(self, secret: str) -> bool:
        mark = hmac.digest(self._mark_key, self._hash + secret.encode(), "sha256")
        if mark not in self._verified and bcrypt.checkpw(secret.encode(), self._hash):
            self._verified.add(mark)
        return mark in self._verified
