"""Acts that need an owner's approval: compared field by field, used once, bound to their agent."""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_agent import RelyingParty, Requirement, ServerUnavailable
from auth_agent.protocol.details import GOOD_FOR, BadDetails
from auth_agent.testing import approved, json_response, make_agent, test_settings
from auth_agent.website.policy.approval import LONGEST_ACT, Used, granted
from auth_agent.website.policy.remediation import TICKET_SECONDS
from auth_agent.website.web.outcome import Pass, Reply
from tests.website.browser import Browser, ValueVisit, cause, drive, location, relative

ACT = {
    "type": "payment",
    "title": "Pay 45.00 EUR to Corner Shop",
    "amount": "45.00",
    "currency": "EUR",
    "order": "7",
}
JSON = {"accept": "application/json"}
PAGE = {"accept": "text/html", "sec-fetch-mode": "navigate"}
OWN = {"sec-fetch-site": "same-origin"}


def use(browser, agent, act=ACT, method="POST", headers=None):
    """Returns what a guarded view gets: the approval, or the reply to send instead."""
    visit = ValueVisit(method, "/orders/7/pay", {**OWN, **(headers or JSON)})
    return drive(browser.relying_party.use_approval(visit, agent, act), browser.server)


def agent_with(*acts, at, **fields):
    return make_agent(claims=approved(*acts, at=int(at)), **fields)


@pytest.fixture
def agent(clock):
    return agent_with(ACT, at=clock.now)


def is_refused(found) -> bool:
    if not isinstance(found, Reply):
        return False
    assert found.status == 401
    assert json.loads(found.body)["error"] == "insufficient_authorization"
    return True


def test_the_view_gets_what_the_owner_saw(browser, agent):
    found = use(browser, agent)
    assert {**found, "approval_id": "", "approved_at": 0} == {
        **ACT,
        "approval_id": "",
        "approved_at": 0,
    }
    assert found["approval_id"].startswith("ask_")
    found["amount"] = "1.00"  # of this request alone
    assert agent.claims["authorization_details"][0]["amount"] == "45.00"


def test_an_approval_is_used_once(browser, agent):
    assert not isinstance(use(browser, agent), Reply)
    assert is_refused(use(browser, agent))


def test_two_approvals_of_one_act_are_two_uses(browser, clock):
    claims = approved(ACT, at=int(clock.now))
    claims["authorization_details"] += approved(ACT, at=int(clock.now))["authorization_details"]
    agent = make_agent(claims=claims)
    ids = {use(browser, agent)["approval_id"] for _ in range(2)}
    assert len(ids) == 2
    assert is_refused(use(browser, agent))


def test_one_approval_of_two_acts_is_one_use_of_each(browser, clock):
    other = {**ACT, "order": "8"}
    agent = agent_with(ACT, other, at=clock.now)
    assert use(browser, agent, other)["order"] == "8"
    assert use(browser, agent)["order"] == "7"
    assert is_refused(use(browser, agent))
    assert is_refused(use(browser, agent, other))


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "45.0"},
        {"amount": "450.00"},
        {"currency": "USD"},
        {"order": "8"},
        {"title": "Pay 45.00 EUR to corner shop"},
        {"type": "refund"},
        {"note": "one more"},
        {"order": 7},
    ],
)
def test_another_act_is_not_approved(browser, agent, change):
    assert is_refused(use(browser, agent, {**ACT, **change}))
    less = {name: value for name, value in ACT.items() if name != "currency"}
    assert is_refused(use(browser, agent, less))
    assert not isinstance(use(browser, agent), Reply)  # the true one is not used up by those


_VALUES = st.text("ab", max_size=2) | st.booleans() | st.integers(0, 2)
_ACTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["payment", "refund"]), "title": st.just("Pay")},
    optional={"amount": _VALUES, "order": _VALUES | st.lists(_VALUES, max_size=2)},
)


@given(_ACTS, _ACTS)
def test_the_comparison_is_field_by_field(wanted, seen):
    relying_party = RelyingParty(test_settings())
    browser = Browser(relying_party, None)
    found = use(browser, make_agent(claims=approved(seen)), wanted)
    same = json.dumps(wanted, sort_keys=True) == json.dumps(seen, sort_keys=True)
    assert isinstance(found, Reply) is not same


def test_an_approval_ends(browser, clock):
    agent = agent_with(ACT, at=clock.now)
    clock.advance(GOOD_FOR)
    assert is_refused(use(browser, agent))
    clock.advance(-1)
    assert not isinstance(use(browser, agent), Reply)


def test_a_used_approval_stays_used_to_its_end(browser, clock):
    agent = agent_with(ACT, at=clock.now)
    assert not isinstance(use(browser, agent), Reply)
    clock.advance(GOOD_FOR - 1)
    assert is_refused(use(browser, agent))


def test_an_approval_of_the_future_counts_only_within_the_clocks_skew(browser, clock):
    assert is_refused(use(browser, agent_with(ACT, at=clock.now + 3_600)))
    assert not isinstance(use(browser, agent_with(ACT, at=clock.now + 2)), Reply)


@pytest.mark.parametrize(
    "change",
    [
        {"acr": None},
        {"acr": "urn:other"},
        {"authorization_details": None},
        {"authorization_details": {}},
        {"authorization_details": "x"},
        {"authorization_details": [1, None, "x", []]},
        {"authorization_details": [{**ACT, "approved_at": 1_800_000_000}]},
        {"authorization_details": [{**ACT, "approval_id": "", "approved_at": 1_800_000_000}]},
        {"authorization_details": [{**ACT, "approval_id": 7, "approved_at": 1_800_000_000}]},
        {
            "authorization_details": [
                {**ACT, "approval_id": "x" * 129, "approved_at": 1_800_000_000}
            ]
        },
        {"authorization_details": [{**ACT, "approval_id": "x"}]},
        {"authorization_details": [{**ACT, "approval_id": "x", "approved_at": "1800000000"}]},
        {"authorization_details": [{**ACT, "approval_id": "x", "approved_at": True}]},
        {"authorization_details": [{**ACT, "approval_id": "x", "approved_at": 1.8e9}]},
    ],
)
def test_what_the_server_did_not_say_well_does_not_count(browser, clock, change):
    claims = {**approved(ACT, at=int(clock.now)), **change}
    assert is_refused(use(browser, make_agent(claims=claims)))


def test_report_only_lets_no_act_pass(make_site, agent):
    browser = make_site(report_only=True)
    assert is_refused(use(browser, make_agent()))
    assert isinstance(use(browser, None), Reply)
    assert not isinstance(use(browser, agent), Reply)


@pytest.mark.parametrize(
    "act",
    [
        None,
        {},
        [],
        "pay",
        {"type": "payment"},
        {**ACT, "amount": 45.0},
        {**ACT, "approval_id": "x"},
        {**ACT, "note": "x" * LONGEST_ACT},
    ],
)
def test_a_malformed_act_of_the_website_is_a_mistake_of_the_website(browser, agent, act):
    with pytest.raises(BadDetails):
        use(browser, agent, act)


class TestTheRefusal:
    def test_says_what_to_ask_for(self, browser):
        reply = use(browser, make_agent(id="agent_9"))
        headers = dict(reply.headers)
        assert headers["Cache-Control"] == "no-store"
        challenge = headers["WWW-Authenticate"]
        assert challenge.startswith('Bearer error="insufficient_authorization", ')
        assert "resource_metadata=" in challenge
        found = re.search(r'authorization_remediation="([A-Za-z0-9_-]+)"', challenge)
        padded = found[1] + "=" * (-len(found[1]) % 4)
        assert json.loads(base64.urlsafe_b64decode(padded)) == {"authorization_details": [ACT]}
        body = json.loads(reply.body)
        assert body["authorization_details"] == [ACT]
        assert body["issuer"] == browser.server.issuer
        assert body["approval_url"].startswith("https://shop.example/auth-agent/approve?ticket=")
        assert "45" not in body["approval_url"].partition("?")[0]

    def test_an_api_without_browsers_names_no_url(self, make_site):
        browser = make_site(sign_in=False, secret=())
        body = json.loads(use(browser, make_agent(via="bearer")).body)
        assert "approval_url" not in body
        assert body["authorization_details"] == [ACT]

    def test_a_navigation_is_led_to_the_owner(self, browser):
        reply = use(browser, make_agent(), method="GET", headers=PAGE)
        assert reply.status == 303
        assert location(reply).startswith("https://shop.example/auth-agent/approve?ticket=")

    def test_a_form_gets_a_page(self, browser):
        act = {**ACT, "title": "Pay <b>45.00</b> EUR"}
        reply = use(browser, make_agent(), act, headers=PAGE)
        assert reply.status == 401
        assert b"Pay &lt;b&gt;45.00&lt;/b&gt; EUR" in reply.body
        assert b"/auth-agent/approve?ticket=" in reply.body

    def test_nobody_signs_in_first(self, browser):
        reply = use(browser, None, method="GET", headers=PAGE)
        assert location(reply) == "/auth-agent/login?next=/orders/7/pay&approved=1"


class TestTheWayToTheOwner:
    @pytest.fixture
    def shop(self, browser):
        browser.sign_in()
        return browser

    def ask(self, shop, act=ACT, path="/orders/7/pay"):
        """Refuses an agent's browser; returns the URL to which it is redirected."""
        visit = ValueVisit("GET", path, PAGE)
        reply = drive(shop.relying_party.use_approval(visit, shop.agent, act), shop.server)
        return relative(location(reply))

    def test_leads_through_a_pushed_request_and_back(self, shop):
        url = self.ask(shop)
        reply = shop.request(url)
        assert reply.status == 303, reply.body
        sent = location(reply)
        assert set(dict(parse_qsl(urlsplit(sent).query))) == {"client_id", "request_uri"}
        pushed = next(r for r in shop.server.requests if r.url.endswith("/par"))
        form = parse_qs(pushed.body.decode())
        assert json.loads(form["authorization_details"][0]) == [ACT]
        assert form["acr_values"] == ["urn:auth-agent:owner"]
        back = shop.end(sent)
        assert (back.status, location(back)) == (303, "/orders/7/pay")
        assert use(shop, shop.agent)["amount"] == "45.00"
        assert is_refused(use(shop, shop.agent))

    def test_the_owner_says_no(self, shop):
        before = shop.agent
        sent = location(shop.request(self.ask(shop)))
        shop.server.owner_approves = False
        reply = shop.end(sent)
        assert reply.status == 403
        assert shop.agent == before  # the session goes on
        assert is_refused(use(shop, shop.agent))

    def test_another_agent_does_not_come_back_in_its_place(self, shop):
        sent = location(shop.request(self.ask(shop)))
        before = shop.agent
        reply = shop.end(sent, agent={"sub": "agent_8", "agent_id": "agent_8"})
        assert (reply.status, cause(reply)) == (403, "another_agent")
        assert shop.agent == before

    @pytest.mark.parametrize(
        ("claims", "code"),
        [
            ({"acr": "urn:other"}, "owner_not_asked"),
            ({"authorization_details": []}, "act_not_approved"),
            (approved({**ACT, "amount": "4.50"}, at=1_800_000_000), "act_not_approved"),
            (approved(ACT, at=1_800_000_000 - GOOD_FOR), "act_not_approved"),
        ],
    )
    def test_a_server_that_approves_something_else_ends_on_a_page(self, shop, claims, code):
        sent = location(shop.request(self.ask(shop)))
        reply = shop.end(sent, agent=claims)
        assert cause(reply) == code
        assert reply.status in (401, 403)

    def test_a_ticket_is_this_websites_own_and_ends(self, shop, make_site, clock):
        url = self.ask(shop)
        elsewhere = make_site(client_id="client_other")
        assert cause(elsewhere.request(url)) == "ticket_expired"
        for bent in (
            url[:-2] + "AA",
            "/auth-agent/approve",
            "/auth-agent/approve?ticket=x",
            url * 2,
        ):
            assert cause(shop.request(bent)) == "ticket_expired"
        clock.advance(TICKET_SECONDS)
        assert cause(shop.request(url)) == "ticket_expired"

    def test_only_a_navigation_asks_the_owner(self, shop):
        url = self.ask(shop)
        reply = shop.request(url, headers={"sec-fetch-mode": "no-cors"})
        assert (reply.status, cause(reply)) == (403, "not_a_navigation")
        assert shop.request(url, method="POST").status == 405
        assert shop.server.count("/par") == 0

    @pytest.mark.parametrize(
        ("bend", "code", "status"),
        [
            (lambda server: server.metadata.update(_NO_PUSH), "push_unsupported", 502),
            (lambda server: server.answers.update({"/par": _REFUSED}), "push_refused", 502),
            (lambda server: server.answers.update({"/par": _EMPTY}), "push_invalid", 502),
            (lambda server: server.answers.update({"/par": _DOWN}), "server_unavailable", 503),
        ],
    )
    def test_a_server_that_takes_no_request(self, make_site, bend, code, status):
        shop = make_site()
        bend(shop.server)
        shop.sign_in()
        reply = shop.request(self.ask(shop))
        assert (reply.status, cause(reply)) == (status, code)

    def test_the_page_it_comes_back_to_is_this_websites_own(self, shop):
        url = self.ask(shop, path="//evil.example/x")
        back = shop.end(location(shop.request(url)))
        assert not location(back).startswith(("//", "http"))

    def test_a_large_act_still_fits_the_session(self, shop):
        shop.server.agent["extra"] = "x" * 2_000
        act = {**ACT, "note": "n" * (LONGEST_ACT - 200)}
        back = shop.end(location(shop.request(self.ask(shop, act))))
        assert back.status == 303
        assert use(shop, shop.agent, act)["note"] == act["note"]


_NO_PUSH = {"pushed_authorization_request_endpoint": None}
_REFUSED = json_response(400, {"error": "invalid_authorization_details"})
_EMPTY = json_response(201, {"request_uri": ""})
_DOWN = json_response(503, {})


class TestARequirement:
    def test_an_approved_sign_in(self, browser):
        visit, needs = ValueVisit("GET", "/page", JSON), Requirement(approved=True)
        require = browser.relying_party.require
        assert require(visit, make_agent(claims=approved()), needs) is None
        reply = require(visit, make_agent(), needs)
        assert reply.status == 401
        challenge = dict(reply.headers)["WWW-Authenticate"]
        assert 'error="insufficient_user_authentication"' in challenge
        assert 'acr_values="urn:auth-agent:owner"' in challenge
        assert "max_age=" not in challenge

    def test_a_navigation_asks_the_owner_and_comes_back(self, browser):
        browser.sign_in()
        visit = ValueVisit("GET", "/page", PAGE)
        reply = browser.relying_party.require(visit, browser.agent, Requirement(approved=True))
        assert location(reply) == "/auth-agent/login?next=/page&approved=1"
        asked = location(browser.request(location(reply)))
        assert dict(parse_qsl(urlsplit(asked).query))["acr_values"] == "urn:auth-agent:owner"
        assert browser.end(asked).status == 303
        assert browser.agent.claims["acr"] == "urn:auth-agent:owner"

    def test_a_server_that_does_not_ask_ends_on_a_page(self, browser):
        asked = location(browser.request("/auth-agent/login?next=/page&approved=1"))
        reply = browser.end(asked, agent={"acr": "urn:other"})
        assert cause(reply) == "owner_not_asked"

    def test_age_and_approval_are_told_together(self, browser, clock):
        old = make_agent(authenticated_at=int(clock.now) - 61)
        needs = Requirement(approved=True, max_age=60)
        visit = ValueVisit("GET", "/page", JSON)
        challenge = dict(browser.relying_party.require(visit, old, needs).headers)
        assert 'max_age="60", acr_values="urn:auth-agent:owner"' in challenge["WWW-Authenticate"]

    def test_other_values_are_refused_when_it_is_written(self):
        with pytest.raises(TypeError, match="approved must be True or False"):
            Requirement(approved="yes")


class TestTheMemory:
    def test_many_threads_use_an_approval_once(self, browser, agent):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: use(browser, agent), range(64)))
        assert sum(not isinstance(one, Reply) for one in found) == 1

    def test_a_live_approval_is_never_forgotten_for_another(self):
        used = Used(most=2)
        assert used.spend("a", 10, 0)
        assert used.spend("b", 5, 0)
        with pytest.raises(ServerUnavailable):
            used.spend("c", 10, 0)
        assert not used.spend("a", 10, 0)
        assert used.spend("c", 10, 5)  # b has ended
        assert not used.spend("a", 10, 9)

    def test_a_full_memory_is_a_503(self, browser, agent):
        approvals = browser.relying_party._approvals
        approvals._used._most = 0
        reply = use(browser, agent)
        assert reply.status == 503


def test_what_nobody_asks_for_costs_no_claims(clock):
    assert list(granted(make_agent(), now=clock.now)) == []


def test_an_approval_is_the_agents_own_and_this_websites_own(browser, server, clock):
    """Accepts it only in a token whose audience is the website."""
    claims = approved(ACT, at=int(clock.now))
    token = server.access_token(aud="https://other.example", **claims)
    outcome = browser.request("/", headers={"authorization": f"Bearer {token}"})
    assert isinstance(outcome, Pass)
    assert outcome.agent is None
    token = server.access_token(**claims)
    outcome = browser.request("/", headers={"authorization": f"Bearer {token}"})
    assert use(browser, outcome.agent)["amount"] == "45.00"
    rival = msgspec.structs.replace(outcome.agent, id="agent_8", claims={})
    assert is_refused(use(browser, rival))
