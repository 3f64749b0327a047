"""Token families: all tokens from one redeemed code expire and are revoked together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from auth_agent.server.registry.claims import AGENT_COLUMNS, AgentRecord, is_enabled
from auth_agent.server.storage.statements import Read, Write
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.tokens import spent_refresh_token, token_family

_FAMILY = (
    select(token_family, *AGENT_COLUMNS)
    .join(agent, agent.c.id == token_family.c.agent_id)
    # Removing a website ends its tokens, too.
    .join(client, client.c.id == token_family.c.client_id)
    .where(client.c.removed_at.is_(None))
)
_BY_ID = Read(_FAMILY.where(token_family.c.id == bindparam("id")))
_BY_REFRESH = Read(_FAMILY.where(token_family.c.refresh_hash == bindparam("hash")))
_BY_SPENT = Read(
    _FAMILY.join(spent_refresh_token, spent_refresh_token.c.family_id == token_family.c.id).where(
        spent_refresh_token.c.hash == bindparam("hash")
    )
)
_HOLD = select(is_enabled(bindparam("id")))
_START = Write(
    insert(token_family),
    [column.name for column in token_family.c if column is not token_family.c.revoked_at],
)
_SPEND = Write(insert(spent_refresh_token), ["hash", "family_id"])
_ROTATE = Write(
    update(token_family)
    .where(
        token_family.c.refresh_hash == bindparam("old_hash"),
        token_family.c.revoked_at.is_(None),
        token_family.c.refresh_expires_at > bindparam("now"),
        token_family.c.expires_at > bindparam("now"),
        is_enabled(token_family.c.agent_id),
    )
    .values(
        refresh_hash=bindparam("new_hash"),
        refresh_issued_at=bindparam("now"),
        refresh_expires_at=bindparam("refresh_until"),
        dpop_jkt=bindparam("jkt"),
        access_expires_at=bindparam("access_until"),
    )
)
_REVOKE = (
    update(token_family)
    .where(token_family.c.id == bindparam("family"), token_family.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_REVOKE_ALL = (
    update(token_family)
    .where(
        or_(
            token_family.c.agent_id == bindparam("holder"),
            token_family.c.client_id == bindparam("holder"),
        ),
        token_family.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
)


class Family:
    """One family as read from the database, with its agent."""

    def __init__(self, row: Any) -> None:
        self.id: str = row.id
        self.client_id: str = row.client_id
        self.scope: str = row.scope
        self.audience: tuple[str, ...] = tuple(row.audience.split())
        self.model: str = row.model
        self.amr: tuple[str, ...] = tuple(row.amr.split())
        self.auth_time: int = row.auth_time
        self.refresh_issued_at: int = row.refresh_issued_at
        self.refresh_expires_at: int = row.refresh_expires_at
        self.expires_at: int = row.expires_at
        self.revoked_at: int | None = row.revoked_at
        self.granted_details: str | None = row.granted_details
        self.dpop_jkt: str | None = row.dpop_jkt
        self.acr: str | None = row.acr
        self.agent = AgentRecord.from_row(row)

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, client: Any) -> bool:
        return bool(self.client_id == client.id)

    @property
    def is_alive(self) -> bool:
        """Returns True if neither the family is revoked nor its agent disabled; ignores time."""
        return self.revoked_at is None and self.agent.enabled

    def refreshable_until(self) -> int:
        return min(self.refresh_expires_at, self.expires_at)


def find_family(connection: Connection, family_id: str) -> Family | None:
    row = _BY_ID.one(connection, {"id": family_id})
    return None if row is None else Family(row)


def find_by_refresh_token(connection: Connection, token_hash: str) -> Family | None:
    """Returns the family whose current refresh token this is."""
    row = _BY_REFRESH.one(connection, {"hash": token_hash})
    return None if row is None else Family(row)


def find_by_spent_token(connection: Connection, token_hash: str) -> Family | None:
    """Returns the family that used this refresh token before."""
    row = _BY_SPENT.one(connection, {"hash": token_hash})
    return None if row is None else Family(row)


def hold_agent(connection: Connection, agent_id: str) -> bool:
    """Keeps the agent enabled until the transaction ends; False if it is disabled."""
    return bool(connection.execute(_HOLD, {"id": agent_id}).scalar())


def start_family(connection: Connection, row: dict[str, Any]) -> None:
    _START.run(connection, row)


def rotate(connection: Connection, family_id: str, old_hash: str, now: int, **values: Any) -> bool:
    """Replaces the refresh token once; False if it was replaced, revoked or has expired."""
    values |= {"old_hash": old_hash, "now": now}
    if _ROTATE.run(connection, values) != 1:
        return False
    _SPEND.run(connection, {"hash": old_hash, "family_id": family_id})
    return True


def revoke(connection: Connection, family_id: str, now: int) -> bool:
    """Revokes a family; returns False if there was nothing left to revoke."""
    return connection.execute(_REVOKE, {"family": family_id, "now": now}).rowcount == 1


def revoke_all(connection: Connection, holder: str, now: int) -> int:
    """Revokes every family of an agent or of a client; returns how many there were."""
    return int(connection.execute(_REVOKE_ALL, {"holder": holder, "now": now}).rowcount)
