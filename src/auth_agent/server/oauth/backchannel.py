"""Backchannel authentication (OpenID CIBA Core 1.0, poll mode): an agent asks its own owner.

The owner is always the agent's own, so that a request without a hint is complete; `sub` of every
token stays the agent. Both are extensions of this server.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import insert

from auth_agent.protocol.details import is_line
from auth_agent.protocol.dpop.proof import Proof
from auth_agent.server.approval import asking, state
from auth_agent.server.context import Context
from auth_agent.server.oauth.clients.authentication import METHODS, prove_client
from auth_agent.server.oauth.server import OAuthServer
from auth_agent.server.registry.agents import LONGEST_MODEL
from auth_agent.server.registry.claims import AgentLimits, AgentRecord, find_agent
from auth_agent.server.registry.resources import find_resources
from auth_agent.server.security.credentials import digest, new_token
from auth_agent.server.security.dpop import BadProof
from auth_agent.server.sign_in.authorization.wishes import acceptable_details
from auth_agent.server.storage.tables.approvals import backchannel_request
from auth_agent.server.tokens.signed import read_id_token
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal, json_answer
from auth_agent.server.web.parameters import Parameters, from_body
from auth_agent.server.web.urls import host_of, return_origin, url_problem

INTERVAL = 5  # seconds between two polls
LONGEST_MESSAGE = 60
SHORTEST, LONGEST = 30, 3_600  # seconds that a question may wait
_HINTS = ("login_hint", "id_token_hint", "login_hint_token")
_SECONDS = re.compile(r"[1-9][0-9]{0,8}")
_NOT_GIVEN = {"offline_access"}


def ask_owner(oauth: OAuthServer, call: Call) -> Answer:
    """POST /bc-authorize: asks the owner of the agent that calls, and returns an `auth_req_id`."""
    context = oauth.context
    parameters = from_body(call.content_type, call.body).refuse_duplicates()
    proven = prove_client(oauth, call, parameters, kind="backchannel request", methods=METHODS[:3])
    if proven.client.agent_id is None:
        text = "Only an agent can send this request, and only to its own owner"
        raise Refusal(400, "unauthorized_client", text)
    proof = _proof(context, call, needed=proven.client.dpop_bound)
    with context.database.read() as connection:
        agent, limits = find_agent(connection, proven.client.agent_id)
    _check_hints(context, agent, parameters)
    audience = _audience(context, parameters)
    auth_req_id, now = new_token("bcr_"), context.now()
    question = state.Question(
        kind=state.CIBA,
        request_id=digest(auth_req_id),
        agent_id=agent.id,
        owner=agent.email,
        model=_model(parameters, limits),
        amr="swk" if proven.auth_method == "private_key_jwt" else "pwd",
        scope=_scope(context, parameters, limits, audience),
        client_id=proven.client.id,
        website=_name(context, audience),
        origin=return_origin(audience),
        audience=audience,
        act=acceptable_details(
            parameters.get("authorization_details"), context.settings.authorization_details_types
        ),
        message=_message(parameters),
        address=call.address,
    )
    seconds = _seconds(context, parameters)
    _ask(context, question, audience, proof, now=now, until=now + seconds)
    answer = {"auth_req_id": auth_req_id, "expires_in": seconds, "interval": INTERVAL}
    return json_answer(answer, headers=(*NO_STORE, *context.proofs.nonce_header()))


def _proof(context: Context, call: Call, *, needed: bool) -> Proof | None:
    """Returns the proof, if there is one; an agent whose tokens are bound to a key needs one.

    Without it the token request would fail after the owner had been asked in vain.
    """
    text = call.headers.get("dpop")
    if text is None and needed:
        text = (
            "Tokens of this agent are bound to a key; this request needs a proof of the key, too "
            "(DPoP)"
        )
        raise Refusal(400, "invalid_dpop_proof", text)
    try:
        return None if text is None else context.proofs.check(text, call.method, call.path)
    except BadProof as bad:
        raise _refused(context, bad) from None


def _refused(context: Context, bad: BadProof) -> Refusal:
    return Refusal(400, bad.error, bad.description, context.proofs.nonce_header())


def _ask(
    context: Context,
    question: state.Question,
    audience: str,
    proof: Proof | None,
    *,
    now: int,
    until: int,
) -> None:
    row = {
        "id": question.request_id,
        "audience": audience,
        "interval": INTERVAL,
        "expires_at": until,
    }
    with context.database.begin() as connection:
        try:
            if proof is not None:
                context.proofs.use(connection, proof)
            asking.hold_owner(context, connection, question)
        except BadProof as bad:
            raise _refused(context, bad) from None
        except Refusal as refusal:  # CIBA Core section 13 knows this code
            raise Refusal(403, "access_denied", refusal.description) from None
        connection.execute(insert(backchannel_request), row)
        mail = asking.ask(context, connection, question, now, until)
    if mail is not None:
        context.outbox.post(mail)


def _check_hints(context: Context, agent: AgentRecord, parameters: Parameters) -> None:
    """Refuses a hint that names anyone but the agent's own owner (CIBA Core section 7.1)."""
    given = [name for name in _HINTS if name in parameters]
    if len(given) > 1:
        raise _invalid("More than one hint names the owner")
    for name in ("request", "user_code", "login_hint_token"):
        if name in parameters:
            raise _invalid(f"{name} is not supported")
    hint, token = parameters.get("login_hint"), parameters.get("id_token_hint")
    is_other = hint is not None and hint.strip().lower() != agent.email.lower()
    if token is not None:
        issuer = context.settings.issuer
        found = read_id_token(token, context.keyring.current(), issuer)
        is_other = found is None or found["sub"] != agent.id
    if is_other:
        raise Refusal(400, "unknown_user_id", "The hint does not name the owner of this agent")


def _scope(context: Context, parameters: Parameters, limits: AgentLimits, audience: str) -> str:
    """Leaves out what the agent may not have; `openid` is compulsory (CIBA Core section 7.1)."""
    asked = list(dict.fromkeys(parameters.get("scope", "").split(" ")))
    if "openid" not in asked:
        raise Refusal(400, "invalid_scope", "scope has to contain openid")
    with context.database.read() as connection:
        found = find_resources(connection, [audience]).values()
    known = {*context.settings.scopes, *(word for api in found for word in api.scopes)}
    allowed = (known if limits.scopes is None else known & limits.scopes) - _NOT_GIVEN
    return " ".join(word for word in asked if word == "openid" or word in allowed)


def _audience(context: Context, parameters: Parameters) -> str:
    """Returns the one resource that the token is for; an approval is for one website."""
    resources = list(dict.fromkeys(parameters.resources)) or [context.settings.issuer]
    if len(resources) > 1:
        raise Refusal(400, "invalid_target", "An approval is for one resource")
    if resources[0] != context.settings.issuer and url_problem(resources[0]):
        raise Refusal(400, "invalid_target", "The resource is not an https URL")
    return resources[0]


def _name(context: Context, audience: str) -> str:
    with context.database.read() as connection:
        known = find_resources(connection, [audience])
    return known[audience].name if audience in known else host_of(audience)[:200]


def _message(parameters: Parameters) -> str | None:
    message = parameters.get("binding_message")
    if message is not None and not is_line(message, LONGEST_MESSAGE):
        text = f"binding_message has to be one line of at most {LONGEST_MESSAGE} characters"
        raise Refusal(400, "invalid_binding_message", text)
    return message


def _seconds(context: Context, parameters: Parameters) -> int:
    asked = parameters.get("requested_expiry")
    if asked is None:
        return context.settings.approval_lifetime
    if not _SECONDS.fullmatch(asked):
        raise _invalid("requested_expiry has to be a positive number of seconds")
    return min(max(int(asked), SHORTEST), LONGEST)


def _model(parameters: Parameters, limits: AgentLimits) -> str:
    model: Any = parameters.get("model", limits.model)
    if not model.isprintable() or len(model) > LONGEST_MODEL:
        raise _invalid("model has to be the name of a model, on one line")
    return str(model)


def _invalid(description: str) -> Refusal:
    return Refusal(400, "invalid_request", description)
