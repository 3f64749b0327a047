"""Bearer tokens with which programs act as administrators; only a digest is stored."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select, update

from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.people import admin_token

LIFETIME = 90 * DAY
_SHOWN = 100


_GOOD = select(admin_token.c.id, admin_token.c.name).where(
    admin_token.c.token_hash == bindparam("token_hash"),
    admin_token.c.revoked_at.is_(None),
    admin_token.c.expires_at > bindparam("now"),
)


class Administrator(Struct, frozen=True):
    """An administrator, authenticated by a valid token of a program."""

    id: str
    name: str


def find_admin(database: Database, token: str, now: int) -> Administrator | None:
    """Returns the token's administrator; None if the token is wrong, expired or revoked."""
    with database.read() as connection:
        row = connection.execute(_GOOD, {"token_hash": digest(token), "now": now}).one_or_none()
    return None if row is None else Administrator(row.id, row.name)


def add_admin(database: Database, name: str, now: int, lifetime: int = LIFETIME) -> Secret:
    """Creates an administrator's token, which is shown once; `lifetime` in seconds."""
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
    """Revokes an administrator's token; False if there is no valid one."""
    statement = update(admin_token).where(
        admin_token.c.id == admin_id, admin_token.c.revoked_at.is_(None)
    )
    with database.begin() as connection:
        if connection.execute(statement.values(revoked_at=now)).rowcount != 1:
            return False
        record(connection, at=now, kind="administrator", outcome="revoked", agent_id=admin_id)
    return True


def list_admin_tokens(connection: Connection, now: int) -> list[dict[str, Any]]:
    """Returns the valid tokens, the next to expire first; a digest cannot be turned back."""
    columns = (admin_token.c.id, admin_token.c.name, admin_token.c.created_at)
    statement = select(*columns, admin_token.c.expires_at).where(
        admin_token.c.revoked_at.is_(None), admin_token.c.expires_at > now
    )
    rows = connection.execute(statement.order_by(admin_token.c.expires_at).limit(_SHOWN))
    return [dict(row) for row in rows.mappings()]
