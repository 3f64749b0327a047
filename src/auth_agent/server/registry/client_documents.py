"""Clients whose id is the address of a document about them (Client ID Metadata Documents).

Off unless AUTH_AGENT_SERVER_CLIENT_DOCUMENTS is set. A document may speak for its own origin only:
every redirect URI lies there, or on a loopback host.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from auth_agent.server.outbound.fetcher import AT_ONCE, Fetcher, FetchRefused
from auth_agent.server.registry.client_metadata import client_metadata
from auth_agent.server.registry.rules import RegistrationError, client_columns
from auth_agent.server.security.limits import Limits
from auth_agent.server.settings import ServerSettings
from auth_agent.server.storage import tables
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.urls import is_loopback_uri, origin_of, url_problem

FRESH_FOR = 3_600.0  # seconds
LONGEST = 255
MOST = 1_000


def is_document(client_id: str) -> bool:
    """True for an https URL with a path, the form that such an id has."""
    if not client_id.startswith("https://") or url_problem(client_id):
        return False
    parts = urlsplit(client_id)
    return len(parts.path) > 1 and not parts.query


class ClientDocuments:
    """Remembers which documents were read within the hour."""

    def __init__(
        self,
        settings: ServerSettings,
        database: Database,
        fetcher: Fetcher,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._database = database
        self._fetcher = fetcher
        self._limits = limits
        self._clock = clock
        self._read_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE // 2)

    def learn(self, client_id: str, party: str) -> None:
        """Reads the document of a client, unless that was done a while ago."""
        if not self._settings.client_documents or not is_document(client_id):
            return
        with self._lock:
            if time.monotonic() - self._read_at.get(client_id, float("-inf")) < FRESH_FOR:
                return
        or_wait()
        self._limits.take("unknown_requests", party)
        # Anybody may cause this, and by slow documents at that: the rest of the fetcher's places
        # is for registered clients.
        if not self._places.acquire(blocking=False):
            text = "Too many documents of clients are being read at this moment; try again"
            raise Refusal(503, "temporarily_unavailable", text)
        try:
            columns = self._read(client_id)
        finally:
            self._places.release()
        self._keep(client_id, columns)
        with self._lock:
            self._read_at[client_id] = time.monotonic()
            while len(self._read_at) > MOST:
                self._read_at.popitem(last=False)

    def _read(self, client_id: str) -> dict[str, Any]:
        if len(client_id) > LONGEST:
            raise _refused("The client_id is too long")
        try:
            answer = self._fetcher.get(client_id)
            body = json.loads(answer.body) if answer.status == 200 else None
        except (FetchRefused, ValueError, RecursionError):
            body = None
        if not isinstance(body, dict) or body.get("client_id") != client_id:
            raise _refused("The client_id is no address of a document about this client")
        if "client_secret" in body or body.get("token_endpoint_auth_method", "none") not in (
            "none",
            "private_key_jwt",
        ):
            raise _refused("The client's document may not speak of a shared secret")
        columns = client_metadata(
            {"token_endpoint_auth_method": "none", **body}, self._settings.scopes
        )
        for uri in columns["redirect_uris"]:
            is_own = url_problem(uri) is None and origin_of(uri) == origin_of(client_id)
            if not is_own and not is_loopback_uri(uri):
                raise _refused("The client's document names a redirect URI of another origin")
        return columns

    def _keep(self, client_id: str, columns: dict[str, Any]) -> None:
        try:
            row = client_columns(**columns, origin="document")
        except RegistrationError:
            raise _refused("The client's document is not acceptable") from None
        table, now = tables.client, int(self._clock())
        known = update(table).where(table.c.id == client_id, table.c.origin == "document")
        try:
            with self._database.begin() as connection:
                if connection.execute(known.values(row)).rowcount == 1:
                    return
                connection.execute(
                    insert(table),
                    {**row, "id": client_id, "created_at": now, "upstream_compat": False},
                )
                record(connection, at=now, kind="client", outcome="added", client_id=client_id)
        except IntegrityError:
            return  # another worker was quicker


def _refused(text: str) -> Refusal:
    return Refusal(400, "invalid_client_metadata", text)
