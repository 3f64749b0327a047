"""Websites, the clients of this server: registering, listing, changing and finding them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Connection, func, insert, select, update

from auth_agent.secret import Secret
from auth_agent.server.registry.client import SELF_MADE, Client, find_client
from auth_agent.server.registry.rules import (
    ClientFields,
    TooMany,
    client_columns,
    website_columns,
)
from auth_agent.server.security.credentials import made_hash, new_token
from auth_agent.server.settings import DEFAULT_SCOPES
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import parties

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "Client",
    "ClientCredentials",
    "add_client",
    "change_client",
    "count_self_made",
    "find_client",
    "list_clients",
    "rotate_client_secret",
]

_TABLE = parties.client
# An agent is a client under its own id; it is changed and removed as an agent.
_IS_WEBSITE = (_TABLE.c.removed_at.is_(None), _TABLE.c.agent_id.is_(None))


MOST_SELF_MADE = 10_000


class ClientCredentials(Struct, frozen=True):
    """Shown once; a public client has no secret."""

    client_id: str
    client_secret: Secret | None


def add_client(
    database: Database,
    name: str,
    redirect_uris: Sequence[str],
    *,
    now: int,
    upstream_compat: bool = False,
    **fields: Unpack[ClientFields],
) -> ClientCredentials:
    """Registers a website; raises RegistrationError if a value is not acceptable."""
    columns = client_columns(name, redirect_uris, **fields)
    origin, scopes = columns["origin"], columns["scopes"].split()
    secret = Secret(new_token("cs_")) if columns["auth_method"] == "client_secret" else None
    client_id = new_token("client_", 12)
    row = {
        **columns,
        "id": client_id,
        "secret_hash": None if secret is None else made_hash(secret.reveal()),
        "upstream_compat": upstream_compat,
        "set_by_admin": "scopes" if origin == "added" and set(scopes) != {*DEFAULT_SCOPES} else "",
        "created_at": now,
    }
    with database.begin() as connection:
        if origin in SELF_MADE and count_self_made(connection) >= MOST_SELF_MADE:
            raise TooMany("too many clients have registered themselves; try again tomorrow")
        connection.execute(insert(_TABLE), row)
        record(connection, at=now, kind="client", outcome="added", client_id=client_id)
    return ClientCredentials(client_id, secret)


def count_self_made(connection: Connection) -> int:
    """Returns how many clients registered themselves."""
    statement = select(func.count()).where(_TABLE.c.origin.in_(SELF_MADE))
    return int(connection.execute(statement).scalar_one())


def list_clients(database: Database) -> list[dict[str, Any]]:
    """Returns all websites that were not removed, oldest first; no secrets."""
    statement = select(_TABLE).where(*_IS_WEBSITE).order_by(_TABLE.c.created_at)
    with database.read() as connection:
        rows = connection.execute(statement).all()
    return [
        {
            "client_id": row.id,
            "name": row.name,
            "redirect_uris": row.redirect_uris.split(),
            "scopes": row.scopes.split(),
            "resources": row.resources.split(),
            "public": row.auth_method == "none",
            "has_keys": row.auth_method == "private_key_jwt",
            "jwks_uri": row.jwks_uri,
            "backchannel_logout_uri": row.backchannel_logout_uri,
            "post_logout_redirect_uris": row.post_logout_redirect_uris.split(),
            "id_token_alg": row.id_token_alg,
            "strict_audience": row.strict_audience,
            "backchannel_logout_session_required": row.backchannel_logout_session_required,
            "dpop_bound": row.dpop_bound,
            "origin": row.origin,
            "upstream_compat": row.upstream_compat,
            "created_at": row.created_at,
        }
        for row in rows
    ]


def change_client(database: Database, client_id: str, now: int, **changes: Any) -> bool:
    """Changes the given columns of a website; False if there is none.

    With public keys (`jwks` or `jwks_uri`) it signs from now on: its secret stops working.
    The client's document no longer overrides columns that an administrator has changed.
    """
    values = website_columns(changes)
    if "jwks" in values or "jwks_uri" in values:
        signs = {"auth_method": "private_key_jwt", "secret_hash": None}
        values = {"jwks": None, "jwks_uri": None, **signs, **values}
    statement = update(_TABLE).where(_TABLE.c.id == client_id, *_IS_WEBSITE)
    with database.begin() as connection:
        found = connection.execute(select(_TABLE).where(_TABLE.c.id == client_id)).one_or_none()
        if found is not None and values:
            decided = {name for name, value in values.items() if getattr(found, name) != value}
            values["set_by_admin"] = " ".join(sorted({*found.set_by_admin.split(), *decided}))
        # An UPDATE has to name a column; an empty change still tells if the website exists.
        if connection.execute(statement.values({"id": client_id, **values})).rowcount != 1:
            return False
        record(connection, at=now, kind="client", outcome="changed", client_id=client_id)
    return True


def rotate_client_secret(database: Database, client_id: str, now: int) -> Secret | None:
    """Replaces the secret at once; None if no confidential client has this id."""
    secret = Secret(new_token("cs_"))
    statement = update(_TABLE).where(
        _TABLE.c.id == client_id, _TABLE.c.removed_at.is_(None), _TABLE.c.secret_hash.is_not(None)
    )
    with database.begin() as connection:
        values = {"secret_hash": made_hash(secret.reveal())}
        if connection.execute(statement.values(values)).rowcount != 1:
            return None
        record(connection, at=now, kind="client", outcome="secret rotated", client_id=client_id)
    return secret
