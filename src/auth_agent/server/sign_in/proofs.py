"""How an agent proves itself: by its secret, or by a signature with its key."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from auth_agent.server.context import Context
from auth_agent.server.security.assertions import BadAssertion
from auth_agent.server.security.credentials import LONGEST_SECRET, is_too_long
from auth_agent.server.web.call import Call, Refusal
from auth_agent.server.web.parameters import need_text
from auth_agent.server.web.urls import origin_of

# RFC 8176: a password, and the proof of possession of a software-secured key.
PASSWORD, KEY = "pwd", "swk"


class Proof(NamedTuple):
    """What an agent shows; exactly one of the two is there."""

    secret: str | None
    assertion: str | None

    def __repr__(self) -> str:
        return "Proof(...)"


def read_proof(body: dict[str, Any]) -> Proof:
    """The proof in a request; Refusal 400 if it has none, two, or one that cannot be right."""
    assertion = body.get("agent_assertion")
    if assertion is None:
        secret = need_text(body, "agent_secret")
        if is_too_long(secret):
            text = f"agent_secret is over {LONGEST_SECRET} bytes long"
            raise Refusal(400, "invalid_request", text)
        return Proof(secret, None)
    if "agent_secret" in body or not isinstance(assertion, str):
        raise Refusal(400, "invalid_request", "Send agent_secret or agent_assertion, as a string")
    return Proof(None, assertion)


def prove(context: Context, call: Call, proof: Proof, agent_id: str, row: Any) -> str:
    """How the agent proved itself, as a value of `amr`; Refusal if it did not.

    `row` is a sign-in beside the claimed agent, as `find_with_claimant` reads them.
    """
    if proof.secret is not None:
        return _by_secret(context, call, proof.secret, agent_id, row)
    return _by_signature(context, call, proof.assertion or "", agent_id, row)


def check_secret(
    context: Context, call: Call, agent_id: str, stored: str | None, secret: str
) -> bool:
    """Compares, counts failures per agent and address, and lets nobody guess on.

    Whoever was let in a moment ago is not stopped by the guesses of others beside him.
    """
    if context.verifier.recognises(stored, secret):
        return True
    context.limits.refuse_if_spent("agent_failures", agent_id, call.party)
    # The database is not held while bcrypt works.
    if context.verifier.verify(stored, secret):
        return True
    context.limits.count("agent_failures", agent_id, call.party)
    return False


def wrong_credentials(context: Context) -> Refusal:
    """The same for an unknown agent, a disabled one and a wrong secret."""
    challenge = ("www-authenticate", f'AgentSecret realm="{context.settings.issuer}"')
    return Refusal(401, "invalid_credentials", "Unknown agent or wrong secret", (challenge,))


def _by_secret(context: Context, call: Call, secret: str, agent_id: str, row: Any) -> str:
    proven = check_secret(context, call, agent_id, row.secret_hash, secret)
    if not proven or row.disabled_at is not None:
        _record(context, call, agent_id, row)
        raise wrong_credentials(context)
    return PASSWORD


def _by_signature(context: Context, call: Call, assertion: str, agent_id: str, row: Any) -> str:
    """The signature is for this request at this website and for no other."""
    is_active = row.agent_jwks is not None and row.disabled_at is None
    keys = json.loads(row.agent_jwks)["keys"] if is_active else []
    problem = "request_id in the assertion has to be that of the request"
    try:
        claims = context.assertions.check(assertion, keys, agent_id)
    except BadAssertion as error:
        claims, problem = {}, str(error)
    if claims.get("request_id") != row.id:
        # Without the key nothing can be guessed: who proves himself is never stopped.
        context.limits.take("agent_failures", agent_id, call.party)
        _record(context, call, agent_id, row)
        raise Refusal(401, "invalid_credentials", problem, wrong_credentials(context).headers)
    if claims.get("origin") != origin_of(row.redirect_uri):
        raise Refusal(409, "origin_mismatch", "The request belongs to another website")
    return KEY


def _record(context: Context, call: Call, agent_id: str, row: Any) -> None:
    context.record_refusal(
        kind="approval",
        outcome="invalid_credentials",
        agent_id=agent_id,
        client_id=row.client_id,
        request_id=row.id,
        address=call.address,
    )
