"""Opens a sign-in, unless too many are pending at an address or in the network around it."""

from __future__ import annotations

import functools
import ipaddress
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    bindparam,
    collate,
    func,
    insert,
    select,
)
from sqlalchemy.types import NullType, TypeEngine

from auth_agent.server.context import Context
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.sign_in.authorization.request import AuthorizationRequest
from auth_agent.server.storage.statements import Write
from auth_agent.server.storage.tables.sign_ins import sign_in
from auth_agent.server.web.call import Refusal

_OPENED = [
    sign_in.c.id,
    sign_in.c.client_id,
    sign_in.c.redirect_uri,
    sign_in.c.scope,
    sign_in.c.audience,
    sign_in.c.state,
    sign_in.c.nonce,
    sign_in.c.code_challenge,
    sign_in.c.browser_hash,
    sign_in.c.created_at,
    sign_in.c.expires_at,
    sign_in.c.address,
    sign_in.c.only_agent,
    sign_in.c.document,
    sign_in.c.document_name,
    sign_in.c.act,
    sign_in.c.needs_owner,
    sign_in.c.dpop_jkt,
]
_WAITING = (
    sign_in.c.approved_at.is_(None),
    sign_in.c.denied_at.is_(None),
    sign_in.c.expires_at > bindparam("in_created_at"),
)


def _opening(*bounds: ColumnElement[bool]) -> Write:
    """Returns the one statement that opens a sign-in, unless too many are pending."""
    given = [bindparam(f"in_{column.name}", type_=_plain(column)) for column in _OPENED]
    names = [column.name for column in _OPENED]
    return Write(insert(sign_in).from_select(names, select(*given).where(*bounds)))


def _plain(column: Column[Any]) -> TypeEngine[Any]:
    """Returns a type that hands values to the driver as they stand; drivers know truth values."""
    return NullType() if isinstance(column.type, Boolean) else column.type


def _below(most: str, *whose: ColumnElement[bool]) -> ColumnElement[bool]:
    counted = select(func.count()).select_from(sign_in).where(*whose, *_WAITING)
    return counted.scalar_subquery() < bindparam(most)


def _in_block(address: ColumnElement[Any]) -> Write:
    """Counts the whole /48 as well: an owner of a network can choose among its /64s."""
    block = (address >= bindparam("block"), address < bindparam("block_end"))
    return _opening(_below("most", _OF_PARTY), _below("most_of_block", *block))


_OF_PARTY = sign_in.c.address == bindparam("in_address")
_OPEN = _opening(_below("most", _OF_PARTY))
# Ranges are those of the bytes, whatever the order of the database's language.
_OPEN_IN_BLOCK = {
    "sqlite": _in_block(sign_in.c.address),
    "postgresql": _in_block(collate(sign_in.c.address, "C")),
}
_LENGTH_OF_48, _LENGTH_OF_64 = len("2001:0db8:0001"), len("2001:0db8:0001:0002")
BLOCK = 10  # times the limit of one address, for the /48 around it


def open_sign_in(
    context: Context,
    connection: Connection,
    request: AuthorizationRequest,
    *,
    party: str,
    browser: str | None,
    only_agent: str | None,
) -> str:
    """Stores a pending sign-in and returns its id; Refusal 429 if too many of `party` are pending.

    `browser` is the mark of the only browser that gets the code; None leaves it to the first one
    that opens the sign-in. `only_agent` is the only agent that may approve it, if there is one.
    """
    settings, now, address = context.settings, context.now(), stored_party(party)
    row = {
        "id": new_token("req_", 18),
        **_asked(request),
        "browser_hash": None if browser is None else digest(browser),
        "created_at": now,
        "expires_at": now + settings.request_lifetime,
        "address": address,
        "only_agent": only_agent,
    }
    values: dict[str, Any] = {f"in_{name}": value for name, value in row.items()}
    values["most"] = settings.limit_pending
    opening = _OPEN
    if ":" in address:
        block = address[:_LENGTH_OF_48]
        more = {"block": block, "block_end": block + ";"}  # ";" follows ":"
        values |= {**more, "most_of_block": BLOCK * settings.limit_pending}
        opening = _OPEN_IN_BLOCK[connection.dialect.name]
    if opening.run(connection, values) != 1:
        text = (
            "Too many sign-ins are waiting for an agent at your address. Try again in some minutes"
        )
        wait = (("retry-after", str(settings.request_lifetime)),)
        raise Refusal(429, "too_many_requests", text, wait)
    return str(row["id"])


def _asked(request: AuthorizationRequest) -> dict[str, Any]:
    """Returns the columns that the request itself fills."""
    return {
        "client_id": request.client.id,
        "redirect_uri": request.redirect_uri,
        "scope": request.scope,
        "audience": " ".join(request.audience),
        "state": request.state,
        "nonce": request.nonce,
        "code_challenge": request.code_challenge,
        "document": request.client.document,
        "document_name": None if request.client.document is None else request.client.name,
        "dpop_jkt": request.dpop_jkt,
        **request.wishes._asdict(),
    }


@functools.lru_cache(4_096)
def stored_party(party: str) -> str:
    """Returns a party as pending sign-ins are counted: all zeros of a /64 written, to its end."""
    try:
        return ipaddress.IPv6Address(party).exploded[:_LENGTH_OF_64]
    except ValueError:
        return party
