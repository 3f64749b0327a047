"""Every flow of a website with Redis sessions, while its server or its Redis behaves strangely.

Nothing ends in a traceback, and the next sign-in works: a sibling of
`tests/website/test_strange_answers.py`, whose strange answers it uses.
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from urllib.parse import urlencode

import pytest
import redis

from auth_agent import AuthError, RelyingParty, Settings
from auth_agent.flow import drive
from auth_agent.flow.connections import redis_exchange
from auth_agent.flow.effects import Ask, Invoke, Join, Limited, ReadBody, Send, Sleep, Spawn
from tests.conftest import SECRET
from tests.flows import run_with
from tests.services import redis_server
from tests.website.browser import Browser, ValueVisit
from tests.website.test_strange_answers import CLAIMS, VALUES, check, strange_answers

ENDPOINTS = (
    "/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/token", "/userinfo",
    "/introspect", "/revoke",
)  # fmt: skip
FORM = {"content-type": "application/x-www-form-urlencoded"}
WRONG = redis_exchange._unavailable("ResponseError", "a strange answer")


@pytest.fixture(scope="module")
def url():
    with redis_server() as url:
        yield url
        drive.close()


@pytest.fixture
def client(url):
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client


class Driver:
    """Performs effects against the server in the value and a true Redis; `bend` may fail one."""

    def __init__(self):
        self.bend = lambda number, effect: None
        self.asked = 0
        self.body = b""

    def __call__(self, flow, server):
        return run_with(lambda effect: self._perform(effect, server), flow)

    def _perform(self, effect, server):
        if isinstance(effect, Send):
            return server.answer(effect.request)
        if isinstance(effect, Ask):
            self.asked += 1
            self.bend(self.asked, effect)
            return redis_exchange.ask(effect)
        if isinstance(effect, Invoke):
            return effect.function(*effect.arguments)
        if isinstance(effect, Join | Limited):
            return self(effect.start(), server)
        if isinstance(effect, ReadBody):
            return self.body
        if isinstance(effect, Sleep):
            return None
        assert isinstance(effect, Spawn)
        with suppress(AuthError):
            self(effect.start(), server)
        return None


@pytest.fixture
def make(server, clock, url):
    def make_browser(driver=None):
        settings = Settings(
            issuer=server.issuer,
            client_id=server.client_id,
            client_secret=server.client_secret,
            secret=SECRET,
            base_url="https://shop.example",
            session_store=url,
            userinfo="always",
            protect="/private",
        )
        return Browser(RelyingParty(settings, clock=clock), server, driver or Driver())

    return make_browser


def walk(site, server, clock):
    """Performs sign-in, page, refresh, token, back-channel logout and sign-out; each may fail."""
    begun = site.request("/auth-agent/login?next=/me")
    check(begun)
    if begun.status == 303:
        check(site.end(dict(begun.headers)["Location"]))
    check(site.request("/"))
    clock.advance(3_595)  # the access token is about to end: a refresh
    check(site.request("/"))
    token = server.access_token(aud="https://shop.example")
    check(site.twin().request("/private", headers={"authorization": f"Bearer {token}"}))
    for changes in ({}, {"sub": None}, {"header": {"kid": "unknown"}}):
        site.run.body = urlencode({"logout_token": server.logout_token(**changes)}).encode()
        visit = ValueVisit("POST", "/auth-agent/backchannel-logout", FORM)
        reply = site.run(site.relying_party.enter(visit), server)
        assert reply.status in (200, 400, 429, 502, 503), reply
    check(site.request("/auth-agent/logout", method="POST"))


def assert_usable(make, server, clock):
    server.reset()
    site = make()
    assert site.sign_in().status == 303
    assert site.agent is not None


@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_answer_of_the_server_breaks_a_flow(make, server, clock, client, path):
    for answer in strange_answers():
        server.reset()
        server.answers[path] = answer
        walk(make(), server, clock)
    assert_usable(make, server, clock)


@pytest.mark.parametrize("name", [*CLAIMS, "events", "jti"])
def test_no_claim_of_a_logout_token_breaks_a_flow(make, server, clock, client, name):
    site = make()
    for value in VALUES:
        if value == "\ud800":
            continue
        site.run.body = urlencode({"logout_token": server.logout_token(**{name: value})}).encode()
        visit = ValueVisit("POST", "/auth-agent/backchannel-logout", FORM)
        assert site.run(site.relying_party.enter(visit), server).status in (200, 400)
    assert_usable(make, server, clock)


def fail_at(number):
    def bend(asked, _effect):
        if asked == number:
            raise WRONG

    return bend


def fail_from(number):
    def bend(asked, _effect):
        if asked >= number:
            raise WRONG

    return bend


@pytest.mark.parametrize("fail", [fail_at, fail_from])
def test_a_redis_that_fails_at_any_command_breaks_no_flow(make, server, clock, client, fail):
    for number in itertools.count(1):
        server.reset()
        driver = Driver()
        driver.bend = fail(number)
        walk(make(driver), server, clock)
        if driver.asked < number:
            break
    assert number > 10, "every command of the walk has failed once"
    assert_usable(make, server, clock)


@pytest.mark.parametrize(
    "record", [b"", b"x", b"{}", b"\xff" * 40, b"null", b"a.b.c", b"A" * 100_000, b"\x80\x04N."]
)
def test_a_strange_record_is_nobodys_session(make, server, clock, client, record):
    site = make()
    assert site.sign_in().status == 303
    (key,) = client.scan_iter("*:session:*")
    client.set(key, record)
    assert site.agent is None
    check(site.request("/private"))
    check(site.request("/auth-agent/logout", method="POST"))
    assert_usable(make, server, clock)


def test_a_key_of_another_type_breaks_no_flow(make, server, clock, client):
    site = make()
    assert site.sign_in().status == 303
    (key,) = client.scan_iter("*:session:*")
    client.delete(key)
    client.lpush(key, "a", "b")
    reply = site.request("/private")
    assert reply.status in (401, 503)
    client.flushall()
    assert_usable(make, server, clock)
