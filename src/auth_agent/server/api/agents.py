"""The agent's own endpoints (older generation): its profile, and what it reports."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import bindparam, select

from auth_agent.server.context import Context
from auth_agent.server.registry.agents import change_agent
from auth_agent.server.storage.events import keep_events
from auth_agent.server.storage.tables import parties
from auth_agent.server.tokens.bearer import need_agent
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import json_body, need_text

MOST_EVENTS = 100  # in one batch
LONGEST_EVENT = 8_192  # characters of JSON
LONGEST_RESULT = 2_000
_AGENT = select(parties.agent).where(parties.agent.c.id == bindparam("id"))


def profile(context: Context, call: Call) -> Answer:
    """GET and PUT /api/agents/profile: reads or changes what is registered about the caller."""
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
    agent_id = bearer.family.agent.id
    rows = [
        {
            **_event(each),
            "at": context.now(),
            "agent_id": agent_id,
            "client_id": bearer.family.client_id,
        }
        for each in batch
    ]
    with context.database.begin() as connection:
        keep_events(connection, agent_id, rows, context.settings.max_agent_events)
    return json_answer({"ok": True, "accepted": len(rows)}, 202, (*NO_STORE, *headers))


def moment(seconds: int) -> str:
    """Returns a time in ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _update_profile(context: Context, agent_id: str, body: dict[str, Any]) -> None:
    columns = {"owner_name": "name", "model_name": "model"}
    if not body or set(body) - set(columns):
        raise Refusal(400, "invalid_request", "Only owner_name and model_name can be changed")
    for name, value in body.items():
        if not isinstance(value, str) or not value.isprintable() or len(value) > 200:
            raise Refusal(
                400, "invalid_request", (f"{name} has to be one line of at most 200 characters")
            )
    values = {columns[name]: value for name, value in body.items()}
    change_agent(context.database, agent_id, context.now(), outcome="profile changed", **values)


def _event(each: Any) -> dict[str, Any]:
    if not isinstance(each, dict):
        raise Refusal(400, "invalid_request", "An event has to be an object")
    kind, site = need_text(each, "event"), each.get("site")
    if len(kind) > 200 or (site is not None and (not isinstance(site, str) or len(site) > 255)):
        raise Refusal(400, "invalid_request", "event or site is not a string, or is too long")
    rest = {name: value for name, value in each.items() if name not in ("event", "site")}
    if isinstance(rest.get("result"), str):
        rest["result"] = rest["result"][:LONGEST_RESULT]
    data = json.dumps(rest)
    if len(data) > LONGEST_EVENT:
        raise Refusal(400, "invalid_request", f"An event is longer than {LONGEST_EVENT} characters")
    return {"kind": kind, "site": site, "data": data}
