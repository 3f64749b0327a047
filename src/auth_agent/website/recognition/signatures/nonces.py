"""Nonces of signatures that have changed something: each counts once.

Remembered where sessions are: in this process, or in Redis for all machines of the website.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable

from auth_agent.errors import ServerUnavailable, SignatureRefused
from auth_agent.flow.effects import Flow
from auth_agent.flow.kept import Guard
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.protocol.signatures.bounds import CHANGE_SECONDS
from auth_agent.website.recognition.signatures.names import Named
from auth_agent.website.recognition.store import Store

# From a signature of the future, within the skew, to the moment at which it is too old.
KEPT_SECONDS = CHANGE_SECONDS + 2 * CLOCK_SKEW
MOST = 131_072
MOST_OF_ONE = 32_768
# Of all agents that one host names together: it can make as many names as it likes.
MOST_OF_HOST = 65_536


class Nonces:
    """Used nonces; if the memory is full, further changes are refused, and none is forgotten."""

    def __init__(self, store: Store | None, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._used: OrderedDict[bytes, tuple[float, str, str]] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self._of_host: Counter[str] = Counter()
        self._lock = Guard()

    def spend(self, named: Named, nonce: str) -> Flow[None]:
        """Raises `SignatureRefused` if the agent has used the nonce, `ServerUnavailable` if that
        cannot be known. Call it once the signature has verified: forgeries use up none."""
        owner = f"{named.issuer} {named.id}"
        if self._store is not None:
            is_new = yield from self._store.spend(f"nonce {owner} {nonce}", KEPT_SECONDS)
        else:
            digest = hashlib.sha256(f"{owner} {nonce}".encode()).digest()
            is_new = self._spend_here(owner, named.agent.origin, digest)
        if not is_new:
            raise SignatureRefused(
                "The nonce of this signature has been used: sign each request separately.",
                code="nonce_used",
            )

    def _spend_here(self, owner: str, host: str, digest: bytes) -> bool:
        now = self._clock()
        with self._lock:
            self._forget(now)
            if digest in self._used:
                return False
            if self._is_full(owner, host):
                raise ServerUnavailable(
                    "Too many signed changes in the last minutes; try again in a few seconds.",
                    code="nonces_full",
                )
            self._used[digest] = (now + KEPT_SECONDS, owner, host)
            self._counts[owner] += 1
            self._of_host[host] += 1
            return True

    def _is_full(self, owner: str, host: str) -> bool:
        return (
            len(self._used) >= MOST
            or self._counts[owner] >= MOST_OF_ONE
            or self._of_host[host] >= MOST_OF_HOST
        )

    def _forget(self, now: float) -> None:
        """Drops what has expired; the oldest come first, because all are kept equally long."""
        while self._used:
            until, owner, host = next(iter(self._used.values()))
            if until > now:
                return
            self._used.popitem(last=False)
            for counts, name in ((self._counts, owner), (self._of_host, host)):
                counts[name] -= 1
                if not counts[name]:
                    del counts[name]
