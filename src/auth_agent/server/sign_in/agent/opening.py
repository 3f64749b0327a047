"""A sign-in that an agent opens itself (older generation); only this agent may approve it."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import bindparam, select

from auth_agent.server.context import Context
from auth_agent.server.security.credentials import LONGEST_SECRET, is_too_long
from auth_agent.server.sign_in.agent.proofs import need_secret
from auth_agent.server.sign_in.authorization.opening import open_sign_in
from auth_agent.server.sign_in.authorization.request import check_request, validated_client
from auth_agent.server.sign_in.parties import find_client, known_resources
from auth_agent.server.storage.tables import parties
from auth_agent.server.web.call import Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import Parameters, json_body, need_text

_AGENT = select(parties.agent.c.secret_hash, parties.agent.c.disabled_at).where(
    parties.agent.c.id == bindparam("id")
)
_NAMES = (
    "client_id",
    "redirect_uri",
    "state",
    "scope",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
)


def agent_auth(context: Context, call: Call) -> Answer:
    """POST /api/agent-auth: opens a sign-in that only this agent may approve; approves nothing."""
    body = json_body(call.content_type, call.body)
    agent_id, secret = need_text(body, "agent_id"), need_text(body, "agent_secret")
    if is_too_long(secret):
        raise Refusal(400, "invalid_request", f"agent_secret is over {LONGEST_SECRET} bytes long")
    with context.database.read() as connection:
        row = connection.execute(_AGENT, {"id": agent_id}).one_or_none()
    need_secret(context, call, agent_id, row, secret, kind="agent sign-in")
    request_id = _open(context, call, agent_id, _parameters(body))
    told = {
        "session_id": request_id,
        "challenge_url": f"{context.settings.issuer}/authorize/challenge?request_id={request_id}",
        "expires_in": context.settings.request_lifetime,
        "next_step": "Open challenge_url in the browser that signs in, then approve the request "
        f"session_id with POST {context.settings.issuer}/api/agent/authenticate",
    }
    return json_answer(told)


def _parameters(body: dict[str, Any]) -> Parameters:
    """Returns the body as the parameters of an authorization request."""
    found = Parameters()
    found.add("response_type", "code")
    for name in _NAMES:
        value = body.get(name)
        if not isinstance(value, str | None):
            raise Refusal(400, "invalid_request", f"{name} has to be a string")
        found.add(name, value or "")
    return found


def _open(context: Context, call: Call, agent_id: str, parameters: Parameters) -> str:
    find = functools.partial(find_client, context, party=call.party)
    client, redirect_uri = validated_client(find, parameters)
    issuer, known = context.settings.issuer, functools.partial(known_resources, context)
    types = context.settings.authorization_details_types
    request = check_request(client, redirect_uri, parameters, issuer, known, details_types=types)
    if client.agent_id not in (None, agent_id):
        raise Refusal(400, "invalid_request", "The client has to be this agent itself")
    with context.database.begin() as connection:
        return open_sign_in(
            context,
            connection,
            request,
            party=call.party,
            browser=None,
            only_agent=agent_id,
        )
