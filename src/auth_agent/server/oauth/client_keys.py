"""The public keys of a client: registered with it, or fetched from its `jwks_uri`."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from auth_agent.server.outbound.fetcher import Fetcher, FetchRefused
from auth_agent.server.registry.clients import Client
from auth_agent.server.security.public_keys import Jwk, name_of, usable_keys

FRESH_FOR = 300.0  # seconds
# An unknown key id causes one fetch at most in so many seconds, whatever is sent.
PATIENCE = 30.0
MOST = 1_000


class ClientKeys:
    """Remembers fetched key sets for some minutes."""

    def __init__(self, fetcher: Fetcher, timer: Callable[[], float] = time.monotonic) -> None:
        self._fetcher = fetcher
        self._timer = timer
        self._known: OrderedDict[str, tuple[float, list[Jwk]]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, client: Client, kid: object) -> list[Jwk]:
        """The keys among which the one with this id should be."""
        if client.jwks:
            return usable_keys(json.loads(client.jwks))
        if not client.jwks_uri:
            return []
        with self._lock:
            read_at, keys = self._known.get(client.jwks_uri, (float("-inf"), []))
        age = self._timer() - read_at
        missing = all(name_of(key) != kid for key in keys)
        if age < PATIENCE or (age < FRESH_FOR and not missing):
            return keys
        return self._fetch(client.jwks_uri, keys)

    def _fetch(self, uri: str, old: list[Jwk]) -> list[Jwk]:
        try:
            answer = self._fetcher.get(uri)
            keys = usable_keys(json.loads(answer.body)) if answer.status == 200 else old
        except (FetchRefused, ValueError, RecursionError):
            keys = old  # a failed fetch is not repeated at once, either
        with self._lock:
            self._known[uri] = (self._timer(), keys)
            self._known.move_to_end(uri)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return keys
