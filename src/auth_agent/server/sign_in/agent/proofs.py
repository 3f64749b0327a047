"""How an agent proves itself: with its secret, or with a signature by its key."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from auth_agent.server.context import Context
from auth_agent.server.security.assertions import BadAssertion
from auth_agent.server.security.credentials import LONGEST_SECRET, is_too_long
from auth_agent.server.web.at_once import or_wait
from auth_agent.server.web.call import Call, Refusal
from auth_agent.server.web.parameters import need_text
from auth_agent.server.web.urls import return_origin

# RFC 8176: a password, and the proof of possession of a software-secured key.
PASSWORD, KEY = "pwd", "swk"


class Proof(NamedTuple):
    """What an agent sends to prove itself: exactly one of the two."""

    secret: str | None
    assertion: str | None

    def __repr__(self) -> str:
        return "Proof(...)"


def read_proof(body: dict[str, Any]) -> Proof:
    """Reads the proof of a request; Refusal 400 if it has none, two, or one that is too long."""
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
    """Returns how the agent proved itself, as a value of `amr`; Refusal if it did not.

    `row` is a sign-in beside the claimed agent, as `find_with_claimant` reads them.
    """
    if proof.secret is not None:
        return _by_secret(context, call, proof.secret, agent_id, row)
    return _by_signature(context, call, proof.assertion or "", agent_id, row)


def need_secret(
    context: Context, call: Call, agent_id: str, row: Any, secret: str, *, kind: str, **about: str
) -> None:
    """Checks an agent's secret; counts, records and refuses a wrong one.

    `row` has the agent's `secret_hash` and `disabled_at`; None stands for an unknown agent.
    """
    stored = None if row is None else row.secret_hash
    # The database is not held while bcrypt works.
    proven = context.guesses.proves("agent_failures", agent_id, call.party, stored, secret)
    if not proven or row.disabled_at is not None:
        _record(context, call, agent_id, kind=kind, **about)
        raise wrong_credentials(context)


def wrong_credentials(context: Context) -> Refusal:
    """Returns the same refusal for an unknown agent, a disabled one and a wrong secret."""
    challenge = ("www-authenticate", f'AgentSecret realm="{context.settings.issuer}"')
    return Refusal(401, "invalid_credentials", "Unknown agent or wrong secret", (challenge,))


def _by_secret(context: Context, call: Call, secret: str, agent_id: str, row: Any) -> str:
    about = {"client_id": row.client_id, "request_id": row.id}
    need_secret(context, call, agent_id, row, secret, kind="approval", **about)
    return PASSWORD


def _by_signature(context: Context, call: Call, assertion: str, agent_id: str, row: Any) -> str:
    """Checks a signature for this request at this website and for no other."""
    is_active = row.agent_jwks is not None and row.disabled_at is None
    keys = json.loads(row.agent_jwks)["keys"] if is_active else []
    problem = "request_id in the assertion has to be that of the request"
    try:
        claims = context.assertions.check_approval(assertion, keys, agent_id)
    except BadAssertion as error:
        claims, problem = {}, str(error)
    if claims.get("request_id") != row.id:
        or_wait()  # to count and to record it
        # A signature cannot be guessed, so a right one is never refused for the wrong ones.
        context.limits.take("agent_failures", agent_id, call.party)
        about = {"client_id": row.client_id, "request_id": row.id}
        _record(context, call, agent_id, kind="approval", **about)
        raise Refusal(401, "invalid_credentials", problem, wrong_credentials(context).headers)
    if claims.get("origin") != return_origin(row.redirect_uri):
        raise Refusal(409, "origin_mismatch", "The request belongs to another website")
    return KEY


def _record(context: Context, call: Call, agent_id: str, *, kind: str, **about: str) -> None:
    context.record_refusal(
        kind=kind,
        outcome="invalid_credentials",
        agent_id=agent_id,
        address=call.address,
        **about,
    )
