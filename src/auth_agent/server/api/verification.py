"""Verifications: an agent proves that it is alive behind its token, now.

The server signs challenge, agent, context and expiry, and the agent sends all of it back. The
server checks the signature first, then uses the challenge up by one conditional UPDATE.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from auth_agent.server.api.agents import moment
from auth_agent.server.context import Context
from auth_agent.server.oauth.clients.authentication import need_website
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.security.credentials import new_token
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.tables import parties, sign_ins
from auth_agent.server.tokens.bearer import need_agent, scheme_of
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import Parameters, from_query, json_body, need_text
from auth_agent.server.web.urls import origin_of

_TABLE = sign_ins.verification
_FIND = select(_TABLE).where(_TABLE.c.id == bindparam("id"))
_LATEST = (
    select(_TABLE)
    .where(_TABLE.c.agent_id == bindparam("agent"), _TABLE.c.client_id.is_(None))
    .order_by(_TABLE.c.created_at.desc(), _TABLE.c.id)
    .limit(1)
)
_CONFIRM = (
    update(_TABLE)
    .where(
        _TABLE.c.id == bindparam("context"),
        _TABLE.c.agent_id == bindparam("agent"),
        _TABLE.c.challenge == bindparam("said"),
        _TABLE.c.verified_at.is_(None),
        _TABLE.c.expires_at > bindparam("now"),
    )
    .values(verified_at=bindparam("now"))
)
_KNOWN_AGENT = select(parties.agent.c.id).where(
    parties.agent.c.id == bindparam("id"), parties.agent.c.disabled_at.is_(None)
)
_NEEDS_ORIGIN = select(parties.agent.c.require_origin).where(parties.agent.c.id == bindparam("id"))


def challenge(oauth: OAuthServer, call: Call) -> Answer:
    """POST /api/verify/challenge: an agent asks for itself, or a website asks for an agent."""
    context = oauth.context
    body = json_body(call.content_type, call.body or b"{}")
    if scheme_of(call) in ("bearer", "dpop"):
        bearer, headers = need_agent(context, call)
        row = _open(context, bearer.family.agent.id, None)
        return json_answer({"ok": True, **_told(context, row)}, headers=(*NO_STORE, *headers))
    client_id = _website(oauth, call, body)
    agent_id = need_text(body, "agent_id")
    with context.database.read() as connection:
        known = connection.execute(_KNOWN_AGENT, {"id": agent_id}).one_or_none()
    if known is None:
        raise Refusal(404, "agent_not_found", "There is no such agent")
    row = _open(context, agent_id, client_id)
    # The website learns the context, and its agent alone the challenge.
    told = {"ok": True, "verify_ctx_id": row["id"], "expires": row["expires_at"]}
    return json_answer({**told, "message": "Give verify_ctx_id to the agent, then ask for status"})


def confirm(oauth: OAuthServer, call: Call) -> Answer:
    """POST /api/verify/confirm: takes a challenge back, once."""
    context = oauth.context
    bearer, headers = need_agent(context, call)
    body = json_body(call.content_type, call.body)
    said, context_id = need_text(body, "challenge"), need_text(body, "verify_ctx_id")
    signature, expires = need_text(body, "sig"), body.get("expires")
    agent_id, now = bearer.family.agent.id, context.now()
    right = _sign(context, said, agent_id, context_id, expires)
    if isinstance(expires, bool) or not isinstance(expires, int) or expires <= now:
        raise Refusal(400, "invalid_challenge", "The challenge has expired")
    if not hmac.compare_digest(right.encode(), signature.encode()):
        raise Refusal(
            400,
            "invalid_challenge",
            "The signature is not the one that this server made for this agent",
        )
    _check_origin(context, body, agent_id, context_id)
    values = {"context": context_id, "agent": agent_id, "said": said, "now": now}
    with context.database.begin() as connection:
        if connection.execute(_CONFIRM, values).rowcount != 1:
            raise Refusal(400, "invalid_challenge", "The challenge is unknown or was used before")
        record(connection, at=now, kind="verification", outcome="verified", agent_id=agent_id)
    told = {"ok": True, "verified": True, "verified_at": moment(now), "verify_ctx_id": context_id}
    return json_answer(told, headers=(*NO_STORE, *headers))


def _check_origin(context: Context, body: dict[str, Any], agent_id: str, context_id: str) -> None:
    """Refuses a confirmation that the agent meant for another website than the one that asked.

    Otherwise a website could pass on, as its own, a verification that another one has opened.
    """
    expected = body.get("expected_origin")
    row = _find(context, context_id)
    website = None if row is None else _asking(context, row.client_id)
    if expected is None:
        if website is not None and _needs_origin(context, agent_id):
            raise Refusal(400, "invalid_request", "This agent has to send expected_origin")
        return
    if not isinstance(expected, str) or website is None or expected not in website["origins"]:
        raise Refusal(409, "origin_mismatch", "Another website started this verification")


def _asking(context: Context, client_id: str | None) -> dict[str, Any] | None:
    """Describes the website that asked; None if the agent asked for itself."""
    client = None if client_id is None else context.clients.find(client_id)
    if client is None:
        return None
    origins = list(dict.fromkeys(origin_of(uri) for uri in client.redirect_uris))
    return {
        "client_id": client.id,
        "client_name": client.name,
        "origin": origins[0] if origins else None,
        "origins": origins,
    }


def _needs_origin(context: Context, agent_id: str) -> bool:
    with context.database.read() as connection:
        return bool(connection.execute(_NEEDS_ORIGIN, {"id": agent_id}).scalar())


def status(oauth: OAuthServer, call: Call) -> Answer:
    """GET /api/verify/status: for the agent, and for the website that opened the context."""
    context = oauth.context
    context_id = from_query(call.query).refuse_duplicates().get("verify_ctx_id")
    if scheme_of(call) in ("bearer", "dpop"):
        bearer, headers = need_agent(context, call)
        return _status_for_agent(context, bearer.family.agent.id, context_id, headers)
    client_id = _website(oauth, call, {})
    row = None if context_id is None else _find(context, context_id)
    if row is None or row.client_id != client_id:
        raise _unknown()
    return json_answer(_status(row))


def _status_for_agent(
    context: Context, agent_id: str, context_id: str | None, headers: Any
) -> Answer:
    if context_id is None:
        with context.database.read() as connection:
            row = connection.execute(_LATEST, {"agent": agent_id}).one_or_none()
        if row is None:
            return json_answer({"ok": True, "verified": False}, headers=(*NO_STORE, *headers))
    else:
        row = _find(context, context_id)
        if row is None or row.agent_id != agent_id:
            raise _unknown()
    told = _status(row)
    if row.verified_at is None and row.expires_at > context.now():
        asking = _asking(context, row.client_id)
        told["pending"] = {**_told(context, dict(row._mapping)), **(asking or {})}
    return json_answer(told, headers=(*NO_STORE, *headers))


def _open(context: Context, agent_id: str, client_id: str | None) -> dict[str, Any]:
    now = context.now()
    row = {
        "id": new_token("vctx_", 18),
        "agent_id": agent_id,
        "client_id": client_id,
        "challenge": secrets.token_urlsafe(32),
        "created_at": now,
        "expires_at": now + context.settings.challenge_lifetime,
    }
    with context.database.begin() as connection:
        connection.execute(insert(_TABLE), row)
    return row


def _told(context: Context, row: dict[str, Any]) -> dict[str, Any]:
    words = (row["challenge"], row["agent_id"], row["id"], row["expires_at"])
    return {
        "challenge": row["challenge"],
        "expires": row["expires_at"],
        "sig": _sign(context, *words),
        "verify_ctx_id": row["id"],
    }


def _sign(context: Context, said: str, agent_id: str, context_id: str, expires: Any) -> str:
    return context.codes.sign(f"{said}\0{agent_id}\0{context_id}\0{expires}")


def _find(context: Context, context_id: str) -> Any:
    with context.database.read() as connection:
        return connection.execute(_FIND, {"id": context_id}).one_or_none()


def _status(row: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"ok": True, "verified": row.verified_at is not None}
    if row.verified_at is not None:
        told["verified_at"] = moment(row.verified_at)
    return told


def _website(oauth: OAuthServer, call: Call, body: dict[str, Any]) -> str:
    """Returns the id of the website that calls, proved as at the token endpoint."""
    parameters = Parameters()
    for name in ("client_id", "client_secret", "client_assertion", "client_assertion_type"):
        if isinstance(body.get(name), str):
            parameters.add(name, body[name])
    return need_website(oauth, call, parameters).id


def _unknown() -> Refusal:
    return Refusal(404, "context_not_found", "There is no such verification")
