"""Sign-ins: from the browser's request to the redemption of its code.

    pending ── approve ──> authenticated ── redeem ──> completed
       └────── deny ──> denied

A pending sign-in may wait for the owner of one agent, which `approval.state` is about.

Each arrow is one conditional UPDATE, so it is taken once, however many workers race. After
`expires_at` (or `code_expires_at`, once approved) no arrow is left.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, or_, select, update

from auth_agent.server.registry.claims import is_enabled
from auth_agent.server.registry.client import SELF_MADE
from auth_agent.server.storage.statements import Read, Write
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.sign_ins import sign_in
from auth_agent.server.web.urls import is_native_uri

# A client that is a document has no row until an agent approves it.
_HAS_CLIENT = or_(
    and_(client.c.id.is_not(None), client.c.removed_at.is_(None)),
    and_(client.c.id.is_(None), sign_in.c.document.is_not(None)),
)
_OF_CLIENT = (
    func.coalesce(client.c.name, sign_in.c.document_name).label("client_name"),
    client.c.origin.label("client_origin"),
    client.c.approved_at.label("client_approved_at"),
    client.c.auth_method.label("client_auth_method"),
)
_WITH_CLIENT = Read(
    select(sign_in, *_OF_CLIENT, client.c.upstream_compat.label("upstream_compat"))
    .outerjoin(client, client.c.id == sign_in.c.client_id)
    .where(sign_in.c.id == bindparam("id"), _HAS_CLIENT)
)
# Joins the agent by the id that it claims, so that one statement reads both.
_WITH_CLAIMANT = Read(
    select(
        sign_in,
        agent.c.secret_hash,
        agent.c.disabled_at,
        agent.c.model.label("agent_model"),
        agent.c.scopes.label("agent_scopes"),
        agent.c.require_origin,
        agent.c.second_factor,
        agent.c.approval,
        agent.c.email_verified.label("agent_email_verified"),
        agent.c.display_name.label("agent_display_name"),
        agent.c.id.label("claimant"),
        agent.c.email.label("agent_email"),
        agent.c.jwks.label("agent_jwks"),
        *_OF_CLIENT,
    )
    .outerjoin(client, client.c.id == sign_in.c.client_id)
    .outerjoin(agent, agent.c.id == bindparam("claimant"))
    .where(sign_in.c.id == bindparam("id"), _HAS_CLIENT)
)
_PENDING = and_(
    sign_in.c.id == bindparam("sign_in_id"),
    sign_in.c.approved_at.is_(None),
    sign_in.c.denied_at.is_(None),
    sign_in.c.expires_at > bindparam("now"),
)
_APPROVE = Write(
    update(sign_in)
    .where(_PENDING)
    .values(
        agent_id=bindparam("by_agent"),
        model=bindparam("with_model"),
        scope=bindparam("with_scope"),
        amr=bindparam("how"),
        approved_at=bindparam("now"),
        code_hash=bindparam("with_code"),
        code_expires_at=bindparam("code_until"),
    )
)
_BIND = Write(
    update(sign_in)
    .where(_PENDING, sign_in.c.browser_hash.is_(None))
    .values(browser_hash=bindparam("browser"))
)
_ASK = Write(
    update(sign_in)
    .where(_PENDING, sign_in.c.question_id.is_(None))
    .values(
        question_id=bindparam("asks"),
        agent_id=bindparam("by_agent"),
        # The owner has the whole time, however late the agent came.
        expires_at=bindparam("until"),
    )
)
_DENY = Write(update(sign_in).where(_PENDING).values(denied_at=bindparam("now")))
_REDEEM = Write(
    update(sign_in)
    .where(
        sign_in.c.id == bindparam("sign_in_id"),
        sign_in.c.redeemed_at.is_(None),
        sign_in.c.code_expires_at > bindparam("now"),
        is_enabled(sign_in.c.agent_id),
    )
    .values(redeemed_at=bindparam("now"), family_id=bindparam("family"))
)
_REDEEMED_AS = select(sign_in.c.redeemed_at, sign_in.c.family_id).where(
    sign_in.c.id == bindparam("id")
)


def find_sign_in(connection: Connection, request_id: str) -> Any:
    """Returns the sign-in with its website's name, or None."""
    return _WITH_CLIENT.one(connection, {"id": request_id})


def find_with_claimant(connection: Connection, request_id: str, agent_id: str) -> Any:
    """Returns the sign-in beside the claimed agent, whose columns are null if there is none."""
    values = {"id": request_id, "claimant": agent_id}
    return _WITH_CLAIMANT.one(connection, values)


def status_of(row: Any, now: float) -> str:
    """Returns pending, authenticated, completed, denied or expired."""
    if row.denied_at is not None:
        return "denied"
    if row.redeemed_at is not None:
        return "completed"
    if row.approved_at is not None:
        return "authenticated" if row.code_expires_at > now else "expired"
    return "pending" if row.expires_at > now else "expired"


def is_native(row: Any) -> bool:
    """Returns True if the code goes to a program on the visitor's device, not to a website."""
    method = row.client_auth_method
    if method is None and row.document is not None:
        method = json.loads(row.document)["auth_method"]
    return method == "none" and is_native_uri(row.redirect_uri)


def is_trusted(row: Any) -> bool:
    """Returns False for a client that no administrator added and no agent has approved yet."""
    if row.client_origin is None:
        return False
    return row.client_origin not in SELF_MADE or row.client_approved_at is not None


def approve(connection: Connection, request_id: str, now: int, **values: Any) -> bool:
    """Approves a sign-in; False if it is no longer pending. `values` are those of `_APPROVE`."""
    values |= {"sign_in_id": request_id, "now": now}
    return _APPROVE.run(connection, values) == 1


def bind_browser(connection: Connection, request_id: str, browser_hash: str, now: int) -> bool:
    """Binds a sign-in to a browser; False if it has one already or is no longer pending."""
    values = {"sign_in_id": request_id, "browser": browser_hash, "now": now}
    return _BIND.run(connection, values) == 1


def await_owner(
    connection: Connection,
    request_id: str,
    now: int,
    *,
    question_id: str,
    agent_id: str,
    until: int,
) -> bool:
    """Makes a pending sign-in wait for this agent's owner; False if it cannot any more."""
    values: dict[str, Any] = {"sign_in_id": request_id, "now": now, "until": until}
    return _ASK.run(connection, {**values, "asks": question_id, "by_agent": agent_id}) == 1


def is_waiting_for_owner(row: Any) -> bool:
    """Returns True for a pending sign-in whose owner has been asked."""
    return row.question_id is not None and row.approved_at is None and row.denied_at is None


def deny(connection: Connection, request_id: str, now: int) -> bool:
    """Denies a sign-in; False if it is no longer pending."""
    return _DENY.run(connection, {"sign_in_id": request_id, "now": now}) == 1


def redeem(connection: Connection, request_id: str, now: int, family_id: str) -> bool:
    """Redeems a code; False if it was redeemed or has expired, or its agent is disabled."""
    values = {"sign_in_id": request_id, "now": now, "family": family_id}
    return _REDEEM.run(connection, values) == 1


def family_of_redeemed(connection: Connection, request_id: str) -> str | None:
    """Returns the token family that a redeemed code has started; None if it is not redeemed."""
    row = connection.execute(_REDEEMED_AS, {"id": request_id}).one_or_none()
    return None if row is None or row.redeemed_at is None else str(row.family_id)
