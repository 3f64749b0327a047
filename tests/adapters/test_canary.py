"""Marked secrets go in; no log line, body or header of the website may give one out."""

from __future__ import annotations

import logging

import pytest

from auth_agent.flow.exchange import HttpResponse
from auth_agent.testing.provider import json_response
from tests.adapters.conftest import Visitor

CLIENT_SECRET = "canary-client-secret: with+signs"
SITE_SECRET = "canary-site-secret-that-is-long-enough"
BAD_ANSWERS = [
    HttpResponse(500, {}, b"canary-server-error"),
    HttpResponse(200, {}, b"canary-not-json"),
    json_response(400, {"error": "invalid_grant", "error_description": "canary-description"}),
    json_response(401, {"error": "invalid_client"}),
    json_response(200, {"access_token": "canary-access-token", "token_type": "mac"}),
]


class Recorder(Visitor):
    """Keeps everything that the website ever said."""

    def __init__(self, *args):
        self.said = []
        super().__init__(*args)

    def request(self, *args, **kwargs):
        answer = super().request(*args, **kwargs)
        self.said += [answer.text, *(f"{name}: {value}" for name, value in answer.headers.items())]
        return answer


@pytest.mark.parametrize("stack", ["asgi", "wsgi", "starlette", "flask", "fastapi", "django-wsgi",
                                   "django-asgi"])  # fmt: skip
def test_nothing_secret_gets_out(stack, serve, provider, caplog):
    caplog.set_level(logging.DEBUG)
    provider.client_secret = CLIENT_SECRET
    base_url = serve(stack, client_secret=CLIENT_SECRET, secret=SITE_SECRET)
    with Recorder(base_url, provider, stack) as agent:
        token = provider.access_token(aud=base_url)
        walk(agent, provider, token)
        said = "\n".join(agent.said)
    # The website runs in threads of its own; what the main thread logs is the agent's own client.
    records = [record for record in caplog.records if record.threadName != "MainThread"]
    logged = "\n".join(line(record) for record in records)
    assert "signed_in" in logged
    issued = set(provider._families) | {token}
    canaries = {CLIENT_SECRET, SITE_SECRET, "canary", *issued}
    assert len(issued) > 2
    for canary in canaries:
        assert canary not in said
        assert canary not in logged
    for code in provider.issued_codes:
        assert code not in logged
        assert code not in said
    for cookie in agent.seen_cookies:
        assert cookie not in logged


def line(record):
    """Returns what a handler writes of a record: the message, our facts and a traceback."""
    facts = record.__dict__.get("auth_agent", "")
    return f"{logging.Formatter().format(record)} {facts}"


def walk(agent, provider, token):
    """Takes every way through the website that an agent's request can take."""
    agent.seen_cookies = set()
    agent.get("/")
    agent.get("/me")
    agent.sign_in()
    agent.seen_cookies |= {cookie.value for cookie in agent.cookies.jar}
    agent.get("/me")
    agent.get("/reports", headers={"accept": "text/html"})
    for header in (f"Bearer {token}", "Bearer canary-bad-token", "Bearer a b", f"Bearer {token}x"):
        agent.get("/private/report", headers={"authorization": header})
    for change in ({"state": "forged" * 8}, {"iss": "https://evil.example"}, {"code": "forged"},
                   {"error": "forged"}):  # fmt: skip
        agent.sign_in(**change)
    for answer in BAD_ANSWERS:
        provider.answers["/token"] = answer
        agent.sign_in()
    del provider.answers["/token"]
    provider.claims["nonce"] = "canary-nonce"
    agent.sign_in()
    del provider.claims["nonce"]
    agent.post("/auth-agent/backchannel-logout", data={"logout_token": "canary"})
    agent.post("/auth-agent/logout")
