"""GET /metrics."""

from __future__ import annotations

import hmac

from auth_agent.server.context import Context
from auth_agent.server.web.call import NO_STORE, Answer, Call, Refusal
from auth_agent.server.web.counters import exposition
from auth_agent.url import is_loopback

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(context: Context, call: Call) -> Answer:
    """Answers a request with the token; without a token, on a loopback server, this machine."""
    token = context.settings.metrics_token.reveal()
    if not token:
        # Behind a proxy on the same machine every request comes from a loopback address.
        if not (context.settings.is_loopback and is_loopback(call.address)):
            raise Refusal(404, "not_found", "There is nothing at this address")
    elif not _shows(call, token):
        challenge = (("www-authenticate", 'Bearer realm="metrics"'),)
        raise Refusal(
            401,
            "invalid_token",
            "The metrics need the token of AUTH_AGENT_SERVER_METRICS_TOKEN",
            challenge,
        )
    return Answer(200, exposition(), NO_STORE, CONTENT_TYPE)


def _shows(call: Call, token: str) -> bool:
    scheme, _, shown = call.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(shown.strip().encode(), token.encode())
    return scheme.lower() == "bearer" and right
