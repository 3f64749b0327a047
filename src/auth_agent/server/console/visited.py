"""The websites at which agents signed in: when last, whether now, and what the owner said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from auth_agent.server.approval.websites import list_known
from auth_agent.server.console.log import SIGN_IN, is_website
from auth_agent.server.console.queries import is_alive
from auth_agent.server.storage.tables.parties import client
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family
from auth_agent.server.web.urls import return_origin

_NEWEST = 500  # sign-ins of one agent that are looked at


class Visited(NamedTuple):
    """One agent at one website, or at the APIs that it calls by itself (`is_own_call`)."""

    agent: Any
    client_id: str
    name: str
    origins: list[str]
    last_at: int | None
    valid: int  # sign-ins whose tokens still work
    said: list[Any]  # what the owner approved, by origin
    is_own_call: bool
    has_page: bool


def list_visited(connection: Connection, agents: Iterable[Any], now: int) -> list[Visited]:
    """Returns where these agents signed in, the latest first."""
    found = [each for agent in agents for each in _of_agent(connection, agent, now)]
    return sorted(found, key=lambda each: (-(each.last_at or 0), each.name, each.agent.id))


def by_website(visited: list[Visited]) -> list[list[Visited]]:
    """Returns the same, all agents of one website together."""
    groups: dict[str, list[Visited]] = {}
    for each in visited:
        groups.setdefault(each.client_id, []).append(each)
    return list(groups.values())


def _of_agent(connection: Connection, agent: Any, now: int) -> Iterator[Visited]:
    last = _last_sign_ins(connection, agent.id)
    valid = _valid_sign_ins(connection, agent.id, now)
    known: dict[str, list[Any]] = {}
    for row in list_known(connection, agent.id):
        known.setdefault(row.client_id, []).append(row)
    ids = {*last, *valid, *known}
    clients = {
        row.id: row
        for row in connection.execute(
            select(
                client.c.id, client.c.name, client.c.redirect_uris, is_website().label("shown")
            ).where(client.c.id.in_(ids))
        )
    }
    for client_id in ids:
        rows, site = known.get(client_id, []), clients.get(client_id)
        is_own_call = client_id == agent.id
        origins = {row.origin for row in rows}
        if site is not None and not is_own_call:
            origins |= {return_origin(uri) for uri in site.redirect_uris.split()}
        times, since = valid.get(client_id, (0, None))
        moments = (last.get(client_id), since, *(row.first_at for row in rows))
        yield Visited(
            agent=agent,
            client_id=client_id,
            name=_name(client_id, site, rows) if not is_own_call else "APIs that it calls itself",
            origins=sorted(origins),
            last_at=max((at for at in moments if at is not None), default=None),
            valid=times,
            said=[row for row in rows if row.always_at or row.approved_at],
            is_own_call=is_own_call,
            has_page=bool(site is not None and site.shown),
        )


def _name(client_id: str, site: Any, known: list[Any]) -> str:
    return str(site.name if site is not None else known[0].name if known else client_id)


def _last_sign_ins(connection: Connection, agent_id: str) -> dict[str, int]:
    """Returns when the agent last signed in at each website of its newest sign-ins."""
    lines = select(audit).where(audit.c.agent_id == agent_id)
    newest = lines.order_by(audit.c.at.desc(), audit.c.id.desc()).offset(0).subquery("lines")
    signed_in = (newest.c.kind == SIGN_IN, newest.c.outcome == "approved")
    some = select(newest.c.client_id, newest.c.at).where(*signed_in).limit(_NEWEST).subquery()
    last = select(some.c.client_id, func.max(some.c.at)).group_by(some.c.client_id)
    return {key: int(at) for key, at in connection.execute(last).all() if key is not None}


def _valid_sign_ins(
    connection: Connection, agent_id: str, now: int
) -> dict[str, tuple[int, int | None]]:
    """Returns how many sign-ins are valid at each website, and when the last of them began."""
    family = token_family.c
    statement = (
        select(family.client_id, func.count(), func.max(family.created_at))
        .where(family.agent_id == agent_id, is_alive(now))
        .group_by(family.client_id)
    )
    return {key: (int(times), at) for key, times, at in connection.execute(statement).all()}
