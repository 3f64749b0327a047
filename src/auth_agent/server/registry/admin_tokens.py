"""Administrators: who they are to a program, a bearer token of which only a digest is kept."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import bindparam, insert, select, update

from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import admin_token

LIFETIME = 90 * DAY


_GOOD = select(admin_token.c.id, admin_token.c.name).where(
    admin_token.c.token_hash == bindparam("token_hash"),
    admin_token.c.revoked_at.is_(None),
    admin_token.c.expires_at > bindparam("now"),
)


class Administrator(Struct, frozen=True):
    """An administrator, as a program that showed a good token."""

    id: str
    name: str


def find_admin(database: Database, token: str, now: int) -> Administrator | None:
    """Returns the administrator whose token this is; None if it is wrong, expired or revoked."""
    with database.read() as connection:
        row = connection.execute(_GOOD, {"token_hash": digest(token), "now": now}).one_or_none()
    return None if row is None else Administrator(row.id, row.name)


def add_admin(database: Database, name: str, now: int, lifetime: int = LIFETIME) -> Secret:
    """Makes an administrator's token, which is shown once; `lifetime` in seconds."""
    token, admin_id = Secret(new_token("adm_")), new_token("admin_", 12)
    row = {
        "id": admin_id,
        "name": name,
        "token_hash": digest(token.reveal()),
        "created_at": now,
        "expires_at": now + lifetime,
    }
    with database.begin() as connection:
        connection.execute(insert(admin_token), row)
        record(connection, at=now, kind="administrator", outcome="added", agent_id=admin_id)
    return token


def revoke_admin(database: Database, admin_id: str, now: int) -> bool:
    """Voids an administrator's token; False if there is none that is good."""
    statement = update(admin_token).where(
        admin_token.c.id == admin_id, admin_token.c.revoked_at.is_(None)
    )
    with database.begin() as connection:
        if connection.execute(statement.values(revoked_at=now)).rowcount != 1:
            return False
        record(connection, at=now, kind="administrator", outcome="revoked", agent_id=admin_id)
    return True
