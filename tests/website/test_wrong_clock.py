"""A machine whose date was ahead for a while: nothing counts longer than it should afterwards."""

from __future__ import annotations

import json
from types import SimpleNamespace

import msgspec
import pytest

from auth_agent.testing.issuer import ABSENT
from auth_agent.website.config import site as site_module
from auth_agent.website.recognition.renewal import wants_keeping
from auth_agent.website.web.outcome import Pass
from tests.proofs import Holder
from tests.website.browser import Clock

PATH = "/api/orders"


class Machine:
    """Its date can be wrong, its ticks cannot."""

    def __init__(self, date):
        self.date, self.ticks = date, Clock(1_000.0)

    def pass_by(self, seconds):
        self.date.advance(seconds)
        self.ticks.advance(seconds)

    def ahead(self, seconds, do):
        """Does something while the date is ahead by so many seconds."""
        self.date.advance(seconds)
        try:
            return do()
        finally:
            self.date.advance(-seconds)


@pytest.fixture
def machine(monkeypatch, clock):
    machine = Machine(clock)
    fake = SimpleNamespace(time=clock, monotonic=machine.ticks)
    monkeypatch.setattr(site_module, "time", fake)
    return machine


@pytest.fixture
def api(machine, make_site):
    return make_site(protect="/api/*")


def call(api, token, proof=None):
    headers = {"authorization": f"{'DPoP' if proof else 'Bearer'} {token}"}
    return api.request(PATH, headers={**headers, **({"dpop": proof} if proof else {})})


def refusal(reply):
    return json.loads(reply.body)["cause"]


def test_a_signed_token_is_asked_about_again_within_a_minute(api, server, machine):
    token = server.access_token()
    assert isinstance(machine.ahead(1_800, lambda: call(api, token)), Pass)
    assert server.count("/introspect") == 1
    server.active.discard(token)
    machine.pass_by(59)
    assert isinstance(call(api, token), Pass)
    machine.pass_by(1)
    assert refusal(call(api, token)) == "token_inactive"


def test_a_token_that_nobody_used_meanwhile_is_no_fresh_one(api, server, machine):
    token = server.access_token()
    assert isinstance(machine.ahead(1_800, lambda: call(api, token)), Pass)
    server.active.discard(token)
    machine.pass_by(1_810)
    assert refusal(call(api, token)) == "token_inactive"


def test_an_opaque_token_is_asked_about_again_within_a_minute(api, server, machine):
    server.active.add("opaque-token")
    server.introspection["exp"] = ABSENT
    assert isinstance(machine.ahead(2_592_000, lambda: call(api, "opaque-token")), Pass)
    server.active.discard("opaque-token")
    machine.pass_by(60)
    assert refusal(call(api, "opaque-token")) == "token_inactive"


def test_a_refused_token_is_asked_about_again_soon(api, server, machine):
    machine.ahead(2_592_000, lambda: call(api, "opaque-token"))
    server.active.add("opaque-token")
    machine.pass_by(10)
    assert isinstance(call(api, "opaque-token"), Pass)


def test_no_proof_is_forgotten(api, server, machine, clock):
    holder = Holder()
    token = server.access_token(cnf={"jkt": holder.jkt})

    def prove():
        return holder.proof("GET", f"https://shop.example{PATH}", clock(), token)

    first = prove()
    assert isinstance(call(api, token, first), Pass)
    assert isinstance(machine.ahead(1_200, lambda: call(api, token, prove())), Pass)
    assert refusal(call(api, token, first)) == "proof_used"


def test_a_session_that_was_used_in_the_future_is_asked_about(machine, browser, server):
    browser.sign_in()
    machine.ahead(1_801, lambda: browser.agent)  # half of the idle time: the cookie is refreshed
    server.active.clear()
    machine.pass_by(60)
    assert browser.agent is None


def test_a_session_that_was_used_in_the_future_goes_on(machine, browser, server):
    browser.sign_in()
    machine.ahead(1_801, lambda: browser.agent)
    for asked in (2, 2):
        assert browser.agent.id == "agent_7"
        assert server.count("/introspect") == asked + 1, "the refreshed cookie has the right time"


def test_a_stored_session_that_was_used_in_the_future_is_written_again(browser, clock):
    browser.sign_in()
    assert browser.agent is not None
    sessions = browser.relying_party._sessions
    (known,) = sessions._verified.values()
    site = browser.relying_party._site
    for ahead, written in ((0, False), (60, False), (61, True)):
        session = msgspec.structs.replace(known.session, seen_at=int(clock()) + ahead)
        assert wants_keeping(session, site) is written
