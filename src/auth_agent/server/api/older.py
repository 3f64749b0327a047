"""The older generation's endpoints: a request opened for an agent, its profile, its events."""

from __future__ import annotations

import json
import time
from typing import Any

from authlib.oauth2.rfc6749.errors import OAuth2Error
from sqlalchemy import bindparam, select

from auth_agent.server.context import Context
from auth_agent.server.registry.agents import change_agent
from auth_agent.server.security.credentials import LONGEST_SECRET, is_too_long, new_token
from auth_agent.server.sign_in.proofs import check_secret, wrong_credentials
from auth_agent.server.sign_in.request import audience_of, check_payload, validated_client
from auth_agent.server.sign_in.sign_ins import open_sign_in
from auth_agent.server.storage import tables
from auth_agent.server.storage.events import keep_events
from auth_agent.server.tokens.bearer import need_agent
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import Parameters, json_body, need_text

MOST_EVENTS = 100  # in one batch
LONGEST_EVENT = 8_192  # characters of JSON
LONGEST_RESULT = 2_000
_AGENT = select(tables.agent).where(tables.agent.c.id == bindparam("id"))


def agent_auth(context: Context, call: Call) -> Answer:
    """POST /api/agent-auth: opens a request that only this agent may answer; approves nothing."""
    body = json_body(call.content_type, call.body)
    agent_id, secret = need_text(body, "agent_id"), need_text(body, "agent_secret")
    if is_too_long(secret):
        raise Refusal(400, "invalid_request", f"agent_secret is over {LONGEST_SECRET} bytes long")
    with context.database.read() as connection:
        row = connection.execute(_AGENT, {"id": agent_id}).one_or_none()
    stored = None if row is None else row.secret_hash
    proven = check_secret(context, call, agent_id, stored, secret)
    if not proven or row is None or row.disabled_at is not None:
        raise wrong_credentials(context)
    request_id = _open(context, call, agent_id, _parameters(body))
    told = {
        "session_id": request_id,
        "challenge_url": f"{context.settings.issuer}/authorize/challenge?request_id={request_id}",
        "expires_in": context.settings.request_lifetime,
        "next_step": "Open challenge_url in the browser that signs in, then approve the request "
        f"session_id with POST {context.settings.issuer}/api/agent/authenticate",
    }
    return json_answer(told)


def profile(context: Context, call: Call) -> Answer:
    """GET and PUT /api/agents/profile: what is registered about the agent that asks."""
    bearer, headers = need_agent(context, call)
    agent_id = bearer.family.agent.id
    if call.method == "PUT":
        _update_profile(context, agent_id, json_body(call.content_type, call.body))
    with context.database.read() as connection:
        row = connection.execute(_AGENT, {"id": agent_id}).one()
    told = {
        "agent_id": row.id,
        "model_name": row.model,
        "owner_name": row.name,
        "owner_email": row.email,
        "owner_email_verified": row.email_verified,
        "permissions": row.permissions.split(),
        "disabled": row.disabled_at is not None,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
    }
    return json_answer(told, headers=(*NO_STORE, *headers))


def events(context: Context, call: Call) -> Answer:
    """POST /api/events: one event, or up to a hundred as `{"events": [...]}`."""
    bearer, headers = need_agent(context, call)
    body = json_body(call.content_type, call.body)
    batch = body.get("events", [body]) if "event" not in body else [body]
    if not isinstance(batch, list) or not 1 <= len(batch) <= MOST_EVENTS:
        raise Refusal(400, "invalid_request", f"events has to be a list of 1 to {MOST_EVENTS}")
    rows = [
        {
            **_event(each),
            "at": context.now(),
            "agent_id": bearer.family.agent.id,
            "client_id": bearer.family.client_id,
        }
        for each in batch
    ]
    with context.database.begin() as connection:
        keep_events(connection, rows)
    return json_answer({"ok": True, "accepted": len(rows)}, 202, (*NO_STORE, *headers))


def moment(seconds: int) -> str:
    """ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _parameters(body: dict[str, Any]) -> Parameters:
    """The body in the words of an authorization request."""
    found = Parameters()
    found.add("response_type", "code")
    for name in (
        *("client_id", "redirect_uri", "state", "scope", "nonce"),
        *("code_challenge", "code_challenge_method"),
    ):
        value = body.get(name)
        if not isinstance(value, str | None):
            raise Refusal(400, "invalid_request", f"{name} has to be a string")
        found.add(name, value or "")
    return found


def _open(context: Context, call: Call, agent_id: str, parameters: Parameters) -> str:
    issuer, now = context.settings.issuer, context.now()
    try:
        client, redirect_uri = validated_client(context.clients.find, parameters)
        scope = check_payload(client, parameters, issuer)
    except OAuth2Error as error:
        raise Refusal(400, error.error, error.description or "The request is refused") from None
    if client.agent_id not in (None, agent_id):
        raise Refusal(400, "invalid_request", "Another agent cannot be the client")
    row = {
        "id": new_token("req_", 18),
        "client_id": client.id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "audience": " ".join(audience_of(client, parameters, issuer)),
        "state": parameters.get("state"),
        "nonce": parameters.get("nonce"),
        "code_challenge": parameters["code_challenge"],
        "browser_hash": None,
        "created_at": now,
        "expires_at": now + context.settings.request_lifetime,
        "address": call.party,
        "only_agent": agent_id,
    }
    with context.database.begin() as connection:
        opened = open_sign_in(connection, row, context.settings.limit_pending)
    if not opened:
        wait = (("retry-after", str(context.settings.request_lifetime)),)
        raise Refusal(429, "too_many_requests", "Too many requests are pending", wait)
    return str(row["id"])


def _update_profile(context: Context, agent_id: str, body: dict[str, Any]) -> None:
    columns = {"owner_name": "name", "model_name": "model"}
    if not body or set(body) - set(columns):
        raise Refusal(400, "invalid_request", "Only owner_name and model_name can be changed")
    for name, value in body.items():
        if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
            raise Refusal(400, "invalid_request", f"{name} has to be a line of 200 characters")
    values = {columns[name]: value for name, value in body.items()}
    change_agent(context.database, agent_id, context.now(), outcome="profile changed", **values)


def _event(each: Any) -> dict[str, Any]:
    if not isinstance(each, dict):
        raise Refusal(400, "invalid_request", "An event has to be an object")
    kind, site = need_text(each, "event"), each.get("site")
    if len(kind) > 200 or (site is not None and (not isinstance(site, str) or len(site) > 255)):
        raise Refusal(400, "invalid_request", "event or site is no string or too long")
    rest = {name: value for name, value in each.items() if name not in ("event", "site")}
    if isinstance(rest.get("result"), str):
        rest["result"] = rest["result"][:LONGEST_RESULT]
    data = json.dumps(rest)
    if len(data) > LONGEST_EVENT:
        raise Refusal(400, "invalid_request", f"An event is over {LONGEST_EVENT} characters long")
    return {"kind": kind, "site": site, "data": data}
