"""The public keys of a client: registered with it, or fetched from its `jwks_uri`."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from auth_agent.flow.fetching.fetcher import DEADLINE, Fetcher
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace
from auth_agent.server.registry.clients import Client
from auth_agent.server.security.keys.public import Jwk, name_of, usable_keys
from auth_agent.server.web.at_once import or_wait

FRESH_FOR = 300.0  # seconds
# An unknown key id causes one fetch at most in so many seconds, whatever is sent.
PATIENCE = 30.0
MOST = 1_000
STRANGERS = 2  # fetches at once of keys whose client is not registered


class ClientKeys:
    """Remembers fetched key sets for some minutes."""

    def __init__(self, fetcher: Fetcher, timer: Callable[[], float] = time.monotonic) -> None:
        self._fetcher = fetcher
        self._timer = timer
        self._known: OrderedDict[str, tuple[float, list[Jwk]]] = OrderedDict()
        self._running: dict[str, Future[list[Jwk]]] = {}
        self._strangers = threading.BoundedSemaphore(STRANGERS)
        self._lock = threading.Lock()

    def of(self, client: Client, kid: object) -> list[Jwk]:
        """Returns the keys among which the one with this id should be."""
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
        is_stranger = client.id.startswith("https://")  # the address of a document
        return self._fetch_once(client.jwks_uri, read_at, keys, is_stranger=is_stranger)

    def _fetch_once(
        self, uri: str, read_at: float, old: list[Jwk], *, is_stranger: bool
    ) -> list[Jwk]:
        """Fetches a key set, or waits for the fetch of it that is under way."""
        or_wait()
        with self._lock:
            latest, keys = self._known.get(uri, (read_at, old))
            if latest != read_at:
                return keys
            running = self._running.get(uri)
            mine = running is None
            if running is None:
                running = self._running[uri] = Future()
        if not mine:
            return running.result(DEADLINE + 1)
        keys = old
        try:
            keys = self._fetch(uri, old, is_stranger=is_stranger)
        finally:
            with self._lock:
                del self._running[uri]
            running.set_result(keys)
        return keys

    def _fetch(self, uri: str, old: list[Jwk], *, is_stranger: bool) -> list[Jwk]:
        # Anyone can describe a client in a document, and with it a slow address of keys.
        if is_stranger and not self._strangers.acquire(blocking=False):
            return old
        try:
            answer = self._fetcher.get(uri)
            keys = usable_keys(json.loads(answer.body)) if answer.status == 200 else old
        except NoPlace:
            return old  # nothing was learned about this address
        except (FetchRefused, ValueError, RecursionError):
            keys = old  # a failed fetch is not repeated at once, either
        finally:
            if is_stranger:
                self._strangers.release()
        with self._lock:
            self._known[uri] = (self._timer(), keys)
            self._known.move_to_end(uri)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return keys
