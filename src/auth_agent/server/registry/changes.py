"""What administrators and owners change: each change and its audit line together."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Update, select, update

from auth_agent.server.registry.registrations import RegistrationError, check_website
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import agent, client
from auth_agent.server.web.urls import url_problem


def enable_agent(database: Database, agent_id: str, now: int) -> bool:
    """Lets a disabled agent sign in again; False if there is none. Its old tokens stay dead."""
    statement = update(agent).where(agent.c.id == agent_id, agent.c.disabled_at.is_not(None))
    return _change_agent(database, statement.values(disabled_at=None), agent_id, "enabled", now)


def vouch_for_owner(database: Database, agent_id: str, now: int) -> bool:
    """Counts the owner's address as verified; False if it did already."""
    statement = update(agent).where(agent.c.id == agent_id, agent.c.email_verified.is_(False))
    statement = statement.values(email_verified=True)
    return _change_agent(database, statement, agent_id, "address vouched for", now)


def set_second_factor(database: Database, agent_id: str, now: int, *, needed: bool) -> bool:
    """Needs a mailed code at each sign-in, or none; False if it is so, or nobody gets the mail."""
    statement = update(agent).where(agent.c.id == agent_id, agent.c.second_factor.is_(not needed))
    if needed:
        statement = statement.where(agent.c.email_verified.is_(True))
    outcome = "second factor on" if needed else "second factor off"
    statement = statement.values(second_factor=needed)
    return _change_agent(database, statement, agent_id, outcome, now)


def prove_address(connection: Connection, email: str, now: int) -> int:
    """Marks the owner's address in all its agents as proved; says how many there were."""
    unproved = select(agent.c.id).where(agent.c.email == email, agent.c.email_verified.is_(False))
    found = list(connection.execute(unproved).scalars())
    for agent_id in found:
        values = {"email_verified": True, "updated_at": now}
        connection.execute(update(agent).where(agent.c.id == agent_id).values(values))
        record(connection, at=now, kind="agent", outcome="address proved", agent_id=agent_id)
    return len(found)


def edit_website(
    database: Database,
    client_id: str,
    now: int,
    *,
    name: str,
    redirect_uris: Sequence[str],
    scopes: Sequence[str],
    resources: Sequence[str],
    logout_uri: str = "",
) -> bool:
    """New facts about a website; RegistrationError as in adding one, False if there is none."""
    if logout_uri and (problem := url_problem(logout_uri)):
        raise RegistrationError(f"the back-channel logout URI {logout_uri!r} {problem}")
    values: dict[str, str | None] = {**check_website(name, redirect_uris, scopes, resources)}
    values["backchannel_logout_uri"] = logout_uri or None
    statement = update(client).where(
        client.c.id == client_id, client.c.removed_at.is_(None), client.c.agent_id.is_(None)
    )
    with database.begin() as connection:
        if connection.execute(statement.values(values)).rowcount != 1:
            return False
        record(connection, at=now, kind="client", outcome="edited", client_id=client_id)
    return True


def _change_agent(
    database: Database, statement: Update, agent_id: str, outcome: str, now: int
) -> bool:
    with database.begin() as connection:
        if connection.execute(statement.values(updated_at=now)).rowcount != 1:
            return False
        record(connection, at=now, kind="agent", outcome=outcome, agent_id=agent_id)
    return True
