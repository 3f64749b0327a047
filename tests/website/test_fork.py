"""A forked worker finds every lock open, even if its parent's threads held it."""

from __future__ import annotations

import threading

import pytest

from auth_agent.website.mcp.sessions import SessionOwners
from tests.flow.test_flights import in_a_child
from tests.website.browser import ValueVisit, drive

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def within(seconds, act):
    """Returns True if it ends in time; a lock that never opens would hold it for ever."""
    done = []
    thread = threading.Thread(target=lambda: done.append(act()), daemon=True)
    thread.start()
    thread.join(seconds)
    return done == [True]


@pytest.fixture
def party(browser):
    return browser.relying_party


def test_of_the_tokens(browser, party, server):
    bearers = party._recogniser.bearers
    token = server.access_token()

    def recognise():
        flow = bearers.recognise(f"Bearer {token}")
        return drive(flow, server).agent is not None

    with bearers._lock:
        assert in_a_child(lambda: within(10, recognise)) == 0
    assert recognise()


def test_of_the_sessions(browser, party, server):
    browser.sign_in()
    sessions = party._recogniser.sessions
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    def recognise():
        return sessions.recognise(ValueVisit("GET", "/", {"cookie": cookie})).agent is not None

    sessions._verified.clear()
    with sessions._lock:
        assert in_a_child(lambda: within(10, recognise)) == 0
    assert recognise()


def test_of_the_owners_of_mcp_sessions():
    owners = SessionOwners()

    def remember():
        owners.open("session", None)
        return owners.belongs("session", None)

    with owners._lock:
        assert in_a_child(lambda: within(10, remember)) == 0
