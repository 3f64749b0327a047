"""A browser in a value: it keeps cookies, follows the sign-in, and opens no socket."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from auth_agent import AuthError, RelyingParty
from auth_agent.flow.effects import Fetch, Invoke, Join, Limited, Send, Spawn
from auth_agent.testing import FakeServer
from auth_agent.website.entry import Entry
from auth_agent.website.recognition.session import _cookie_name
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.website.web.visit import Visit
from tests.flows import run_with

NAVIGATION = {"accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}

SESSION_COOKIE = _cookie_name("client_shop", "https://shop.example", "/auth-agent", True)


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def entry(browser, passed: Pass) -> Entry:
    """Returns what a middleware leaves for the application."""
    return Entry(browser.relying_party, ValueVisit("GET", "/", {}), passed)


class ValueVisit(Visit):
    def __init__(self, method, target, headers):
        parts = urlsplit(f"https://any{target}")
        super().__init__(method, parts.path)
        self.headers = headers
        self.parts = parts

    @property
    def raw_path(self):
        return self.parts.path

    @property
    def query(self):
        return self.parts.query

    def header(self, name):
        return self.headers.get(name)


def drive(flow, server: FakeServer):
    """Performs effects against the server in the value."""
    return run_with(lambda effect: _perform(effect, server), flow)


def _perform(effect, server):
    if isinstance(effect, Send):
        return server.answer(effect.request)
    if isinstance(effect, Fetch):
        return server.directory(effect)
    if isinstance(effect, Invoke):
        return effect.function(*effect.arguments)
    if isinstance(effect, Join | Limited):
        return drive(effect.start(), server)
    assert isinstance(effect, Spawn)
    with suppress(AuthError):
        drive(effect.start(), server)
    return None


class Browser:
    def __init__(self, relying_party: RelyingParty, server: FakeServer, run=drive) -> None:
        self.relying_party = relying_party
        self.server = server
        self.run = run
        self.cookies: dict[str, str] = {}

    def twin(self) -> Browser:
        """Opens another browser on the same website."""
        return Browser(self.relying_party, self.server, self.run)

    def request(self, target, *, method="GET", headers=None) -> Pass | Reply:
        headers = dict(NAVIGATION if headers is None else headers)
        if self.cookies:
            headers["cookie"] = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        outcome = self.relying_party.enter(ValueVisit(method, target, headers))
        if not isinstance(outcome, (Pass, Reply)):
            outcome = self.run(outcome, self.server)
        self.keep(outcome.cookies)
        return outcome

    def keep(self, cookies) -> None:
        for cookie in cookies:
            if cookie.max_age > 0:
                self.cookies[cookie.name] = cookie.value
            else:
                self.cookies.pop(cookie.name, None)

    def begin(self, next_path="/me") -> str:
        """Starts a sign-in; the URL at the server that the browser is sent to."""
        reply = self.request(f"/auth-agent/login?next={next_path}")
        assert reply.status == 303, reply.body
        return location(reply)

    def end(self, authorization_url, **changes) -> Reply:
        return self.request(relative(self.server.approve(authorization_url, **changes)))

    def sign_in(self, next_path="/me") -> Reply:
        return self.end(self.begin(next_path))

    @property
    def agent(self):
        """Returns the agent that the website sees on its public page."""
        outcome = self.request("/")
        assert isinstance(outcome, Pass)
        return outcome.agent


def location(reply) -> str:
    return dict(reply.headers)["Location"]


def relative(url) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def cause(reply) -> str:
    """Returns the code that a refusal page or document names."""
    import json
    import re

    if reply.body.startswith(b"{"):
        return json.loads(reply.body)["error"]
    found = re.search(rb"<small>([a-z_]+)</small>", reply.body)
    return found[1].decode() if found else ""
