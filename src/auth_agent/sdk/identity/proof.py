"""How an agent proves itself: with its private key (RFC 7523), else with its secret."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus

from auth_agent.flow.exchange import HttpRequest, form_request
from auth_agent.protocol.jose.private_key import load_key
from auth_agent.sdk.flow.effects import Flow, draw, today
from auth_agent.sdk.identity.options import Options
from auth_agent.secret import Secret

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60


def prove(options: Options, issuer: str, **bound: str) -> Flow[dict[str, str]]:
    """What goes into the body of an agent's request; `bound` is what a signature is good for.

    Raises `SettingsError` where the agent has neither a key nor a secret.
    """
    options.check_credential()
    if options.private_key is not None:
        signed = yield from _sign(options.private_key, options, issuer, bound)
        return {"agent_assertion": signed}
    assert options.agent_secret is not None  # noqa: S101  # checked above
    return {"agent_secret": options.agent_secret.reveal()}


def client_form(options: Options, url: str, fields: dict[str, str]) -> Flow[HttpRequest]:
    """A form of the agent as an OAuth client: key, secret, or as a public client."""
    if options.private_key is not None:
        signed = yield from _sign(options.private_key, options, options.server_url, {})
        assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
        return form_request(url, {**fields, "client_id": options.agent_id, **assertion})
    if options.agent_secret:
        # RFC 6749 2.3.1: both are form-urlencoded first.
        halves = (options.agent_id, options.agent_secret.reveal())
        pair = ":".join(quote_plus(half) for half in halves)
        encoded = base64.b64encode(pair.encode()).decode("ascii")
        return form_request(url, fields, (("Authorization", f"Basic {encoded}"),))
    return form_request(url, {**fields, "client_id": options.agent_id})


def _sign(pem: Secret, options: Options, issuer: str, bound: dict[str, str]) -> Flow[str]:
    """RFC 7523 3: for a minute, for once, for this issuer, and for what is named.

    Without a key id: an agent has one key, and it was registered as a PEM file, which names none.
    """
    import jwt  # noqa: PLC0415

    private, at = load_key(pem), int((yield from today()))
    claims: dict[str, Any] = {
        **bound,
        "iss": options.agent_id,
        "sub": options.agent_id,
        "aud": issuer,
        "iat": at,
        "exp": at + ASSERTION_SECONDS,
        "jti": (yield from draw()),
    }
    return jwt.encode(claims, private.key, private.alg)
