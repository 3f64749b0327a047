"""Known APIs: the resources (RFC 8707) that a native client may ask tokens for.

An API is known if an administrator added it, or registered it for a website. A client that
registered itself makes no API known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from auth_agent.server.registry.rules import RegistrationError, check_resource
from auth_agent.server.security.guessing.attempts import take_turns
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import parties
from auth_agent.server.web.urls import same_address

MOST = 1_000


class KnownResource(Struct, frozen=True):
    """One API: its URL as it was registered, its name, and scopes of its own."""

    url: str
    name: str
    scopes: tuple[str, ...]


def add_resource(
    database: Database, url: str, *, now: int, name: str = "", scopes: Sequence[str] = ()
) -> KnownResource:
    """Makes an API known; RegistrationError if the URL is not acceptable or is known already."""
    columns = check_resource(url, name, scopes)
    table = parties.known_resource
    try:
        with database.begin() as connection:
            take_turns(connection, "known APIs")
            known = connection.execute(select(table.c.url)).scalars().all()
            if any(same_address(url, one) for one in known):
                raise RegistrationError(f"the API {url!r} is registered already")
            if len(known) >= MOST:
                raise RegistrationError(f"there are {MOST} APIs already; remove one first")
            connection.execute(insert(table), {**columns, "created_at": now})
            record(connection, at=now, kind="resource", outcome="added", request_id=_short(url))
    except IntegrityError:
        raise RegistrationError(f"the API {url!r} is registered already") from None
    return KnownResource(columns["url"], columns["name"], tuple(columns["scopes"].split()))


def list_resources(database: Database) -> list[dict[str, Any]]:
    """Returns the APIs that an administrator added, oldest first."""
    table = parties.known_resource
    with database.read() as connection:
        rows = connection.execute(select(table).order_by(table.c.created_at, table.c.url)).all()
    return [
        {
            "url": row.url,
            "name": row.name,
            "scopes": row.scopes.split(),
            "created_at": row.created_at,
        }
        for row in rows
    ]


def remove_resource(database: Database, url: str, now: int) -> bool:
    """Removes an API; False if it is unknown. Tokens that were issued for it stay valid."""
    table = parties.known_resource
    with database.begin() as connection:
        known = connection.execute(select(table.c.url)).scalars().all()
        found = [one for one in known if same_address(url, one)]
        if not found:
            return False
        connection.execute(delete(table).where(table.c.url.in_(found)))
        record(connection, at=now, kind="resource", outcome="removed", request_id=_short(url))
    return True


def find_resources(connection: Connection, urls: Collection[str]) -> dict[str, KnownResource]:
    """Returns the known APIs among these URLs, under the URL that was given; compares as URLs."""
    table, found = parties.known_resource, dict[str, KnownResource]()
    if not urls:
        return found
    known = [
        KnownResource(row.url, row.name, tuple(row.scopes.split()))
        for row in connection.execute(select(table)).all()
    ]
    of_websites = connection.execute(_OF_WEBSITES).all()
    known += [
        KnownResource(url, row.name, ()) for row in of_websites for url in row.resources.split()
    ]
    for url in urls:
        fitting = (one for one in known if same_address(url, one.url))
        if (first := next(fitting, None)) is not None:
            found[url] = first
    return found


def resource_scopes(connection: Connection) -> frozenset[str]:
    """Returns the known APIs' own scopes."""
    rows = connection.execute(select(parties.known_resource.c.scopes)).scalars()
    return frozenset(word for scopes in rows for word in scopes.split())


_OF_WEBSITES = select(parties.client.c.name, parties.client.c.resources).where(
    parties.client.c.removed_at.is_(None),
    parties.client.c.resources != "",
)


def _short(url: str) -> str:
    """Shortens a URL to the 64 characters of the audit's column."""
    return url[:64]
