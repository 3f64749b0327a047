"""A cache of websites and their origins."""

from __future__ import annotations

import time

from sqlalchemy import Connection, or_, select

from auth_agent.server.registry.clients import Client, find_client
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import parties
from auth_agent.server.web.urls import is_private_uri, origin_of

_ORIGINS = select(parties.client.c.redirect_uris).where(
    parties.client.c.removed_at.is_(None),
    # Leaves out self-registered clients that no agent has approved yet.
    or_(parties.client.c.origin != "open", parties.client.c.approved_at.is_not(None)),
)

MOST_REMEMBERED = 1_000
ORIGINS_SECONDS = 10


def registered_origins(connection: Connection) -> frozenset[str]:
    """Returns the origins of all websites, for CORS."""
    rows = connection.execute(_ORIGINS).scalars()
    found = (uri for uris in rows for uri in uris.split() if not is_private_uri(uri))
    return frozenset(origin_of(uri) for uri in found)


class Clients:
    """Finds clients; keeps them cached until another connection writes to the database.

    Calls that run on the event loop never write clients or agents themselves, so the cache always
    matches the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, Client | None] = {}
        self._version: int | None = None

    def find(self, client_id: str) -> Client | None:
        version = self._database.version()
        if version is not None:
            if version != self._version or len(self._known) > MOST_REMEMBERED:
                self._known, self._version = {}, version
            if client_id in self._known:
                return self._known[client_id]
        with self._database.read() as connection:
            client = find_client(connection, client_id)
        if version is not None:
            self._known[client_id] = client
        return client


class Origins:
    """The origins of the registered websites, cached for ten seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def has(self, origin: str) -> bool:
        """Returns True if a registered website has this origin."""
        read_at, origins = self._known
        if time.monotonic() - read_at > ORIGINS_SECONDS:
            with self._database.read() as connection:
                origins = registered_origins(connection)
            self._known = (time.monotonic(), origins)
        return origin in origins
