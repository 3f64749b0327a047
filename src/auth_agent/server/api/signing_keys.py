"""Administration by programs: the keys with which an agent signs its requests."""

from __future__ import annotations

from auth_agent.server.api.administrators import need_admin
from auth_agent.server.context import Context
from auth_agent.server.registry.request_keys import (
    add_request_key,
    list_request_keys,
    remove_request_key,
)
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.storage.audit import acting
from auth_agent.server.storage.tables.parties import agent
from auth_agent.server.web.call import Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import json_body
from auth_agent.server.web.urls import agent_url

_NOT_FOUND = Refusal(404, "not_found", "There is no such entry")


def signing_keys(context: Context, call: Call) -> Answer:
    """/api/admin/agents/{id}/signing-keys: GET lists, POST adds a `public_key` (PEM or JWK)."""
    admin, agent_id = need_admin(context, call), call.path_params["id"]
    named = agent_url(context.settings.issuer, agent_id)
    if call.method == "GET":
        with context.database.read() as connection:
            if connection.execute(agent.select().where(agent.c.id == agent_id)).first() is None:
                raise _NOT_FOUND
            keys = list_request_keys(connection, agent_id)
        return json_answer({"signature_agent": named, "keys": keys})
    body = json_body(call.content_type, call.body)
    text = body.get("public_key")
    if set(body) != {"public_key"} or not isinstance(text, str):
        raise Refusal(400, "invalid_request", "Send public_key, a PEM text or a JWK as text")
    with acting(admin.name, call.address):
        try:
            kid = add_request_key(context.database, agent_id, text, context.now())
        except RegistrationError as error:
            raise Refusal(400, "invalid_request", str(error)) from None
    if kid is None:
        raise _NOT_FOUND
    return json_answer({"kid": kid, "signature_agent": named}, 201)


def signing_key(context: Context, call: Call) -> Answer:
    """DELETE /api/admin/agents/{id}/signing-keys/{kid}: removes a key for good."""
    admin, names = need_admin(context, call), call.path_params
    with acting(admin.name, call.address):
        if not remove_request_key(context.database, names["id"], names["kid"], context.now()):
            raise _NOT_FOUND
    return Answer(204)
