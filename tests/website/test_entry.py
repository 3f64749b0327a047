"""What a middleware leaves for the application, without a framework."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from auth_agent import SettingsError
from auth_agent.asgi import AsgiVisit, _Answer
from auth_agent.testing import make_agent
from auth_agent.website.entry import Entry, agent_of
from auth_agent.website.web.outcome import Pass
from auth_agent.website.web.visit import Cookie
from tests.website.browser import entry

JSON = [("content-type", "application/json")]
PAGE = [("content-type", "text/html")]
PRIVATE = [("Vary", "Cookie, Authorization"), ("Cache-Control", "private")]
COOKIE = Cookie("auth_agent_80", "value", 60, secure=False)


@pytest.fixture
def somebody(browser):
    browser.sign_in()
    return entry(browser, browser.request("/"))


@pytest.fixture
def nobody(browser):
    return entry(browser, browser.twin().request("/"))


def test_the_agent_stays_the_same_within_a_request(somebody):
    somebody.agent.claims["team"] = "b"
    assert somebody.agent is somebody.look()
    assert somebody.look().claims["team"] == "b"
    assert not somebody.is_nobody


def test_nobody_is_there(nobody):
    assert (nobody.agent, nobody.look(), nobody.is_nobody) == (None, None, True)


@pytest.mark.parametrize("look", [Entry.look, Entry.require, Entry.require_no_agent])
def test_who_looks_makes_the_response_private(somebody, nobody, look):
    for left in (somebody, nobody):
        assert left.finish(JSON) == JSON
        look(left)
        assert left.finish(JSON) == [*JSON, *PRIVATE]


def test_the_agent_itself_tells_nobody_that_it_was_read(somebody):
    """Lets adapters look on behalf of other code, without marking the response."""
    assert somebody.agent.id == "agent_7"
    assert not somebody.read


def test_the_headers_of_an_asgi_application_may_be_any_iterable(somebody, nobody):
    """ASGI allows an iterator; it is read once, and no header is lost."""
    for left, status in ((somebody, PRIVATE), (nobody, [])):
        for kind in (JSON, PAGE):
            given, sent = [*kind, ("x-frame-options", "DENY")], []
            left.read = left is somebody

            async def send(message, sent=sent):
                sent.extend(message["headers"])

            raw = ((name.encode(), value.encode()) for name, value in given)
            start = {"type": "http.response.start", "status": 200, "headers": raw}
            asyncio.run(_Answer(send, left).send(start))
            names = [name for name, _ in sent]
            assert names[: len(given)] == [name.encode() for name, _ in given]
            for name, value in status:
                assert (name.lower().encode(), value.encode()) in sent


def test_a_page_shows_only_nobody_the_door(somebody, nobody):
    door = ("Link", '</auth-agent/login?next=/>; rel="login"')
    assert nobody.finish(PAGE) == [*PAGE, door]
    assert somebody.finish(PAGE) == PAGE


@pytest.mark.parametrize("name", ["somebody", "nobody"])
def test_cookies_are_set_and_stored_nowhere(browser, request, name):
    left = entry(browser, Pass(request.getfixturevalue(name).agent, (COOKIE,)))
    assert left.finish([("cache-control", "public")]) == [
        ("Cache-Control", "no-store"),
        ("Set-Cookie", COOKIE.header()),
    ]
    assert left.finishes()


def test_only_a_response_to_an_agent_is_left_alone(somebody, nobody):
    assert (somebody.finishes(), nobody.finishes()) == (False, True)


def test_a_missing_middleware_is_told(somebody):
    assert agent_of({"auth_agent.entry": somebody}).id == "agent_7"
    assert somebody.read
    for request in ({}, {"auth_agent.entry": "planted"}):
        with pytest.raises(SettingsError, match="AuthAgentMiddleware is missing"):
            agent_of(request)


def test_a_nested_claim_is_this_requests_own(browser):
    shared = make_agent(claims={"roles": ["a"], "level": 1, "address": Counter(town=1)})
    left = entry(browser, Pass(shared))
    left.agent.claims["roles"].append("b")
    left.agent.claims["address"]["town"] = 2
    assert shared.claims == {"roles": ["a"], "level": 1, "address": {"town": 1}}


def test_an_entry_shows_neither_the_agent_nor_its_cookies(browser):
    left = entry(browser, Pass(make_agent(email="ada@example.com"), (COOKIE,)))
    shown = repr(left) + str(list(left.__rich_repr__()))
    assert "ada@example.com" not in shown
    assert "value" not in shown


@pytest.mark.parametrize("name", ["cookie", "authorization"])
def test_repeated_headers_are_joined(name):
    def visit(*values):
        headers = [(b"host", b"x"), *((name.encode(), value) for value in values)]
        return AsgiVisit({"path": "/", "query_string": b"", "headers": headers})

    joined = "a=1; b=2" if name == "cookie" else "a=1, b=2"
    for values, expected in (((b"a=1",), "a=1"), ((b"a=1", b"b=2"), joined), ((), None)):
        seen = visit(*values)
        read = seen.cookie_header if name == "cookie" else seen.authorization
        assert read == seen.header(name) == expected
