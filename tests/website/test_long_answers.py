"""Long answers (streams) ask again whether the credential that opened them still counts."""

from __future__ import annotations

import msgspec
import pytest

from auth_agent import ServerUnavailable
from tests.protocol.signatures.signing import new_key
from tests.website.browser import ValueVisit, drive
from tests.website.directories import Directories
from tests.website.test_signatures import AGENT, KEY, Signer


def visit_of(browser):
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return ValueVisit("GET", "/stream", {"cookie": cookies})


def is_active(site, visit, agent, server):
    return drive(site.relying_party.is_still_active(visit, agent), server)


class TestSession:
    @pytest.fixture
    def opened(self, browser):
        browser.sign_in()
        return visit_of(browser), browser.agent

    def test_the_server_is_asked_before_the_cookie_is_due(self, browser, opened, server):
        asked = server.count("/introspect")
        assert is_active(browser, *opened, server) is True
        assert server.count("/introspect") == asked + 1
        server.active.clear()
        assert is_active(browser, *opened, server) is False

    def test_a_sign_out_ends_it(self, browser, opened, server):
        assert browser.request("/auth-agent/logout", method="POST", headers={}).status == 303
        assert is_active(browser, *opened, server) is False

    def test_its_own_end_ends_it(self, browser, opened, server, clock):
        clock.advance(3_599)
        assert is_active(browser, *opened, server) is True
        clock.advance(1)
        assert is_active(browser, *opened, server) is False

    def test_a_server_that_is_away_ends_nothing(self, browser, opened, server):
        server.answers["/introspect"] = ServerUnavailable("connection refused")
        assert is_active(browser, *opened, server) is True

    def test_a_signature_beside_it_keeps_nothing_open(self, make_site, server, clock):
        """The identity is that of one credential: the signer is another one."""
        server.directory = Directories()
        server.directory.publish(AGENT, KEY)
        site = make_site(signatures=AGENT)
        site.sign_in()
        agent, visit = site.agent, visit_of(site)
        visit.headers |= Signer(site, clock).headers(target="/stream")
        server.active.clear()
        assert is_active(site, visit, agent, server) is False


class TestSignature:
    @pytest.fixture
    def directories(self, server):
        server.directory = Directories()
        server.directory.publish(AGENT, KEY, **{"cache-control": "max-age=60"})
        return server.directory

    @pytest.fixture(params=["GET", "POST"])
    def opened(self, request, make_site, directories, clock):
        site = make_site(signatures=f"{AGENT}, https://other.example")
        headers = Signer(site, clock).headers(request.param, target="/stream")
        agent = site.request("/stream", method=request.param, headers=headers).agent
        assert agent.via == "signature"
        return site, ValueVisit(request.param, "/stream", headers), agent

    def test_it_counts_while_its_key_is_published_and_spends_no_nonce(self, opened, server, clock):
        site, visit, agent = opened
        for _ in range(3):
            assert is_active(site, visit, agent, server) is True
        clock.advance(3_600)  # a stream has its own end: the signature's
        assert is_active(site, visit, agent, server) is True

    @pytest.mark.parametrize("keys", [(), (new_key(),)])
    def test_an_agent_without_its_key_is_out(self, opened, server, directories, clock, keys):
        site, visit, agent = opened
        directories.publish(AGENT, *keys)
        clock.advance(3_600)
        assert is_active(site, visit, agent, server) is False

    def test_a_directory_that_is_away_ends_nothing(self, opened, server, directories, clock):
        site, visit, agent = opened
        directories.fail(AGENT)
        clock.advance(3_600)
        assert is_active(site, visit, agent, server) is True

    def test_a_website_without_signatures_knows_none(self, opened, make_site, server):
        _, visit, agent = opened
        assert is_active(make_site(), visit, agent, server) is False


@pytest.mark.parametrize(
    ("recheck", "of_tokens", "of_others"), [(60, 60, 60), (5, 5, 5), (0, 0, 60)]
)
def test_how_often_is_one_setting(make_site, browser, recheck, of_tokens, of_others):
    browser.sign_in()
    party = make_site(bearer_recheck=recheck).relying_party
    for via, seconds in (("bearer", of_tokens), ("dpop", of_tokens), ("session", of_others)):
        agent = msgspec.structs.replace(browser.agent, via=via)
        assert party.recheck_seconds(agent) == seconds
