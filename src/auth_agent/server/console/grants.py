"""Sign-ins that are valid now: whose tokens still work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from auth_agent.server.console.log import of_agent, of_website
from auth_agent.server.console.queries import batches, is_alive, limited
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.tokens import token_family


def list_grants(
    connection: Connection, now: int, filters: Mapping[str, str], page: int
) -> list[Any]:
    """Returns valid sign-ins, newest first: families whose tokens are valid.

    The filters `agent` and `website` take an id, or words of an address or name.
    """
    return _with_names(connection, limited(_grants(connection, now, filters), page))


def grant_batches(database: Database, now: int, filters: Mapping[str, str]) -> Iterator[list[Any]]:
    """Yields the valid sign-ins that `list_grants` finds for an export."""
    with database.read() as connection:
        statement = _grants(connection, now, filters)
    return batches(database, statement, token_family, _with_names)


def _grants(connection: Connection, now: int, filters: Mapping[str, str]) -> Select[Any]:
    statement = select(token_family).where(is_alive(now))
    for name, value in filters.items():
        if name in _GRANT_FILTERS:
            statement = statement.where(_GRANT_FILTERS[name](connection, value))
    return statement.order_by(token_family.c.created_at.desc(), token_family.c.id)


def _with_names(connection: Connection, some: Select[Any]) -> list[Any]:
    """Reads sign-ins with the names of their agents and websites."""
    found = some.subquery()
    named = (
        select(
            found,
            agent.c.email,
            agent.c.display_name,
            client.c.name.label("website"),
            client.c.redirect_uris,
        )
        .join(agent, agent.c.id == found.c.agent_id)
        .join(client, client.c.id == found.c.client_id)
        .order_by(found.c.created_at.desc(), found.c.id)
    )
    return list(connection.execute(named).all())


_GRANT_FILTERS: Mapping[str, Callable[[Connection, str], ColumnElement[bool]]] = {
    "agent": lambda connection, words: of_agent(connection, token_family.c.agent_id, words),
    "website": lambda connection, words: of_website(connection, token_family.c.client_id, words),
    "model": lambda _, model: token_family.c.model == model,
    "owner": lambda _, email: token_family.c.agent_id.in_(
        select(agent.c.id).where(agent.c.email == email, agent.c.email_verified.is_(True))
    ),
}
