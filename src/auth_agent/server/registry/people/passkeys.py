"""Passkeys of owners and administrators, and the recovery of lost ones."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.protocol.jose.base64url import encode
from auth_agent.server.bounds import DAY
from auth_agent.server.registry.people.browser_sessions import OWNER, end_sessions
from auth_agent.server.registry.people.notices import PASSKEYS_REMOVED, leave_notice
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.security.guessing.attempts import take_turns
from auth_agent.server.security.passkeys import Registered
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.approvals import passkey, passkey_recovery
from auth_agent.server.storage.tables.parties import agent

MOST = 20  # passkeys of one person
LONGEST_NAME = 80
RECOVERY_WAIT = DAY
RECOVERY_OPEN = 7 * DAY  # after the wait
KIND = "passkey"  # in the audit

_P, _R = passkey.c, passkey_recovery.c
_OF = (_P.kind == bindparam("of_kind"), _P.holder == bindparam("of_holder"))
_LIST = select(passkey).where(*_OF).order_by(_P.created_at, _P.id)
_COUNT = select(func.count()).select_from(passkey).where(*_OF)
_BY_CREDENTIAL = select(passkey).where(
    _P.credential_hash == bindparam("hash"), _P.kind == bindparam("of_kind")
)
_USE = (
    update(passkey)
    .where(_P.id == bindparam("this"), _P.sign_count == bindparam("old"))
    .values(sign_count=bindparam("new"), used_at=bindparam("now"))
)
_PENDING = (
    _R.owner == bindparam("of_owner"),
    _R.used_at.is_(None),
    _R.cancelled_at.is_(None),
    _R.expires_at > bindparam("now"),
)
_RECOVERY = select(passkey_recovery).where(*_PENDING).order_by(_R.asked_at).limit(1)
_TELL = select(passkey_recovery).where(
    _R.told_at.is_(None),
    _R.used_at.is_(None),
    _R.cancelled_at.is_(None),
    _R.ready_at <= bindparam("now"),
    _R.expires_at > bindparam("now"),
)


def list_passkeys(connection: Connection, kind: str, holder: str) -> list[Any]:
    """Returns a person's passkeys, oldest first."""
    return list(connection.execute(_LIST, {"of_kind": kind, "of_holder": holder}))


def take_turn(connection: Connection, owner: str) -> None:
    """Lets one transaction at a time change how an owner may sign in."""
    take_turns(connection, f"passkeys of {owner}")


def has_passkey(connection: Connection, kind: str, holder: str) -> bool:
    found = connection.execute(_COUNT, {"of_kind": kind, "of_holder": holder}).scalar_one()
    return int(found) > 0


def find_passkey(connection: Connection, kind: str, credential_id: str) -> Any:
    """Returns the passkey with this credential, if it is one of an owner or of an administrator."""
    values = {"hash": digest(credential_id), "of_kind": kind}
    return connection.execute(_BY_CREDENTIAL, values).one_or_none()


def handle_of(known: list[Any]) -> str:
    """Returns the random name of a person for authenticators: that of the known passkeys."""
    return str(known[0].user_handle) if known else encode(secrets.token_bytes(32))


def add_passkey(
    connection: Connection,
    kind: str,
    holder: str,
    made: Registered,
    *,
    name: str,
    handle: str,
    now: int,
) -> bool:
    """Adds a passkey; False if it is registered already."""
    row = {
        "id": new_token("pk_", 12),
        "kind": kind,
        "holder": holder,
        "credential_hash": digest(made.credential_id),
        "credential_id": made.credential_id,
        "user_handle": handle,
        "public_key": made.public_key,
        "sign_count": made.sign_count,
        "is_synced": made.is_synced,
        "name": name,
        "created_at": now,
    }
    try:
        with connection.begin_nested():
            connection.execute(insert(passkey), row)
    except IntegrityError:
        return False
    record(connection, at=now, kind=KIND, outcome="added")
    return True


def use_passkey(connection: Connection, row: Any, sign_count: int, now: int) -> bool:
    """Writes down the new counter; False if another use was quicker."""
    values = {"this": row.id, "old": row.sign_count, "new": sign_count, "now": now}
    return connection.execute(_USE, values).rowcount == 1


def rename_passkey(connection: Connection, kind: str, holder: str, this: str, name: str) -> bool:
    statement = update(passkey).where(*_OF, _P.id == bindparam("this")).values(name=name)
    values = {"of_kind": kind, "of_holder": holder, "this": this}
    return connection.execute(statement, values).rowcount == 1


def remove_passkey(connection: Connection, kind: str, holder: str, this: str, now: int) -> bool:
    """Removes one passkey; False if the person has no such one."""
    statement = delete(passkey).where(*_OF, _P.id == bindparam("this"))
    values = {"of_kind": kind, "of_holder": holder, "this": this}
    if connection.execute(statement, values).rowcount != 1:
        return False
    record(connection, at=now, kind=KIND, outcome="removed")
    return True


def remove_owners_passkeys(database: Database, agent_id: str, now: int) -> tuple[str, int] | None:
    """Removes every passkey of an agent's owner and signs the owner out, for an administrator.

    Leaves a notice, from which a server mails the owner.
    Returns the owner's address and the number of passkeys; None if there is no such agent.
    """
    with database.begin() as connection:
        owner = connection.execute(select(agent.c.email).where(agent.c.id == agent_id)).scalar()
        if owner is None:
            return None
        values = {"of_kind": OWNER, "of_holder": owner}
        removed = int(connection.execute(delete(passkey).where(*_OF), values).rowcount)
        end_sessions(connection, OWNER, owner)
        record(connection, at=now, kind=KIND, outcome="all removed", agent_id=agent_id)
        leave_notice(connection, str(owner), PASSKEYS_REMOVED, now)
    return str(owner), removed


def find_recovery(connection: Connection, owner: str, now: int) -> Any:
    """Returns the recovery that an owner has asked for and that is neither used nor over."""
    return connection.execute(_RECOVERY, {"of_owner": owner, "now": now}).one_or_none()


def ask_for_recovery(connection: Connection, owner: str, now: int) -> bool:
    """Starts the wait for a new passkey; False if it has started already."""
    take_turn(connection, owner)
    if find_recovery(connection, owner, now) is not None:
        return False
    row = {
        "id": new_token("rec_", 12),
        "owner": owner,
        "asked_at": now,
        "ready_at": now + RECOVERY_WAIT,
        "expires_at": now + RECOVERY_WAIT + RECOVERY_OPEN,
    }
    connection.execute(insert(passkey_recovery), row)
    record(connection, at=now, kind=KIND, outcome="recovery asked for")
    return True


def cancel_recovery(connection: Connection, owner: str, now: int) -> bool:
    statement = update(passkey_recovery).where(*_PENDING).values(cancelled_at=now)
    if connection.execute(statement, {"of_owner": owner, "now": now}).rowcount == 0:
        return False
    record(connection, at=now, kind=KIND, outcome="recovery cancelled")
    return True


def use_recovery(connection: Connection, owner: str, now: int) -> bool:
    """Uses a recovery whose wait is over, once; False if there is none."""
    statement = update(passkey_recovery).where(*_PENDING, _R.ready_at <= now).values(used_at=now)
    return connection.execute(statement, {"of_owner": owner, "now": now}).rowcount > 0


def is_any_ready(connection: Connection, now: int) -> bool:
    """Returns True if the wait of an owner is over who has not been told."""
    return connection.execute(_TELL.limit(1), {"now": now}).first() is not None


def tell_ready(connection: Connection, now: int) -> list[str]:
    """Returns the owners whose wait is over and who have not been told, and marks them as told."""
    told = []
    for row in connection.execute(_TELL, {"now": now}).all():
        statement = update(passkey_recovery).where(_R.id == row.id, _R.told_at.is_(None))
        if connection.execute(statement.values(told_at=now)).rowcount == 1:
            told.append(str(row.owner))
    return told
