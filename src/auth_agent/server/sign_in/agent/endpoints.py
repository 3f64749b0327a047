"""The agent's endpoints: it looks at a sign-in request, and proves itself to answer it."""

from __future__ import annotations

from typing import Any

from auth_agent.server.context import Context
from auth_agent.server.registry.agents import LONGEST_MODEL
from auth_agent.server.sign_in.agent.answering import (
    NOT_FOUND,
    Answering,
    accept,
    accept_in,
    standing_answer,
)
from auth_agent.server.sign_in.agent.proofs import (
    KEY,
    PASSWORD,
    prove,
    read_proof,
    wrong_credentials,
)
from auth_agent.server.sign_in.authorization.wishes import told
from auth_agent.server.sign_in.parties import resources_of
from auth_agent.server.sign_in.second_factor import (
    METHODS,
    begin_second_step,
    count_guess,
    find_step,
    is_right,
    use_step,
)
from auth_agent.server.sign_in.state import (
    find_sign_in,
    find_with_claimant,
    is_native,
    status_of,
)
from auth_agent.server.storage.audit import record
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal, json_answer
from auth_agent.server.web.pages.render import Pages
from auth_agent.server.web.parameters import json_body, need_text
from auth_agent.server.web.urls import host_of, return_origin


def agent_json(_pages: Pages, refusal: Refusal) -> Answer:
    """Returns a refusal as published agents read it (wire contract 1.3)."""
    body = {
        "success": False,
        "error": refusal.error,
        "error_description": refusal.description,
    }
    return json_answer(body, refusal.status, (*NO_STORE, *refusal.headers))


def describe_request(context: Context, call: Call) -> Answer:
    """GET /api/auth-requests/{request_id}: describes what an agent is about to approve."""
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
        "redirect_origin": return_origin(row.redirect_uri),
        "scope": row.scope,
        "expires_in": max(0, until - context.now()),
        "status": status,
        **told(row),
    }
    if resources := resources_of(context, row):
        found["resources"] = [one.url for one in resources]
    if is_native(row):
        found["is_native"] = True
    return json_answer(found)


def authenticate(context: Context, call: Call) -> Answer:
    """POST /api/agent/authenticate (wire contract 1.3): the agent answers a sign-in request."""
    body = json_body(call.content_type, call.body)
    request_id, agent_id = need_text(body, "request_id"), need_text(body, "agent_id")
    proof = read_proof(body)
    with context.database.read() as connection:
        row = find_with_claimant(connection, request_id, agent_id)
    if row is None or status_of(row, context.clock()) == "expired":
        raise not_found(context, call)
    if row.only_agent not in (None, agent_id):
        raise Refusal(409, "another_agent", "Only the agent that asked may answer this request")
    how = prove(context, call, proof, agent_id, row)
    model = _model(body, row.agent_model)
    if how != KEY:  # a signature names the website itself
        _check_origin(body, row)
    standing = standing_answer(context, row, agent_id)
    if standing is not None:
        return standing
    if row.second_factor:
        return begin_second_step(context, row, agent_id, model)
    return accept(context, row, Answering(agent_id, model, how, call.address))


def verify_second_factor(context: Context, call: Call) -> Answer:
    """POST /api/agent/verify-2fa (wire contract 1.3): checks the code mailed to the owner."""
    body = json_body(call.content_type, call.body)
    request_id, code = need_text(body, "request_id"), need_text(body, "code")
    with context.database.read() as connection:
        step = find_step(connection, request_id)
        row = find_with_claimant(connection, request_id, step.agent_id) if step else None
    if step is None or row is None or status_of(row, context.clock()) == "expired":
        raise not_found(context, call)
    if row.disabled_at is not None:
        raise wrong_credentials(context)
    _model(body, step.model)
    is_proven = _is_proven(context, call, body, step)
    standing = standing_answer(context, row, step.agent_id)
    if standing is not None and is_right(context, step, code):
        return standing
    how = PASSWORD if row.secret_hash else KEY
    by = Answering(step.agent_id, step.model, f"{how} {METHODS}", call.address)
    with context.database.begin() as connection:
        tried = count_guess(context, connection, step, is_proven=is_proven)
        if is_right(context, step, code) and use_step(connection, step, context.now()):
            tried.take_back(connection)
            answer, mail = accept_in(context, connection, row, by)
        else:
            answer, mail = None, None
            ids = {"agent_id": step.agent_id, "client_id": row.client_id, "request_id": row.id}
            record(connection, at=context.now(), kind="approval", outcome="invalid_code",
                   address=call.address, **ids)  # fmt: skip
    if answer is not None:
        if mail is not None:
            context.outbox.post(mail)
        return answer
    raise Refusal(401, "invalid_code", "This code is not the one that was mailed")


def _is_proven(context: Context, call: Call, body: dict[str, Any], step: Any) -> bool:
    """Returns True if the step's own agent proves itself again; refuses a wrong proof.

    Older clients prove nothing here; the code alone finishes their sign-in.
    """
    if not {"agent_secret", "agent_assertion"} & body.keys():
        return False
    agent_id, proof = need_text(body, "agent_id"), read_proof(body)
    with context.database.read() as connection:
        row = find_with_claimant(connection, step.request_id, agent_id)
    if row is None:
        raise not_found(context, call)
    prove(context, call, proof, agent_id, row)
    if agent_id != step.agent_id:
        raise Refusal(409, "already_answered", "Another agent has answered this request")
    return True


def _check_origin(body: dict[str, Any], row: Any) -> None:
    """Refuses an approval that the agent meant for another website."""
    expected = body.get("expected_origin")
    if expected is None:
        if row.require_origin:
            raise Refusal(400, "invalid_request", "This agent has to send expected_origin")
        return
    if not isinstance(expected, str) or expected != return_origin(row.redirect_uri):
        raise Refusal(409, "origin_mismatch", "The request belongs to another website")


def not_found(context: Context, call: Call) -> Refusal:
    """Returns 404, or 429 after too many guesses from one address.

    Existing requests are never limited.
    """
    if not context.limits.count("unknown_requests", call.party):
        return context.limits.refusal("unknown_requests", call.party)
    return Refusal(*NOT_FOUND)


def _model(body: dict[str, Any], registered: str) -> str:
    value = body.get("model")
    model = registered if value is None else value
    if not isinstance(model, str) or not model.strip() or not model.isprintable():
        raise Refusal(400, "invalid_request", "model has to be a non-empty string")
    if len(model) > LONGEST_MODEL:
        raise Refusal(400, "invalid_request", f"model is over {LONGEST_MODEL} characters long")
    return model
