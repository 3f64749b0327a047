"""What an agent calls: it looks at a request, and proves itself to answer it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection

from .audit import record, refused
from .call import NO_STORE, Answer, Call, Refusal, json_answer
from .context import Context
from .credentials import LONGEST_SECRET, digest, is_too_long
from .parameters import json_body
from .sign_ins import approve, find_sign_in, find_with_claimant, status_of
from .urls import host_of, origin_of

LONGEST_MODEL = 200
_NOT_FOUND = (404, "request_not_found", "The request is unknown or has expired")


class Answering(NamedTuple):
    """A proven agent, the model it claims to be, and where it calls from."""

    agent_id: str
    model: str
    address: str


def authenticate(context: Context, call: Call) -> Answer:
    """POST /api/agent/authenticate (wire contract 1.3): the agent answers a sign-in request."""
    try:
        return _authenticate(context, call)
    except Refusal as refusal:
        body = {
            "success": False,
            "error": refusal.error,
            "error_description": refusal.description,
        }
        return json_answer(body, refusal.status, (*NO_STORE, *refusal.headers))


def describe_request(context: Context, call: Call) -> Answer:
    """GET /api/auth-requests/{request_id}: what an agent is about to approve."""
    with context.database.read() as connection:
        row = find_sign_in(connection, call.path_params["request_id"])
    status = "expired" if row is None else status_of(row, context.clock())
    if row is None or status == "expired":
        raise not_found(context, call)
    until = row.expires_at if row.code_expires_at is None else row.code_expires_at
    found = {
        "request_id": row.id,
        "client_id": row.client_id,
        "client_name": row.client_name,
        "redirect_host": host_of(row.redirect_uri),
        "redirect_origin": origin_of(row.redirect_uri),
        "scope": row.scope,
        "expires_in": max(0, until - context.now()),
        "status": status,
    }
    return json_answer(found)


def _authenticate(context: Context, call: Call) -> Answer:
    body = json_body(call.content_type, call.body)
    request_id, agent_id = _text(body, "request_id"), _text(body, "agent_id")
    secret = _text(body, "agent_secret")
    if is_too_long(secret):
        raise Refusal(400, "invalid_request", f"agent_secret is over {LONGEST_SECRET} bytes long")
    with context.database.read() as connection:
        row = find_with_claimant(connection, request_id, agent_id)
    if row is None or status_of(row, context.clock()) == "expired":
        raise not_found(context, call)
    if not context.verifier.recognises(row.secret_hash, secret):
        context.limits.refuse_if_spent("agent_failures", agent_id, call.party)
    # The database is not held while bcrypt works.
    proven = context.verifier.verify(row.secret_hash, secret)
    if not proven or row.disabled_at is not None:
        _refuse_credentials(context, call, row, agent_id)
    model = _model(body, row.agent_model)
    _check_origin(body, row)
    if _is_answered(row, agent_id):
        return _approved()
    with context.database.begin() as connection:
        _approve(context, connection, row, Answering(agent_id, model, call.address))
    return _approved()


def _approve(context: Context, connection: Connection, row: Any, by: Answering) -> None:
    now = context.now()
    done = approve(
        connection,
        row.id,
        now,
        by_agent=by.agent_id,
        with_model=by.model,
        with_scope=_granted_scope(row),
        how="pwd",
        with_code=digest(context.codes.code(row.id)),
        code_until=now + context.settings.code_lifetime,
    )
    if done:
        record(
            connection,
            at=now,
            kind="approval",
            outcome="approved",
            agent_id=by.agent_id,
            client_id=row.client_id,
            request_id=row.id,
            address=by.address,
        )
        return
    # Somebody was quicker; who, decides the answer.
    found = find_with_claimant(connection, row.id, by.agent_id)
    if found is None or not _is_answered(found, by.agent_id):
        raise Refusal(*_NOT_FOUND)


def _is_answered(row: Any, agent_id: str) -> bool:
    """True if this agent has answered before; refuses if anybody else has."""
    if row.denied_at is not None:
        raise Refusal(409, "request_denied", "The request was cancelled in the browser")
    if row.approved_at is None:
        return False
    if row.agent_id != agent_id:
        raise Refusal(409, "already_answered", "Another agent has answered this request")
    return True


def _granted_scope(row: Any) -> str:
    """The website's scope, narrowed to what this agent may give; its identity it always gives."""
    if row.agent_scopes is None:
        return str(row.scope)
    allowed = {*row.agent_scopes.split(), "openid"}
    return " ".join(word for word in row.scope.split() if word in allowed)


def _check_origin(body: dict[str, Any], row: Any) -> None:
    """The agent says which website it means: an approval for another one is not given."""
    expected = body.get("expected_origin")
    if expected is None:
        if row.require_origin:
            raise Refusal(400, "invalid_request", "This agent has to send expected_origin")
        return
    if not isinstance(expected, str) or expected != origin_of(row.redirect_uri):
        raise Refusal(409, "origin_mismatch", "The request belongs to another website")


def not_found(context: Context, call: Call) -> Refusal:
    """404, and 429 for whoever goes on guessing; requests that exist are answered all the same."""
    if not context.limits.count("unknown_requests", call.party):
        return context.limits.refusal("unknown_requests", call.party)
    return Refusal(*_NOT_FOUND)


def _refuse_credentials(context: Context, call: Call, row: Any, agent_id: str) -> None:
    context.limits.count("agent_failures", agent_id, call.party)
    refused(
        context,
        kind="approval",
        outcome="invalid_credentials",
        agent_id=agent_id,
        client_id=row.client_id,
        request_id=row.id,
        address=call.address,
    )
    challenge = ("www-authenticate", f'AgentSecret realm="{context.settings.issuer}"')
    raise Refusal(401, "invalid_credentials", "Unknown agent or wrong secret", (challenge,))


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(400, "invalid_request", f"Missing required parameter: {name}")
    return value


def _model(body: dict[str, Any], registered: str) -> str:
    value = body.get("model")
    model = registered if value is None else value
    if not isinstance(model, str) or not model.strip() or not model.isprintable():
        raise Refusal(400, "invalid_request", "model has to be a non-empty string")
    if len(model) > LONGEST_MODEL:
        raise Refusal(400, "invalid_request", f"model is over {LONGEST_MODEL} characters long")
    return model


def _approved() -> Answer:
    body = {
        "success": True,
        "status": "authenticated",
        "message": "The agent is authenticated; the browser goes on by itself",
    }
    return json_answer(body)
