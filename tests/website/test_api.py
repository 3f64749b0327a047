"""A website where no browser signs in: two variables, tokens only."""

from __future__ import annotations

import json
import re

import pytest

from auth_agent import RelyingParty, Requirement, Settings
from auth_agent.website.web.outcome import Pass, Reply
from tests.website.browser import NAVIGATION, Browser, ValueVisit, drive

JSON = {"accept": "application/json"}


@pytest.fixture
def make_api(clock, server):
    def make(**changes):
        values = {"issuer": server.issuer, "base_url": "https://api.example", "sign_in": False}
        settings = Settings(**{**values, **changes})
        return Browser(RelyingParty(settings, clock=clock), server)

    return make


@pytest.fixture
def api(make_api):
    return make_api(protect="/private/*")


def bearer(server, **claims):
    token = server.access_token(**{"aud": "https://api.example", **claims})
    return {"authorization": f"Bearer {token}"}


def test_a_token_carries_its_agent(api, server):
    outcome = api.request("/private/x", headers=bearer(server))
    assert (outcome.agent.id, outcome.agent.via) == ("agent_7", "bearer")


@pytest.mark.parametrize("route", ["login", "callback", "logout", "backchannel-logout"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_has_no_route_of_a_sign_in(api, route, method):
    assert api.request(f"/auth-agent/{route}", method=method) == Pass(None)


@pytest.mark.parametrize("headers", [JSON, NAVIGATION, {}])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_the_refusal_names_no_login(api, headers, method):
    reply = api.request("/private/x", method=method, headers=headers)
    found, content = dict(reply.headers), json.loads(reply.body)
    assert reply.status == 401
    assert "Link" not in found
    assert "login" not in reply.body.decode()
    assert content["issuer"] == "https://auth.example"
    assert content["resource"] == "https://api.example"
    metadata = "https://api.example/.well-known/oauth-protected-resource"
    schemes = f'Bearer resource_metadata="{metadata}", DPoP algs="ES256 EdDSA"'
    assert found["WWW-Authenticate"] == schemes


class TestWhatToAskFor:
    """A visit without a good token learns the scopes of the place, else those of the metadata."""

    def asked(self, api, path, headers=JSON):
        reply = api.request(path, headers=headers)
        assert reply.status == 401
        challenge = dict(reply.headers)["WWW-Authenticate"]
        return re.findall(r'scope="([^"]*)"', challenge), json.loads(reply.body).get("scope")

    def test_the_scopes_of_the_metadata(self, make_api, server):
        api = make_api(protect="/private/*", api_scopes="goods:read orders:write")
        both = "goods:read orders:write"
        assert self.asked(api, "/private/x") == ([both], both)
        for headers in (bearer(server, exp=1), {"authorization": "DPoP nothing"}):
            found, _ = self.asked(api, "/private/x", headers)
            assert found == [both]

    def test_none_if_there_are_none(self, api):
        assert self.asked(api, "/private/x") == ([], None)

    def test_the_place_has_the_first_word(self, make_api):
        api = make_api(api_scopes="goods:read orders:write")
        visit = ValueVisit("GET", "/x", {})
        reply = api.relying_party.require(visit, None, Requirement(scopes="orders:write"))
        assert 'scope="orders:write"' in dict(reply.headers)["WWW-Authenticate"]

    def test_a_token_that_is_too_old_needs_no_other_scopes(self, make_api, server, clock):
        api = make_api(api_scopes="goods:read")
        headers = bearer(server, auth_time=int(clock.now) - 100)
        agent = api.request("/x", headers=headers).agent
        visit = ValueVisit("GET", "/x", headers)
        reply = api.relying_party.require(visit, agent, Requirement(max_age=50))
        assert reply.status == 401
        assert "scope=" not in dict(reply.headers)["WWW-Authenticate"]


def test_a_refused_token_names_no_login(api, server):
    for headers in ({}, NAVIGATION):
        reply = api.request("/private/x", headers={**headers, **bearer(server, exp=1)})
        assert (reply.status, json.loads(reply.body)["error"]) == (401, "invalid_token")
        assert "login" not in reply.body.decode()


def test_cookies_are_not_looked_at(api, browser, clock):
    browser.sign_in()
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert api.request("/", headers={"cookie": cookie}) == Pass(None)
    assert api.request("/private/x", headers={"cookie": cookie, **JSON}).status == 401
    socket = ValueVisit("GET", "/", {"cookie": cookie, "origin": "https://api.example"})
    assert api.relying_party.enter_socket(socket) == Pass(None)


def test_opaque_tokens_need_client_credentials(api, make_api, server):
    server.active.add("opaque")
    headers = {"authorization": "Bearer opaque"}
    before = len(server.requests)
    reply = api.request("/private/x", headers=headers)
    assert (reply.status, json.loads(reply.body)["cause"]) == (401, "token_opaque")
    assert len(server.requests) == before, "nobody is asked"
    with_client = make_api(
        protect="/private/*", client_id=server.client_id, client_secret=server.client_secret
    )
    assert isinstance(with_client.request("/private/x", headers=headers), Pass)
    assert any(request.url.endswith("/introspect") for request in server.requests[before:])


def test_a_token_is_rechecked_only_with_client_credentials(api, make_api, server, clock):
    with_client = make_api(
        protect="/private/*", client_id=server.client_id, client_secret=server.client_secret
    )
    headers = bearer(server)
    for site in (api, with_client):
        assert isinstance(site.request("/private/x", headers=headers), Pass)
    clock.advance(600)
    server.active.clear()
    before = len(server.requests)
    assert isinstance(api.request("/private/x", headers=headers), Pass)
    assert len(server.requests) == before
    assert isinstance(with_client.request("/private/x", headers=headers), Reply)


class TestChallenges:
    def challenge(self, api, server, requirement, headers=None):
        visit = ValueVisit("GET", "/x", headers or {})
        outcome = api.relying_party.enter(visit)
        outcome = outcome if isinstance(outcome, Pass) else drive(outcome, server)
        reply = api.relying_party.require(visit, outcome.agent, requirement)
        return reply, dict(reply.headers)["WWW-Authenticate"]

    def test_every_scope_of_the_place_is_named(self, api, server):
        needs = Requirement(scopes="a b")
        reply, found = self.challenge(api, server, needs)
        assert (reply.status, 'scope="a b"' in found, "error=" in found) == (401, True, False)
        reply, found = self.challenge(api, server, needs, bearer(server, exp=1))
        assert (reply.status, 'scope="a b"' in found) == (401, True)
        reply, found = self.challenge(api, server, needs, bearer(server, scope="a"))
        assert (reply.status, 'scope="a b"' in found) == (403, True)

    def test_max_age_is_named(self, api, server, clock):
        needs = Requirement(scopes="a", max_age=60)
        headers = bearer(server, scope="a", auth_time=int(clock.now) - 100)
        reply, found = self.challenge(api, server, needs, headers)
        assert reply.status == 401
        assert found.startswith('Bearer error="insufficient_user_authentication", max_age="60"')
        assert 'scope="a"' in found

    def test_clients_that_search_the_header_find_what_is_meant(self, api, server):
        needs = Requirement(scopes="a")
        _, found = self.challenge(api, server, needs, bearer(server, scope="b"))
        for name in ("error=", "scope="):
            assert found.index(name) < found.index("error_description=")
