"""Challenges of passkeys, bound to their use: made here for this browser and this act, and fresh.

Nothing is stored until one is used; that it is used once, the caller writes down.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any, NamedTuple

from auth_agent.secret import Secret
from auth_agent.server.security.credentials import derive_key

LIFETIME = 300  # seconds
_RANDOM, _TIME, _MAC = 16, 8, 32


class BadPasskey(Exception):
    """The answer of a passkey proves nothing; the message is plain ASCII, for people."""


class Use(NamedTuple):
    """What a challenge is for: the browser's cookie, what it does, and to what exactly."""

    browser: str
    purpose: str
    subject: str = ""


class Challenges:
    """Makes and recognises challenges; nothing is stored until one is used.

    random bytes, time, MAC over all of it, SHA-256 of the subject: an assertion that is kept shows
    later what was signed.
    """

    def __init__(self, server_secrets: tuple[Secret, ...]) -> None:
        self._keys = [derive_key(secret, "passkey challenge") for secret in server_secrets]

    def make(self, use: Use, now: float) -> bytes:
        head = secrets.token_bytes(_RANDOM) + int(now).to_bytes(_TIME, "big")
        return head + _mac(self._keys[0], head, use) + _digest(use.subject)

    def check(self, challenge: bytes, use: Use, now: float) -> None:
        """Raises BadPasskey unless this challenge was made for this use just now."""
        head, rest = challenge[: _RANDOM + _TIME], challenge[_RANDOM + _TIME :]
        mac, about = rest[:_MAC], rest[_MAC:]
        is_ours = any(hmac.compare_digest(mac, _mac(key, head, use)) for key in self._keys)
        if not is_ours or not hmac.compare_digest(about, _digest(use.subject)):
            raise BadPasskey("This answer belongs to another page; open the page again")
        made = int.from_bytes(head[_RANDOM:], "big")
        if not now - LIFETIME <= made <= now + 1:
            raise BadPasskey("This page has expired; open it again")


def used_challenge(challenge: bytes, now: int) -> dict[str, Any]:
    """Returns the row that marks a challenge as used, as those of assertions."""
    hashed = hashlib.sha256(b"passkey challenge\0" + challenge).hexdigest()
    return {"hash": hashed, "expires_at": now + LIFETIME + 1}


def _mac(key: bytes, head: bytes, use: Use) -> bytes:
    told = "\0".join((hashlib.sha256(use.browser.encode()).hexdigest(), use.purpose, use.subject))
    return hmac.digest(key, head + told.encode(), "sha256")


def _digest(subject: str) -> bytes:
    return hashlib.sha256(subject.encode()).digest()
