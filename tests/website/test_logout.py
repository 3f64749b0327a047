"""Signing out."""

from __future__ import annotations

import pytest

from auth_agent import ServerUnavailable
from tests.website.browser import location

SAME = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
LOGOUT = "/auth-agent/logout"


def test_ends_the_session_and_revokes_the_refresh_token(browser, server):
    browser.sign_in()
    reply = browser.request(LOGOUT, method="POST", headers=SAME)
    assert (reply.status, location(reply)) == (303, "/")
    assert browser.agent is None
    assert server.active == set()


@pytest.mark.parametrize("path", ["/revoke", "/.well-known/oauth-authorization-server"])
def test_a_server_that_is_away_keeps_nobody_here(browser, server, clock, path):
    browser.sign_in()
    clock.advance(100_000 if "known" in path else 0)
    server.answers[path] = ServerUnavailable("connection refused")
    assert browser.request(LOGOUT, method="POST", headers=SAME).status == 303
    assert browser.agent is None


def test_get_shows_one_button_and_signs_nobody_out(browser):
    browser.sign_in()
    reply = browser.request(LOGOUT)
    assert reply.status == 200
    assert reply.body.count(b"<button") == 1
    assert b'method="post" action="/auth-agent/logout"' in reply.body
    assert browser.agent is not None


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://shop.example"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, True),
        ({"origin": "https://shop.example"}, True),
        ({"origin": "https://SHOP.example:443"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://shop.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "https://shop.example:port"}, False),
        ({}, True),
    ],
)
def test_only_our_own_pages_may(browser, headers, allowed):
    browser.sign_in()
    reply = browser.request(LOGOUT, method="POST", headers=headers)
    assert reply.status == (303 if allowed else 403)
    assert (browser.agent is None) is allowed


def test_each_route_takes_its_own_methods(browser):
    assert browser.request(LOGOUT, method="DELETE").status == 405
    assert browser.request("/auth-agent/backchannel-logout").status == 405
    assert browser.request("/auth-agent/backchannel-logout", method="POST").status == 501


class TestTombstone:
    """A request that was under way while the agent signed out must not sign it in again."""

    def test_outlives_a_racing_renewal(self, browser):
        browser.sign_in()
        before = dict(browser.cookies)
        browser.request(LOGOUT, method="POST", headers=SAME)
        browser.cookies |= before  # what the racing answer sets again
        assert browser.agent is None

    def test_does_not_stand_in_the_way_of_a_new_sign_in(self, browser):
        browser.sign_in()
        browser.request(LOGOUT, method="POST", headers=SAME)
        browser.sign_in()
        assert browser.agent is not None

    def test_lives_as_long_as_the_session_could(self, browser):
        browser.sign_in()
        reply = browser.request(LOGOUT, method="POST", headers=SAME)
        assert max(cookie.max_age for cookie in reply.cookies) == 28_800
