"""Pushed authorization requests (RFC 9126): single-use, short-lived, bound to their client."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from auth_agent.server.context import Context
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.sign_in.authorization.opening import stored_party
from auth_agent.server.storage.tables.sign_ins import pushed_request
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.parameters import Parameters

PREFIX = "urn:ietf:params:oauth:request_uri:"
LIFETIME = 60  # seconds
_LONGEST = 200
# They prove the client, and are no part of the authorization request.
_OF_CLIENT = ("client_secret", "client_assertion", "client_assertion_type")
_FIND = select(pushed_request).where(
    pushed_request.c.id == bindparam("id"), pushed_request.c.client_id == bindparam("client")
)
_WAITING = select(func.count()).where(
    pushed_request.c.address == bindparam("party"), pushed_request.c.expires_at > bindparam("now")
)
_USE = (
    update(pushed_request)
    .where(
        pushed_request.c.id == bindparam("pushed"),
        pushed_request.c.request_id.is_(None),
        pushed_request.c.expires_at > bindparam("now"),
    )
    .values(request_id=bindparam("opened"))
)


def is_pushed(parameters: Parameters) -> bool:
    return parameters.get("request_uri", "").startswith(PREFIX)


def push(context: Context, client_id: str, parameters: Parameters, party: str) -> str:
    """Stores a checked request and returns its `request_uri`; Refusal 429 if too many wait."""
    now, token = context.now(), new_token("")
    kept = [(name, value) for name, value in parameters.items() if name not in _OF_CLIENT]
    kept += [("resource", one) for one in parameters.resources[1:]]
    row = {
        "id": digest(token),
        "client_id": client_id,
        "parameters": json.dumps(kept),
        "created_at": now,
        "expires_at": now + LIFETIME,
        "address": stored_party(party),
    }
    with context.database.begin() as connection:
        counted = {"party": row["address"], "now": now}
        if connection.execute(_WAITING, counted).scalar_one() >= context.settings.limit_pending:
            text = "Too many pushed requests wait to be opened; try again in a minute"
            wait = (("retry-after", str(LIFETIME)),)
            raise Refusal(429, "too_many_requests", text, wait)
        connection.execute(insert(pushed_request), row)
    return PREFIX + token


def find_pushed(connection: Connection, request_uri: str, client_id: str) -> Any:
    """Returns the row of a request that this client has pushed, or None."""
    if len(request_uri) > _LONGEST:
        return None
    token = request_uri.removeprefix(PREFIX)
    return connection.execute(_FIND, {"id": digest(token), "client": client_id}).one_or_none()


def read_pushed(row: Any) -> Parameters:
    """Returns the parameters that were pushed."""
    parameters = Parameters()
    for name, value in json.loads(row.parameters):
        parameters.add(name, value)
    return parameters


def use_pushed(connection: Connection, row: Any, request_id: str, now: int) -> bool:
    """Marks a pushed request as opened; False if it was opened before or has expired."""
    values = {"pushed": row.id, "opened": request_id, "now": now}
    return connection.execute(_USE, values).rowcount == 1
