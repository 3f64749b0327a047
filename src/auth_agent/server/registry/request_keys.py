"""The keys with which agents sign their HTTP requests (RFC 9421, Web Bot Auth).

They are other keys than those with which an agent authenticates to this server: one key has one
purpose, whichever agent has it. A removed key never comes back, because a thief could
sign with it again; and its agent's document goes on answering, because websites that cannot read a
document keep the keys that they read before.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select, update

from auth_agent.protocol.jose.private_key import thumbprint
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.security.guessing.attempts import take_turns
from auth_agent.server.security.keys.public import Jwk, parse_request_key
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import parties

MOST = 10  # of one agent, at the same time
MOST_REMOVED = 100  # of one agent; older ones are forgotten
_TABLE = parties.request_key
_UNPADDED = 42  # characters of an Ed25519 key that have one spelling only


class AgentKeys(Struct, frozen=True):
    """What an agent's document says: its name, and the keys that count now."""

    agent_id: str
    name: str
    keys: tuple[Jwk, ...]


def add_request_key(database: Database, agent_id: str, public_key: str, now: int) -> str | None:
    """Registers a key (PEM or JWK) and returns its id; None if there is no such agent.

    Raises RegistrationError if it is no Ed25519 public key, or is or was used for anything else.
    """
    key = checked_request_key(public_key)
    with database.begin() as connection:
        agent = select(parties.agent.c.id).where(parties.agent.c.id == agent_id)
        if connection.execute(agent.with_for_update()).one_or_none() is None:
            return None
        store_request_key(connection, agent_id, key, now)
    return str(key["kid"])


def remove_request_key(database: Database, agent_id: str, kid: str, now: int) -> bool:
    """Removes a key for good; False if the agent has no such key.

    Websites stop accepting it when they read the agent's document again, within five minutes.
    """
    statement = update(_TABLE).where(
        _TABLE.c.kid == kid, _TABLE.c.agent_id == agent_id, _TABLE.c.removed_at.is_(None)
    )
    with database.begin() as connection:
        if connection.execute(statement.values(removed_at=now)).rowcount != 1:
            return False
        _record(connection, now, "signing key removed", agent_id, kid)
    return True


def list_request_keys(connection: Connection, agent_id: str) -> list[dict[str, Any]]:
    """Returns the keys that an agent may sign with, oldest first."""
    statement = select(_TABLE).where(_TABLE.c.agent_id == agent_id, _TABLE.c.removed_at.is_(None))
    rows = connection.execute(statement.order_by(_TABLE.c.created_at, _TABLE.c.kid)).all()
    return [{"kid": row.kid, "x": row.x, "created_at": row.created_at} for row in rows]


def read_agent_keys(connection: Connection, agent_id: str) -> AgentKeys | None:
    """Returns what to publish about an agent; None if it never had a key, or does not exist.

    A disabled agent has no keys that count.
    """
    rows = connection.execute(_DOCUMENT.where(_TABLE.c.agent_id == agent_id)).all()
    if not rows:
        return None
    keys = tuple(
        _published(row) for row in rows if row.removed_at is None and row.disabled_at is None
    )
    return AgentKeys(agent_id, rows[0].display_name or agent_id, keys)


def count_request_keys(connection: Connection) -> dict[str, int]:
    """Returns the number of keys of each agent that has one."""
    statement = select(_TABLE.c.agent_id, func.count()).where(_TABLE.c.removed_at.is_(None))
    return {row[0]: row[1] for row in connection.execute(statement.group_by(_TABLE.c.agent_id))}


def checked_request_key(text: str) -> Jwk:
    """Returns the key as it is published; raises RegistrationError."""
    try:
        return parse_request_key(text)
    except ValueError as error:
        raise RegistrationError(str(error)) from None


def store_request_key(connection: Connection, agent_id: str, key: Jwk, now: int) -> None:
    """Stores a key in the caller's transaction; raises RegistrationError."""
    take_turns(connection, "signing keys")
    _check_unused(connection, key)
    mine = _TABLE.c.agent_id == agent_id
    removed = _TABLE.c.removed_at
    active = select(func.count()).select_from(_TABLE).where(mine, removed.is_(None))
    if connection.execute(active).scalar_one() >= MOST:
        raise RegistrationError(f"the agent has {MOST} signing keys already; remove one first")
    old = select(_TABLE.c.kid).where(mine, removed.is_not(None))
    old = old.order_by(removed.desc(), _TABLE.c.kid).offset(MOST_REMOVED - 1)
    kids = connection.execute(old).scalars().all()
    if kids:
        connection.execute(delete(_TABLE).where(_TABLE.c.kid.in_(kids)))
    row = {"kid": key["kid"], "agent_id": agent_id, "x": key["x"], "created_at": now}
    connection.execute(insert(_TABLE), row)
    _record(connection, now, "signing key added", agent_id, key["kid"])


def check_no_request_key(connection: Connection, jwks: str) -> None:
    """Raises RegistrationError if a key to authenticate with is, or was, a signing key."""
    kids = [thumbprint(key) for key in json.loads(jwks)["keys"]]
    if connection.execute(select(_TABLE.c.kid).where(_TABLE.c.kid.in_(kids))).first():
        raise RegistrationError(
            "an agent signs its requests with this public key; make another key to authenticate "
            "with"
        )


def _check_unused(connection: Connection, key: Jwk) -> None:
    found = connection.execute(select(_TABLE).where(_TABLE.c.kid == key["kid"])).one_or_none()
    if found is not None and found.removed_at is not None:
        raise RegistrationError(
            "this signing key was removed and cannot be added again; make a new one"
        )
    if found is not None:
        raise RegistrationError("this signing key is registered already; each agent needs its own")
    held = parties.agent.c.jwks.contains(key["x"][:_UNPADDED], autoescape=True)
    for jwks in connection.execute(select(parties.agent.c.jwks).where(held)).scalars():
        if any(_is_same(other, key) for other in json.loads(jwks)["keys"]):
            raise RegistrationError(
                "an agent authenticates with this key; make another one to sign requests with"
            )


def _is_same(other: Jwk, key: Jwk) -> bool:
    """Compares two keys, of which the other may be spelled in an unusual way."""
    return other.get("crv") == "Ed25519" and str(other.get("x"))[:_UNPADDED] == key["x"][:_UNPADDED]


def _published(row: Any) -> Jwk:
    return {"kty": "OKP", "crv": "Ed25519", "x": row.x, "kid": row.kid, "use": "sig"}


def _record(connection: Connection, now: int, outcome: str, agent_id: str, kid: str) -> None:
    record(connection, at=now, kind="agent", outcome=outcome, agent_id=agent_id, request_id=kid)


_DOCUMENT = (
    select(_TABLE, parties.agent.c.display_name, parties.agent.c.disabled_at)
    .join(parties.agent, parties.agent.c.id == _TABLE.c.agent_id)
    .order_by(_TABLE.c.created_at, _TABLE.c.kid)
)
