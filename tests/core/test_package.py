"""The package itself: what it offers, and what it does not drag in."""

from __future__ import annotations

import subprocess
import sys

import auth_agent

HEAVY = ("asyncio", "anyio", "httpx2", "starlette", "jwt", "authlib", "rich", "typer", "sqlalchemy")


def test_offers_what_it_promises():
    for name in auth_agent.__all__:
        assert getattr(auth_agent, name).__module__.startswith("auth_agent")
    promised = {"Agent", "AuthError", "RelyingParty", "Requirement", "Settings"}
    assert promised <= set(auth_agent.__all__)


def test_importing_it_loads_no_framework_no_event_loop_and_no_http_client():
    code = f"import sys, auth_agent; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.strip() == "[]"


def test_every_error_is_an_auth_error_with_a_code_and_a_status():
    for name in auth_agent.__all__:
        value = getattr(auth_agent, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, auth_agent.AuthError)
            assert value.default_code
            assert 400 <= value.default_status < 600


def test_nothing_secret_has_a_repr(browser, server):
    from auth_agent.flow.exchange import HttpRequest
    from auth_agent.protocol.token import parse_tokens
    from auth_agent.website.recognition.reader import SessionReader
    from auth_agent.website.sign_in import login
    from tests.core.browser import ValueVisit

    url = browser.begin()
    browser.end(url)
    token = next(r for r in server.requests if r.url.endswith("/token"))
    assert "code" not in repr(token)
    visit = ValueVisit("GET", "/auth-agent/callback?code=ac_secret&state=s", {})
    assert "ac_secret" not in repr(login.read_callback(visit))
    assert "q=secret" not in repr(HttpRequest("GET", "https://x.example/?q=secret"))
    cookie = f"__Host-auth_agent={browser.cookies['__Host-auth_agent']}"
    site = browser.relying_party._site
    known = SessionReader(site).read(ValueVisit("GET", "/", {"cookie": cookie}), site.clock())
    session = known.session
    assert session.refresh_token not in repr(session)
    assert session.refresh_token not in repr(known)
    from auth_agent.testing.provider import json_response

    answer = json_response(
        200, {"access_token": "at_secret", "token_type": "Bearer", "id_token": "x"}
    )
    assert "at_secret" not in repr(parse_tokens(answer))
    assert "at_secret" not in repr(answer)
    for value in (token, answer, parse_tokens(answer), session, known, login.read_callback(visit)):
        shown = "".join(str(part) for part in value.__rich_repr__())
        assert shown == repr(value), "Rich shows no more than repr does"
