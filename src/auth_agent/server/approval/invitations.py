"""Invitations: single-use links with which owners whom no mail reaches add their first passkey.

An invitation never replaces a passkey: it is neither made nor usable for an owner who has one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from auth_agent.secret import Secret
from auth_agent.server.bounds import HOUR
from auth_agent.server.outbound.addresses import checked_address
from auth_agent.server.registry.people.browser_sessions import OWNER
from auth_agent.server.registry.people.passkeys import has_passkey, take_turn
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.parties import agent
from auth_agent.server.storage.tables.people import owner_invitation

LIFETIME = HOUR
KIND = "owner invitation"  # in the audit

_C = owner_invitation.c
_OF_OWNER = (
    select(agent.c.email, agent.c.id)
    .where(func.lower(agent.c.email) == bindparam("address"))
    .order_by(agent.c.created_at, agent.c.id)
)
_VALID = (
    _C.token_hash == bindparam("hash"),
    _C.used_at.is_(None),
    _C.expires_at > bindparam("now"),
)
_FIND = select(_C.owner).where(*_VALID)
_USE = update(owner_invitation).where(*_VALID).values(used_at=bindparam("now"))
_OPEN = (
    select(_C.owner, _C.created_at, _C.expires_at)
    .where(_C.used_at.is_(None), _C.expires_at > bindparam("now"))
    .order_by(_C.created_at.desc(), _C.owner)
    .limit(bindparam("most"))
)
_VOID = (
    update(owner_invitation)
    .where(_C.owner == bindparam("of"), _C.used_at.is_(None), _C.expires_at > bindparam("at"))
    .values(expires_at=bindparam("at"))
)


class InvitationError(ValueError):
    """This owner cannot be invited; the message is for the administrator."""


def invite(
    database: Database, address: str, now: int, lifetime: int = LIFETIME
) -> tuple[str, Secret]:
    """Returns the owner's address as agents have it, and the token of a new link; voids older ones.

    Raises InvitationError if no agent has this owner, or if the owner has a passkey.
    """
    token = new_token("")
    with database.begin() as connection:
        owner, agent_id = _find_owner(connection, address)
        take_turn(connection, owner)
        if has_passkey(connection, OWNER, owner):
            raise InvitationError(
                f"{owner} has a passkey already; an invitation does not replace it"
            )
        void_invitations(connection, owner, now)
        row = {
            "token_hash": digest(token),
            "owner": owner,
            "created_at": now,
            "expires_at": now + lifetime,
        }
        connection.execute(insert(owner_invitation), row)
        record(connection, at=now, kind=KIND, outcome="made", agent_id=agent_id)
    return owner, Secret(token)


def void_invitations(connection: Connection, owner: str, now: int) -> bool:
    """Ends an owner's open link, so that none outlives the passkey; False if there was none."""
    return bool(connection.execute(_VOID, {"of": owner, "at": now}).rowcount)


def withdraw(database: Database, owner: str, now: int) -> bool:
    """Ends an owner's open link, of which an administrator thinks better; False if it is over."""
    with database.begin() as connection:
        if not void_invitations(connection, owner, now):
            return False
        agent_id = next(
            (row.id for row in connection.execute(_OF_OWNER, {"address": owner.lower()})), None
        )
        record(connection, at=now, kind=KIND, outcome="withdrawn", agent_id=agent_id)
    return True


def list_invitations(connection: Connection, now: int, most: int) -> list[Any]:
    """Returns the owners whose links are open, the newest first."""
    return list(connection.execute(_OPEN, {"now": now, "most": most}).all())


def find_invited(connection: Connection, token: str, now: int) -> str | None:
    """Returns the owner whom a valid link invites."""
    return connection.execute(_FIND, {"hash": digest(token), "now": now}).scalar()


def use_invitation(connection: Connection, token: str, now: int) -> str | None:
    """Uses a link once and returns its owner; None if it is unknown, used or too old."""
    owner = find_invited(connection, token, now)
    values = {"hash": digest(token), "now": now}
    if owner is None or connection.execute(_USE, values).rowcount != 1:
        return None
    record(connection, at=now, kind=KIND, outcome="used")
    return owner


def _find_owner(connection: Connection, address: str) -> tuple[str, str]:
    """Returns the owner with this address, and one of the agents.

    The same letters count, or else the same ignoring case if only one owner has them.
    """
    try:
        wanted = checked_address(address)
    except ValueError:
        raise InvitationError(f"{address!a} is not an e-mail address") from None
    rows = connection.execute(_OF_OWNER, {"address": wanted.lower()}).all()
    agents = {str(row.email): str(row.id) for row in reversed(rows)}
    owner = wanted if wanted in agents else next(iter(agents), wanted)
    if owner not in agents or (owner != wanted and len(agents) > 1):
        raise InvitationError(f"no agent has the owner {wanted}")
    return owner, agents[owner]
