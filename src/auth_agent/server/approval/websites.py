"""The websites at which an agent has signed in: the client's id and where its answers go.

A program is no website: what it is approved for are the APIs that its tokens open.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from auth_agent.server.security.credentials import digest
from auth_agent.server.storage.statements import Read
from auth_agent.server.storage.tables.approvals import known_website
from auth_agent.server.web.urls import is_loopback_uri, is_native_uri, return_origin

_C = known_website.c
_LONGEST = 255  # characters; the column
_INSERTS: dict[str, Any] = {"sqlite": sqlite_insert, "postgresql": postgresql_insert}
_THIS = (
    _C.agent_id == bindparam("of_agent"),
    _C.client_id == bindparam("of_client"),
    _C.origin == bindparam("of_origin"),
)
_FIND = Read(select(known_website).where(*_THIS))
_OF_AGENT = (
    select(known_website)
    .where(_C.agent_id == bindparam("of_agent"))
    .order_by(_C.first_at.desc(), _C.client_id, _C.origin)
    .limit(200)
)
_BY_LINK = select(known_website).where(_C.link_hash == bindparam("hash"))
_APPROVED = (
    update(known_website)
    .where(*_THIS)
    .values(approved_at=bindparam("now"), scope=bindparam("approved_scope"))
)
# Held, so that no approval or withdrawal at the same moment is overwritten.
_HELD_SCOPE = select(known_website.c.scope).where(*_THIS).with_for_update()
_ALWAYS = update(known_website).where(*_THIS).values(always_at=bindparam("now"))
_ASK_AGAIN = (
    update(known_website).where(*_THIS).values(always_at=None, approved_at=None, scope=None)
)


def website_of(sign_in: Any) -> str:
    """Returns the origin that a sign-in's answer goes to; a program's without its port.

    A program's token may open any API, so the APIs that it is for stand beside its origin.
    """
    own = origin = return_origin(sign_in.redirect_uri)
    if is_loopback_uri(sign_in.redirect_uri):
        parts = urlsplit(sign_in.redirect_uri)
        origin = f"{parts.scheme}://{parts.hostname}"
    if is_native_uri(sign_in.redirect_uri):
        apis = sorted({*sign_in.audience.split()} - {own})
        origin = " ".join([origin, *apis])
    return api_of(origin)


def api_of(audience: str) -> str:
    """Returns the name of an API that an agent calls itself, or of a website, as it is stored."""
    return audience if len(audience) <= _LONGEST else digest(audience)


def find_known(connection: Connection, agent_id: str, client_id: str, origin: str) -> Any:
    """Returns what is known of this website; None before the agent's first sign-in there."""
    return _FIND.one(connection, _this(agent_id, client_id, origin))


def list_known(connection: Connection, agent_id: str) -> list[Any]:
    """Returns the websites of an agent, newest first."""
    return list(connection.execute(_OF_AGENT, {"of_agent": agent_id}))


def find_by_link(connection: Connection, link: str) -> Any:
    """Returns the website behind a mailed link."""
    return connection.execute(_BY_LINK, {"hash": digest(link)}).one_or_none()


def remember(
    connection: Connection,
    agent_id: str,
    client_id: str,
    origin: str,
    *,
    name: str,
    now: int,
    link: str | None = None,
) -> bool:
    """Remembers the first sign-in at a website; False if it was known."""
    row = {
        "agent_id": agent_id,
        "client_id": client_id,
        "origin": origin,
        "name": name[:200],
        "first_at": now,
        "link_hash": None if link is None else digest(link),
    }
    statement = _INSERTS[connection.dialect.name](known_website).values(row)
    counted = {"preserve_rowcount": True}  # which an INSERT does not keep by itself
    found = connection.execute(statement.on_conflict_do_nothing(), execution_options=counted)
    return bool(found.rowcount == 1)


def note_approval(
    connection: Connection,
    agent_id: str,
    client_id: str,
    origin: str,
    *,
    now: int,
    scope: str,
    always: bool,
) -> None:
    """Notes that the owner approved these scopes here, and whether all further sign-ins, too."""
    values = {**_this(agent_id, client_id, origin), "now": now}
    before = connection.execute(_HELD_SCOPE, values).scalar() or ""
    words = " ".join(sorted({*before.split(), *scope.split()}))
    connection.execute(_APPROVED, {**values, "approved_scope": words})
    if always:
        connection.execute(_ALWAYS, values)


def ask_again(connection: Connection, agent_id: str, client_id: str, origin: str) -> bool:
    """Removes the owner's approval of a website; False if the website is not known."""
    values = _this(agent_id, client_id, origin)
    return connection.execute(_ASK_AGAIN, values).rowcount == 1


def _this(agent_id: str, client_id: str, origin: str) -> dict[str, str]:
    return {"of_agent": agent_id, "of_client": client_id, "of_origin": origin}
