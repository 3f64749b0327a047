"""The proof of an agent: a signature of its private key (RFC 7523), else its secret."""

from __future__ import annotations

import base64
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote_plus

from auth_agent.errors import AuthError
from auth_agent.flow.exchange import HttpRequest, HttpResponse, form_request
from auth_agent.protocol.jose.private_key import load_key
from auth_agent.sdk.flow.effects import Flow, draw, today
from auth_agent.sdk.identity.options import Options
from auth_agent.secret import Secret

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
CLOCK_SECONDS = 30  # our clock is never honestly that far off, and the answer took a moment
APPROVAL_TYPE = "agent-approval+jwt"


def prove(options: Options, issuer: str, **bound: str) -> Flow[dict[str, str]]:
    """Returns the proof for the body of an agent's request; a signature is valid for `bound` only.

    Raises `SettingsError` if the agent has neither a key nor a secret.
    """
    options.check_credential()
    if options.private_key is not None:
        signed = yield from _sign(options.private_key, options, issuer, bound)
        return {"agent_assertion": signed}
    assert options.agent_secret is not None  # noqa: S101  # checked above
    return {"agent_secret": options.agent_secret.reveal()}


def client_form(options: Options, url: str, fields: dict[str, str]) -> Flow[HttpRequest]:
    """Returns a form of the agent as an OAuth client: with key, secret, or as a public client."""
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


def check_clock(response: HttpResponse, issuer: str) -> Flow[None]:
    """Raises `clock_wrong` if a refused signature was dated by a clock unlike the server's.

    A signature is valid for a minute; the refusal's `Date` header has the server's time.
    """
    try:
        server = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return
    difference = round((yield from today()) - server)
    if abs(difference) > CLOCK_SECONDS:
        where = "ahead of" if difference > 0 else "behind"
        raise AuthError(
            f"This machine's clock is {abs(difference):,} seconds {where} the clock of {issuer}, "
            "which therefore refuses the agent's signature. Set the clock (for example with "
            "`timedatectl set-ntp true`), then try again.",
            code="clock_wrong",
            status_code=401,
        )


def _sign(pem: Secret, options: Options, issuer: str, bound: dict[str, str]) -> Flow[str]:
    """Returns a single-use signature for a minute, for this issuer and for `bound` (RFC 7523 3).

    It has no key id: an agent has one key, registered as a PEM file, which names none.
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
    # An approval has a type of its own, so that it is valid for nothing else.
    headers = {"typ": APPROVAL_TYPE} if "request_id" in bound else None
    return jwt.encode(claims, private.key, private.alg, headers)
