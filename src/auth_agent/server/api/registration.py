"""Registering by request: agents in the older generation's way, clients as RFC 7591 has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auth_agent.secret import Secret
from auth_agent.server.context import Context
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.resources import resource_scopes
from auth_agent.server.registry.rules import IdTaken, RegistrationError, TooMany
from auth_agent.server.registry.self_registered.metadata import auth_method_of, client_metadata
from auth_agent.server.security.credentials import LONGEST_SECRET, is_too_long
from auth_agent.server.storage.audit import acting
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import json_body, need_text

SHORTEST_SECRET = 16
_BY_REQUEST = "registration"


def register_agent(context: Context, call: Call) -> Answer:
    """POST /api/register-agent: the e-mail is not vouched for, so tokens omit it."""
    mode = context.settings.registers_agents
    if mode == "off":
        raise Refusal(
            403, "registration_disabled", ("Only an administrator can add agents at this server")
        )
    if mode == "token":
        _need_token(context, call)
    body = json_body(call.content_type, call.body)
    values = {name: need_text(body, name) for name in ("agent_id", "agent_secret", "owner_email")}
    secret = values["agent_secret"]
    if len(secret) < SHORTEST_SECRET or is_too_long(secret):
        text = f"agent_secret has to have {SHORTEST_SECRET} to {LONGEST_SECRET} bytes"
        raise Refusal(400, "invalid_request", text)
    headers = context.limits.take("registrations", call.party)
    try:
        with acting(_BY_REQUEST, call.address):
            made = agents.add_agent(
                context.database,
                values["owner_email"],
                name=_optional(body, "owner_name"),
                model=_optional(body, "model_name"),
                verified=False,
                agent_id=values["agent_id"],
                agent_secret=Secret(secret),
                now=context.now(),
            )
    except IdTaken as error:
        raise Refusal(409, "agent_exists", str(error).capitalize()) from None
    except RegistrationError as error:
        raise Refusal(400, "invalid_request", _ascii(error)) from None
    text = "The agent is registered; its owner's e-mail is not verified yet"
    return json_answer(
        {"success": True, "agent_id": made.agent_id, "message": text}, 201, (*NO_STORE, *headers)
    )


def register_client(context: Context, call: Call) -> Answer:
    """POST /register (RFC 7591): for all clients, or for the holder of the initial access token."""
    mode = context.settings.registers_clients
    if mode == "off":
        raise Refusal(403, "access_denied", "Only an administrator can add clients at this server")
    if mode == "token":
        _need_token(context, call)
    body = json_body(call.content_type, call.body)
    headers = context.limits.take("registrations", call.party)
    with context.database.read() as connection:
        known = (*context.settings.scopes, *sorted(resource_scopes(connection)))
    columns = client_metadata(body, known)
    # A client that asks for nothing that is known here gets the default; the answer says so.
    columns["scopes"] = columns["scopes"] or list(context.settings.scopes)
    try:
        with acting(_BY_REQUEST, call.address):
            made = clients.add_client(
                context.database,
                now=context.now(),
                **columns,
                origin="open" if mode == "open" else "registered",
            )
    except TooMany as error:
        raise Refusal(503, "temporarily_unavailable", str(error).capitalize()) from None
    except RegistrationError as error:
        code = "invalid_redirect_uri" if "redirect" in str(error) else "invalid_client_metadata"
        raise Refusal(400, code, _ascii(error)) from None
    told = _described(made, columns, context.now()) | {
        "token_endpoint_auth_method": auth_method_of(body)
    }
    return json_answer(told, 201, (*NO_STORE, *headers))


def _described(
    made: clients.ClientCredentials, columns: Mapping[str, Any], now: int
) -> dict[str, Any]:
    """Returns the client's registered metadata (RFC 7591 section 3.2.1), with its secret."""
    told: dict[str, Any] = {
        "client_id": made.client_id,
        "client_id_issued_at": now,
        "client_name": columns["name"],
        "redirect_uris": columns["redirect_uris"],
        "scope": " ".join(columns["scopes"]),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "id_token_signed_response_alg": columns["id_token_alg"],
    }
    if columns["dpop_bound"]:
        told["dpop_bound_access_tokens"] = True
    if columns["backchannel_logout_session_required"]:
        told["backchannel_logout_session_required"] = True
    if uris := columns["post_logout_redirect_uris"]:
        told["post_logout_redirect_uris"] = uris
    if made.client_secret:
        told |= {"client_secret": made.client_secret.reveal(), "client_secret_expires_at": 0}
    return told


def _need_token(context: Context, call: Call) -> None:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or Secret(token.strip()) != context.settings.registration_token:
        context.limits.take("registrations", call.party)
        context.record_refusal(kind="registration", outcome="refused", address=call.address)
        challenge = (("www-authenticate", "Bearer"),)
        raise Refusal(401, "invalid_token", "The registration token is required", challenge)


def _optional(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(400, "invalid_request", f"{name} has to be a string")
    return value


def _ascii(error: Exception) -> str:
    """Returns the text in ASCII; what was sent may be quoted in it."""
    return str(error).encode("ascii", "replace").decode()
