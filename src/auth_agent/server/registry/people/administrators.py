"""Administrators as people: a name, a password, and single-use links to set the password."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.secret import Secret
from auth_agent.server.bounds import HOUR
from auth_agent.server.registry.people.browser_sessions import ADMINISTRATOR, end_sessions
from auth_agent.server.security.credentials import (
    LONGEST_SECRET,
    digest,
    hash_secret,
    is_too_long,
    new_token,
)
from auth_agent.server.security.guessing.attempts import take_turns
from auth_agent.server.storage.audit import acting, record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.approvals import passkey
from auth_agent.server.storage.tables.people import admin_token, administrator, setup_link

SHORTEST_PASSWORD = 12
LINK_LIFETIME = HOUR
_LINKS = "setup links"  # they are made and used one after the other

_HERE = administrator.c.removed_at.is_(None)
_BY_NAME = select(administrator).where(administrator.c.name == bindparam("name"), _HERE)
_BY_ID = select(administrator).where(administrator.c.id == bindparam("id"), _HERE)
_COUNT = (
    select(func.count())
    .select_from(administrator)
    .where(_HERE, administrator.c.password_hash.is_not(None))
)
_GOOD_LINK = and_(
    setup_link.c.token_hash == bindparam("hash"),
    setup_link.c.used_at.is_(None),
    setup_link.c.expires_at > bindparam("now"),
)
_USE_LINK = update(setup_link).where(_GOOD_LINK).values(used_at=bindparam("now"))
_VOID_LINKS = (
    update(setup_link)
    .where(
        setup_link.c.administrator_id.is_not_distinct_from(bindparam("whose")),
        setup_link.c.used_at.is_(None),
    )
    .values(used_at=bindparam("at"))
)


class AccountError(ValueError):
    """The name or the password is not acceptable; the message names cause and remedy."""


class Account(Struct, frozen=True):
    """An administrator; the repr leaves the password's hash out."""

    id: str
    name: str
    password_hash: Secret


class SetupLink(Struct, frozen=True):
    """A single-use link; `name` is empty if its user still has to choose one."""

    token_hash: str
    administrator_id: str | None
    name: str


def find_account(connection: Connection, account_id: str) -> Account | None:
    return _account(connection.execute(_BY_ID, {"id": account_id}).one_or_none())


def find_account_named(connection: Connection, name: str) -> Account | None:
    return _account(connection.execute(_BY_NAME, {"name": clean_name(name)}).one_or_none())


def has_administrators(database: Database) -> bool:
    """Returns whether an administrator with a password exists."""
    with database.read() as connection:
        return bool(connection.execute(_COUNT).scalar())


def list_accounts(database: Database) -> list[dict[str, Any]]:
    """Returns all administrators, oldest first; no secrets."""
    statement = select(administrator).where(_HERE).order_by(administrator.c.created_at)
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [
        {
            "admin_id": row.id,
            "name": row.name,
            "has_password": row.password_hash is not None,
            "created_at": row.created_at,
        }
        for row in rows
    ]


def list_tokens(database: Database, now: int) -> list[dict[str, Any]]:
    """Returns the valid tokens of programs, oldest first."""
    statement = (
        select(admin_token)
        .where(admin_token.c.revoked_at.is_(None), admin_token.c.expires_at > now)
        .order_by(admin_token.c.created_at)
    )
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [{"admin_id": row.id, "name": row.name, "expires_at": row.expires_at} for row in rows]


def create_account(database: Database, name: str, password: Secret | None, now: int) -> str:
    """Creates an administrator and returns the id; AccountError if a value is unacceptable."""
    name = checked_name(name)
    password_hash = None if password is None else hash_password(password)
    account_id = new_token("admin_", 12)
    with database.begin() as connection:
        _insert(connection, account_id, name, password_hash, now)
    return account_id


def remove_account(database: Database, account_id: str, now: int) -> bool:
    """Removes an administrator and ends all their sessions; False if there is none."""
    with database.begin() as connection:
        row = connection.execute(_BY_ID, {"id": account_id}).one_or_none()
        if row is None:
            return False
        # The name becomes free again; the audit log keeps what was done under it.
        values = {"removed_at": now, "password_hash": None, "name": account_id}
        statement = update(administrator).where(administrator.c.id == account_id, _HERE)
        if connection.execute(statement.values(values)).rowcount != 1:
            return False  # another administrator was quicker
        connection.execute(delete(passkey).where(passkey.c.holder == account_id))
        end_sessions(connection, ADMINISTRATOR, account_id)
        connection.execute(_VOID_LINKS, {"whose": account_id, "at": now})
        record(connection, at=now, kind="administrator", outcome="removed", agent_id=account_id)
    return True


def make_setup_link(
    database: Database, account_id: str | None, now: int, lifetime: int = LINK_LIFETIME
) -> Secret:
    """Creates a single-use link, for this administrator or the first one; voids older links."""
    token = Secret(new_token(""))
    row = {
        "token_hash": digest(token.reveal()),
        "administrator_id": account_id,
        "created_at": now,
        "expires_at": now + lifetime,
    }
    with database.begin() as connection:
        take_turns(connection, _LINKS)
        connection.execute(_VOID_LINKS, {"whose": account_id, "at": now})
        connection.execute(insert(setup_link), row)
        record(connection, at=now, kind="setup link", outcome="made", agent_id=account_id)
    return token


def find_setup_link(connection: Connection, token: str, now: int) -> SetupLink | None:
    """Returns the link with this token, if it is still valid."""
    statement = (
        select(setup_link.c.token_hash, setup_link.c.administrator_id, administrator.c.name)
        .outerjoin(administrator, administrator.c.id == setup_link.c.administrator_id)
        .where(_GOOD_LINK)
    )
    values = {"hash": digest(token), "now": now}
    row = connection.execute(statement, values).one_or_none()
    return None if row is None else SetupLink(row.token_hash, row.administrator_id, row.name or "")


def use_setup_link(
    connection: Connection, link: SetupLink, name: str, password_hash: str, now: int
) -> str | None:
    """Sets this administrator's password; returns the id, or None if the link is used up."""
    take_turns(connection, _LINKS)
    values = {"hash": link.token_hash, "now": now}
    if connection.execute(_USE_LINK, values).rowcount != 1:
        return None
    if link.administrator_id is None:
        account_id = new_token("admin_", 12)
        _insert(connection, account_id, name, password_hash, now)
        return account_id
    # A link is also the way out after a theft: what signed in before does so no more.
    connection.execute(delete(passkey).where(passkey.c.holder == link.administrator_id))
    with acting(link.administrator_id):
        set_password(connection, link.administrator_id, password_hash, now)
    return link.administrator_id


def set_password(connection: Connection, account_id: str, password_hash: str, now: int) -> None:
    """Replaces the password and ends every session of this administrator."""
    statement = update(administrator).where(administrator.c.id == account_id, _HERE)
    connection.execute(statement.values(password_hash=password_hash))
    end_sessions(connection, ADMINISTRATOR, account_id)
    record(connection, at=now, kind="administrator", outcome="password set", agent_id=account_id)


def hash_password(password: Secret) -> str:
    """Returns the stored form; AccountError if the password is too short or too long (bcrypt)."""
    if len(password.reveal()) < SHORTEST_PASSWORD:
        raise AccountError(f"The password has to be at least {SHORTEST_PASSWORD} characters long")
    if is_too_long(password.reveal()):
        raise AccountError(
            f"The password is longer than {LONGEST_SECRET} bytes; choose a shorter one"
        )
    if "\0" in password.reveal():
        raise AccountError("The password contains a NUL character; leave it out")
    return hash_secret(password.reveal())


def clean_name(name: str) -> str:
    return name.strip().lower()


def checked_name(name: str) -> str:
    name = clean_name(name)
    if not name or len(name) > 64 or not name.isprintable():
        raise AccountError("The name has to be one line of at most 64 characters")
    return name


def _insert(
    connection: Connection, account_id: str, name: str, password_hash: str | None, now: int
) -> None:
    take_turns(connection, _LINKS)
    row = {"id": account_id, "name": name, "password_hash": password_hash, "created_at": now}
    try:
        with connection.begin_nested():
            connection.execute(insert(administrator), row)
    except IntegrityError:
        raise AccountError(f"There is an administrator {name!r} already") from None
    # The link of the first start may be in a log; it stops working now.
    connection.execute(_VOID_LINKS, {"whose": None, "at": now})
    record(connection, at=now, kind="administrator", outcome="added", agent_id=account_id)


def _account(row: Any) -> Account | None:
    return None if row is None else Account(row.id, row.name, Secret(row.password_hash or ""))
