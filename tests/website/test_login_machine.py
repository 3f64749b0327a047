"""The state machine of a login: whatever the order of things, only a sign-in that this browser
began and that ended as it must leaves an agent."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from auth_agent import RelyingParty, Settings
from auth_agent.testing import FakeServer
from auth_agent.website.sign_in.transaction import LIFETIME, MAX_COUNT
from auth_agent.website.web.outcome import Pass
from tests.website.browser import Browser, Clock, location, relative

SITE = {"secret": "a secret of the website that is long enough", "base_url": "https://shop.example"}


def make_browser(clock):
    server = FakeServer(clock=clock)
    known = {"issuer": server.issuer, "client_id": server.client_id}
    site = Settings(**known, client_secret=server.client_secret, **SITE)
    return Browser(RelyingParty(site, clock=clock), server)


class Login(RuleBasedStateMachine):
    begun = Bundle("begun")

    def __init__(self):
        super().__init__()
        self.clock = Clock(1_800_000_000.0)
        self.browser = make_browser(self.clock)
        self.stranger = self.browser.twin()
        self.open = {}
        """Authorization URL -> when it was begun; the oldest are crowded out."""
        self.agent = None

    @rule(target=begun, page=st.sampled_from(["/", "/me", "/orders?x=1"]))
    def begin(self, page):
        url = self.browser.begin(page)
        self.open[url] = self.clock.now
        while len(self.open) > MAX_COUNT:
            del self.open[next(iter(self.open))]
        return url

    @rule(url=begun, name=st.sampled_from(["agent_1", "agent_2"]))
    def end(self, url, name):
        reply = self.browser.end(url, agent={"sub": name})
        started = self.open.pop(url, None)
        fresh = started is not None and self.clock.now < started + LIFETIME
        assert (reply.status == 303) is fresh
        if fresh:
            self.agent = name

    @rule(url=begun)
    def end_elsewhere(self, url):
        assert self.stranger.end(url).status == 400
        assert self.stranger.agent is None

    @rule(url=begun)
    def decline(self, url):
        reply = self.browser.end(url, error="access_denied")
        assert reply.status in (400, 403)
        self.open.pop(url, None)

    @rule(url=begun)
    def another_issuer(self, url):
        assert self.browser.end(url, iss="https://evil.example").status == 400
        self.open.pop(url, None)

    @rule()
    def sign_out(self):
        reply = self.browser.request("/auth-agent/logout", method="POST", headers={})
        assert (reply.status, location(reply)) == (303, "/")
        self.agent = None

    @rule(seconds=st.sampled_from([1, 400, LIFETIME]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def only_the_right_agent_is_seen(self):
        outcome = self.browser.request("/")
        assert isinstance(outcome, Pass)
        seen = outcome.agent.id if outcome.agent else None
        if self.clock.now - 1_800_000_000 < 28_800:
            assert seen == self.agent
        else:  # a session ends by itself
            assert seen in (self.agent, None)

    @invariant()
    def the_cookies_stay_small(self):
        header = "; ".join(f"{n}={v}" for n, v in self.browser.cookies.items())
        assert len(header) < 4_096


TestLogin = Login.TestCase
TestLogin.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)

ANY_QUERY = st.lists(
    st.tuples(
        st.sampled_from(["code", "state", "iss", "error", "error_description", "x"]),
        st.text(max_size=60),
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(ANY_QUERY, st.text(max_size=40))
def test_no_callback_signs_in_what_was_not_begun(pairs, tail):
    browser = make_browser(Clock(1_800_000_000.0))
    browser.begin()
    query = urlencode([(n, v.encode("utf-8", "replace")) for n, v in pairs])
    reply = browser.request(relative(f"https://shop.example/auth-agent/callback?{query}&{tail}"))
    assert reply.status == 400
    assert b"<script" not in reply.body
    assert browser.agent is None
