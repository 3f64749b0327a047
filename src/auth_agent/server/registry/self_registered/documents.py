"""Clients whose id is the URL of a document about them (Client ID Metadata Documents).

A document may speak for its own origin only: every redirect URI lies there, on a loopback host, or
under a private scheme. The client is stored when an agent first approves it; until then it is only
cached here, and may be a stranger's.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from auth_agent.flow.exchange import cache_seconds
from auth_agent.flow.fetching.fetcher import AT_ONCE, Fetcher
from auth_agent.flow.fetching.refusals import FetchRefused
from auth_agent.server.registry.client import Client
from auth_agent.server.registry.client_cache import Clients
from auth_agent.server.registry.rules import RegistrationError, client_columns
from auth_agent.server.registry.self_registered.document_rows import is_stored, refresh_document
from auth_agent.server.registry.self_registered.metadata import client_metadata
from auth_agent.server.security.guessing.limits import Limits
from auth_agent.server.settings import ServerSettings
from auth_agent.server.storage.database import Database
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.urls import agent_url, is_native_uri, origin_of, url_problem

# A missing key causes at most one read per so many seconds.
PATIENCE = 30.0
LONGEST = 255
LARGEST = 16_384  # bytes
MOST = 1_000


class _Read(NamedTuple):
    """A document, as read at one moment."""

    columns: dict[str, Any]
    at: float
    fresh_for: float
    """Seconds: the `max-age` of the answer, between five minutes and a day; an hour without one."""


class ClientDocuments:
    """Reads documents, and caches them as their HTTP headers say."""

    def __init__(
        self,
        settings: ServerSettings,
        database: Database,
        clients: Clients,
        *,
        fetcher: Fetcher,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._database = database
        self._fetcher = fetcher
        self._limits = limits
        self._clients = clients
        self._clock = clock
        self._known: OrderedDict[str, _Read] = OrderedDict()
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._places = threading.BoundedSemaphore(AT_ONCE // 2)

    def is_document(self, client_id: str) -> bool:
        """Returns True for a URL whose document may be a client here."""
        admitted = self._settings.client_documents
        if not admitted or not client_id.startswith(("https://", "http://")):
            return False
        if url_problem(client_id) or client_id.startswith(agent_url(self._settings.issuer, "")):
            return False  # this server's agents authenticate here with other keys, as themselves
        parts = urlsplit(client_id)
        # An http document lies on a loopback host, so this server has to be on one, too.
        if parts.scheme == "http" and not self._settings.is_loopback:
            return False
        if len(parts.path) <= 1 or parts.query or {".", ".."} & {*parts.path.split("/")}:
            return False
        if isinstance(admitted, bool) or "*" in admitted:
            return True
        return parts.netloc.lower() in admitted

    def find(self, client_id: str, party: str) -> Client | None:
        """Returns the client; None for other ids, and for a client that an administrator removed.

        Reads the document unless a fresh copy is there. Raises a Refusal, which the visitor
        sees, if the document cannot be read or is unacceptable.
        """
        if not self.is_document(client_id):
            return None
        stored = self._clients.find(client_id)
        read = self._remembered(client_id)
        if read is None:
            or_wait()
            self._limits.take("unknown_requests", party)
            read = self._read_once(client_id)
            stored = self._clients.find(client_id)
        if stored is not None:
            return stored
        with self._database.read() as connection:
            if is_stored(connection, client_id):
                return None
        return Client.of_document(client_id, read.columns)

    def read_again(self, client: Client) -> Client:
        """Reads a stored client's document again, for changed keys; returns the client."""
        if client.origin != "document" or not self.is_document(client.id):
            return client
        if self._remembered(client.id, PATIENCE) is None:
            or_wait()
            try:
                self._read_once(client.id, PATIENCE)
            except Refusal:
                return client  # an unreachable document changes nothing
        return self._clients.find(client.id) or client

    def _remembered(self, client_id: str, seconds: float | None = None) -> _Read | None:
        """Returns a copy that is at most so many seconds old, or fresh by its own headers."""
        with self._lock:
            read = self._known.get(client_id)
        if read is None:
            return None
        longest = read.fresh_for if seconds is None else seconds
        return read if time.monotonic() - read.at < longest else None

    def _read_once(self, client_id: str, seconds: float | None = None) -> _Read:
        """Reads a document, one read at a time, so that an older answer never replaces a newer one.

        Strangers can cause slow reads, so readers and waiters share few places; the fetcher's other
        places are for registered clients.
        """
        if not self._places.acquire(blocking=False):
            text = "Too many client documents are being fetched at the moment; try again"
            raise Refusal(503, "temporarily_unavailable", text, (("retry-after", "5"),))
        try:
            with self._lock:
                turn = self._turns.setdefault(client_id, threading.Lock())
            with turn:
                return self._remembered(client_id, seconds) or self._read_now(client_id)
        finally:
            with self._lock:
                self._turns.pop(client_id, None)
            self._places.release()

    def _read_now(self, client_id: str) -> _Read:
        body, fresh_for = self._fetched(client_id)
        columns = self._columns(client_id, body)
        refresh_document(self._database, client_id, columns, int(self._clock()))
        read = _Read(columns, time.monotonic(), fresh_for)
        with self._lock:
            self._known[client_id] = read
            self._known.move_to_end(client_id)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return read

    def _columns(self, client_id: str, body: dict[str, Any]) -> dict[str, Any]:
        if "client_secret" in body or body.get("token_endpoint_auth_method", "none") not in (
            "none",
            "private_key_jwt",
        ):
            raise _refused("The client's document must not contain a shared secret")
        values = client_metadata(
            {
                "token_endpoint_auth_method": "none",
                "client_name": urlsplit(client_id).netloc,
                **body,
            },
            self._settings.scopes,
        )
        if not values["scopes"]:
            raise _refused("The client's document contains no scope that this server knows")
        for uri in (*values["redirect_uris"], *values["post_logout_redirect_uris"]):
            is_own = url_problem(uri) is None and origin_of(uri) == origin_of(client_id)
            if not is_own and not is_native_uri(uri):
                raise _refused("The client's document contains a redirect URI of another origin")
        try:
            return client_columns(**values, origin="document")
        except RegistrationError:
            raise _refused("The client's document is not acceptable") from None

    def _fetched(self, client_id: str) -> tuple[dict[str, Any], float]:
        """Returns the document, and for how many seconds it is fresh (RFC 9111 5.2.2.1)."""
        if len(client_id) > LONGEST:
            raise _refused("The client_id is too long")
        fresh_for = 0
        try:
            answer = self._fetcher.get(client_id)
            kind = answer.content_type.partition(";")[0].strip().lower()
            is_json = kind == "application/json" or kind.endswith("+json")
            is_good = answer.status == 200 and is_json and len(answer.body) <= LARGEST
            body = json.loads(answer.body) if is_good else None
            fresh_for = _freshness(answer.headers)
        except (FetchRefused, ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or body.get("client_id") != client_id:
            raise _refused("The client_id is not the URL of a document about this client")
        return body, fresh_for


def _freshness(headers: Mapping[str, str]) -> int:
    """Returns the seconds of `max-age`; what is not to be stored is kept as short as can be."""
    control = headers.get("cache-control", "").lower()
    unwanted = "no-store" in control or "no-cache" in control
    return cache_seconds({"cache-control": "max-age=0"} if unwanted else headers)


def document_host(client_id: str) -> str:
    """Returns the host that a document proves; empty for other clients."""
    if not client_id.startswith(("https://", "http://")):
        return ""
    return urlsplit(client_id).netloc


def _refused(text: str) -> Refusal:
    return Refusal(400, "invalid_client_metadata", text)
