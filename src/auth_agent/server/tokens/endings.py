"""Events that end tokens: disabling an agent, removing a website, ending a sign-in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, case, insert, literal, select, update

from auth_agent.server.approval.state import withdraw_of_agent
from auth_agent.server.approval.websites import api_of
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import parties
from auth_agent.server.storage.tables.parties import client
from auth_agent.server.storage.tables.tokens import logout_delivery, token_family
from auth_agent.server.tokens import families


def end_grant(database: Database, family_id: str, now: int, *, of: str | None = None) -> bool:
    """Ends one sign-in (of this agent) and notifies the website; False if it was over."""
    statement = select(token_family.c.agent_id, token_family.c.client_id).where(
        token_family.c.id == family_id
    )
    if of is not None:
        statement = statement.where(token_family.c.agent_id == of)
    with database.begin() as connection:
        row = connection.execute(statement).one_or_none()
        if row is None or not end_family(connection, family_id, now):
            return False
        record(
            connection,
            at=now,
            kind="revocation",
            outcome="ended",
            agent_id=row.agent_id,
            client_id=row.client_id,
        )
    return True


def end_at_website(
    database: Database, agent_id: str, client_id: str, now: int, *, api: str | None = None
) -> int:
    """Ends an agent's sign-ins at one website and notifies it; returns how many there were.

    With `api`, named as `api_of` does, only those whose tokens open it.
    """
    statement = select(token_family.c.id, token_family.c.audience).where(
        token_family.c.agent_id == agent_id,
        token_family.c.client_id == client_id,
        token_family.c.revoked_at.is_(None),
    )
    with database.begin() as connection:
        found = [
            row.id
            for row in connection.execute(statement.order_by(token_family.c.id)).all()
            if api is None or api in map(api_of, row.audience.split())
        ]
        ended = sum(end_family(connection, family_id, now) for family_id in found)
        if ended:
            record(
                connection,
                at=now,
                kind="revocation",
                outcome="ended",
                agent_id=agent_id,
                client_id=client_id,
            )
    return ended


def end_all_grants(database: Database, agent_id: str, now: int) -> int:
    """Ends every sign-in of an agent and notifies the websites; returns how many there were."""
    with database.begin() as connection:
        ended = end_agent_sessions(connection, agent_id, now)
        if ended:
            record(connection, at=now, kind="revocation", outcome="all ended", agent_id=agent_id)
    return ended


_COLUMNS = ["client_id", "uri", "agent_id", "family_id", "created_at", "attempts", "next_at"]


_TOLD = (
    select(token_family.c.client_id, client.c.backchannel_logout_uri, token_family.c.agent_id)
    .join(client, client.c.id == token_family.c.client_id)
    .where(client.c.backchannel_logout_uri.is_not(None))
)


_IS_LIVE = (token_family.c.agent_id == bindparam("agent"), token_family.c.revoked_at.is_(None))


# Held before they are read: what ends them at the same moment tells no website again.
_HOLD_LIVE = (
    select(token_family.c.id).where(*_IS_LIVE).order_by(token_family.c.id).with_for_update()
)


_WHEN: tuple[Any, ...] = (bindparam("now"), literal(0), bindparam("now"))


# One message per website covers all the agent's sessions there, unless each has to be named.
_QUEUE_AGENT = insert(logout_delivery).from_select(
    _COLUMNS,
    _TOLD.add_columns(
        case((client.c.backchannel_logout_session_required, token_family.c.id), else_=""), *_WHEN
    )
    .where(*_IS_LIVE)
    .distinct(),
)


_QUEUE_FAMILY = insert(logout_delivery).from_select(
    _COLUMNS,
    _TOLD.add_columns(token_family.c.id, *_WHEN).where(token_family.c.id == bindparam("family")),
)


def end_agent_sessions(connection: Connection, agent_id: str, now: int) -> int:
    """Revokes all tokens of an agent and notifies the websites; returns how many families ended."""
    connection.execute(_HOLD_LIVE, {"agent": agent_id}).all()
    connection.execute(_QUEUE_AGENT, {"agent": agent_id, "now": now})
    return families.revoke_all(connection, agent_id, now)


def end_family(connection: Connection, family_id: str, now: int) -> bool:
    """Revokes one family and notifies its website; False if there was nothing left to revoke."""
    if not families.revoke(connection, family_id, now):
        return False
    connection.execute(_QUEUE_FAMILY, {"family": family_id, "now": now})
    return True


def remove_client(database: Database, client_id: str, now: int) -> bool:
    """Removes a website and ends its tokens; its id is never used again. False if there is none."""
    table = parties.client
    statement = update(table).where(
        table.c.id == client_id, table.c.removed_at.is_(None), table.c.agent_id.is_(None)
    )
    with database.begin() as connection:
        if connection.execute(statement.values(removed_at=now)).rowcount != 1:
            return False
        families.revoke_all(connection, client_id, now)
        record(connection, at=now, kind="client", outcome="removed", client_id=client_id)
    return True


def disable_agent(database: Database, agent_id: str, now: int) -> bool:
    """Disables an agent and revokes its tokens; False if there is none, or it was disabled."""
    table = parties.agent
    statement = update(table).where(table.c.id == agent_id, table.c.disabled_at.is_(None))
    with database.begin() as connection:
        values = {"disabled_at": now, "updated_at": now}
        if connection.execute(statement.values(values)).rowcount != 1:
            return False
        end_agent_sessions(connection, agent_id, now)
        withdraw_of_agent(connection, agent_id, now)
        record(connection, at=now, kind="agent", outcome="disabled", agent_id=agent_id)
    return True
