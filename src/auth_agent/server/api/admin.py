"""Administration by programs: agents and clients, with an administrator's token."""

from __future__ import annotations

from typing import Any

from auth_agent.server.api.administrators import need_admin
from auth_agent.server.context import Context
from auth_agent.server.registry import agents as agent_registry
from auth_agent.server.registry import clients as client_registry
from auth_agent.server.registry.rules import IdTaken, RegistrationError
from auth_agent.server.registry.self_registered.metadata import client_metadata
from auth_agent.server.storage.audit import acting
from auth_agent.server.tokens import endings
from auth_agent.server.web.call import Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import json_body

_AGENT_FIELDS = {
    *("email", "name", "model", "scopes", "permissions", "require_origin", "dpop_bound"),
    "approval",
}
_ONLY_AT_FIRST = ("public_key", "signing_key", "agent_id")


def agents(context: Context, call: Call) -> Answer:
    """/api/admin/agents: GET lists, POST adds."""
    admin = need_admin(context, call)
    if call.method == "GET":
        return json_answer({"agents": agent_registry.list_agents(context.database)})
    body = _body(call, {*_AGENT_FIELDS, "email_verified", *_ONLY_AT_FIRST})
    values = {name: body[name] for name in _AGENT_FIELDS - {"email"} if name in body}
    with acting(admin.name, call.address):
        made = _register(
            agent_registry.add_agent,
            context.database,
            str(body.get("email", "")),
            now=context.now(),
            **values,
            verified=body.get("email_verified", True),
            **{name: body.get(name) for name in _ONLY_AT_FIRST},
        )
    secret = made.agent_secret.reveal() or None
    return json_answer({"agent_id": made.agent_id, "agent_secret": secret}, 201)


def agent(context: Context, call: Call) -> Answer:
    """/api/admin/agents/{id}: GET, PATCH, and DELETE, which disables for good."""
    admin, agent_id = need_admin(context, call), call.path_params["id"]
    with acting(admin.name, call.address):
        if call.method == "DELETE":
            if not endings.disable_agent(context.database, agent_id, context.now()):
                raise _not_found()
            return Answer(204)
        if call.method == "PATCH":
            body = _body(call, {*_AGENT_FIELDS, "email_verified"})
            _change(agent_registry.change_agent, context, agent_id, body)
    return json_answer(_one(agent_registry.list_agents(context.database), "agent_id", agent_id))


def clients(context: Context, call: Call) -> Answer:
    """/api/admin/clients: GET lists, POST adds, in the words of RFC 7591."""
    admin = need_admin(context, call)
    if call.method == "GET":
        return json_answer({"clients": client_registry.list_clients(context.database)})
    body = json_body(call.content_type, call.body)
    columns = client_metadata(body, context.settings.scopes)
    if not columns["scopes"]:
        raise Refusal(400, "invalid_request", "scope contains no scope that this server knows")
    # The default of a client that registers itself is not that of one added by hand.
    columns["id_token_alg"] = body.get("id_token_signed_response_alg")
    resources = body.get("resources", [])
    if not isinstance(resources, list) or not all(isinstance(one, str) for one in resources):
        raise Refusal(400, "invalid_request", "resources is not a list of strings")
    with acting(admin.name, call.address):
        made = _register(
            client_registry.add_client,
            context.database,
            now=context.now(),
            **columns,
            resources=resources,
        )
    secret = made.client_secret.reveal() if made.client_secret else None
    return json_answer({"client_id": made.client_id, "client_secret": secret}, 201)


def client(context: Context, call: Call) -> Answer:
    """/api/admin/clients/{id}: GET, PATCH, and DELETE, which ends it for good."""
    admin, client_id = need_admin(context, call), call.path_params["id"]
    with acting(admin.name, call.address):
        if call.method == "DELETE":
            if not endings.remove_client(context.database, client_id, context.now()):
                raise _not_found()
            return Answer(204)
        if call.method == "PATCH":
            body = _body(call, _CLIENT_FIELDS)
            _change(client_registry.change_client, context, client_id, body)
    return json_answer(_one(client_registry.list_clients(context.database), "client_id", client_id))


def _body(call: Call, known: set[str]) -> dict[str, Any]:
    """Returns a typed object of known fields."""
    body = json_body(call.content_type, call.body)
    if unknown := sorted(set(body) - known):
        text = f"Unknown field {unknown[0]!a}; known are {', '.join(sorted(known))}"
        raise Refusal(400, "invalid_request", text[:300])
    for name, value in body.items():
        if not _fits(value, _KINDS.get(name, str)):
            raise Refusal(400, "invalid_request", f"{name} has the wrong type")
    return body


_CLIENT_FIELDS = {
    *("name", "redirect_uris", "scopes", "resources", "backchannel_logout_uri"),
    *("post_logout_redirect_uris", "id_token_alg", "strict_audience", "dpop_bound"),
    "backchannel_logout_session_required",
}
_KINDS: dict[str, type] = {
    **dict.fromkeys(("redirect_uris", "scopes", "resources", "permissions"), list),
    **dict.fromkeys(("require_origin", "email_verified", "strict_audience"), bool),
    **dict.fromkeys(("dpop_bound", "backchannel_logout_session_required"), bool),
    "post_logout_redirect_uris": list,
}


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, list):
        return kind is list and all(isinstance(one, str) for one in value)
    return isinstance(value, kind)


def _change(change: Any, context: Context, entry_id: str, body: dict[str, Any]) -> None:
    if not _register(change, context.database, entry_id, context.now(), **body):
        raise _not_found()


def _register(add: Any, *arguments: Any, **values: Any) -> Any:
    try:
        return add(*arguments, **values)
    except IdTaken as error:
        raise Refusal(409, "id_taken", str(error).capitalize()) from None
    except RegistrationError as error:
        text = str(error).encode("ascii", "replace").decode()
        raise Refusal(400, "invalid_request", text) from None


def _one(rows: list[dict[str, Any]], name: str, value: str) -> dict[str, Any]:
    found = next((row for row in rows if row[name] == value), None)
    if found is None:
        raise _not_found()
    return found


def _not_found() -> Refusal:
    return Refusal(404, "not_found", "There is no such entry")
