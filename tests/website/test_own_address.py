"""A website's own addresses: its host, its start page below a path, its sign-out page."""

from __future__ import annotations

import pytest

from auth_agent import RelyingParty, SignInRefused
from auth_agent.testing import ABSENT, json_response
from tests.website.browser import NAVIGATION, Browser, cause, location

PREFIX = "/shop/auth-agent"


def hooked(make_site, server, on_sign_in):
    known = make_site().relying_party
    site = RelyingParty(known.settings, on_sign_in=on_sign_in, clock=server.clock)
    return Browser(site, server)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "www.shop.example", "shop.example:444", "x y"])
def test_a_login_on_another_host_moves_to_the_own_one_once(browser, host):
    headers = {**NAVIGATION, "host": host}
    moved = browser.request("/auth-agent/login?next=/me&max_age=60", headers=headers)
    url = location(moved)
    assert url == "https://shop.example/auth-agent/login?next=/me&max_age=60&moved=1"
    assert not moved.cookies
    target = url.removeprefix("https://shop.example")
    asked = location(browser.request(target, headers=headers))  # a proxy rewrites Host
    assert asked.startswith("https://auth.example/authorize?")
    assert "max_age=60" in asked
    assert location(browser.end(asked)) == "/me"


@pytest.mark.parametrize("host", ["shop.example", "SHOP.example:443"])
def test_a_login_on_the_own_host_goes_on(browser, host):
    reply = browser.request("/auth-agent/login", headers={**NAVIGATION, "host": host})
    assert location(reply).startswith("https://auth.example/authorize?")


def test_below_a_path_the_start_page_is_the_own_one(make_site):
    site = make_site(prefix=PREFIX)
    for query in ("", "?next=//evil.example", f"?next={PREFIX}/logout"):
        asked = location(site.request(f"{PREFIX}/login{query}"))
        assert location(site.end(asked)) == "/shop/"
    signed_out = site.request(f"{PREFIX}/logout", method="POST")
    assert location(signed_out) == "/shop/"


def test_a_null_origin_gets_the_sign_out_page_and_stays_signed_in(browser):
    browser.sign_in()
    headers = {"accept": "text/html", "origin": "null"}
    refused = browser.request("/auth-agent/logout", method="POST", headers=headers)
    assert refused.status == 403
    assert b'action="/auth-agent/logout"' in refused.body
    assert browser.agent is not None
    foreign = {**headers, "origin": "https://evil.example"}
    assert (
        b"<form" not in browser.request("/auth-agent/logout", method="POST", headers=foreign).body
    )


def test_the_sign_out_page_may_lead_elsewhere_and_no_other_page(browser):
    page = browser.request("/auth-agent/logout")
    assert "form-action" not in dict(page.headers)["Content-Security-Policy"]
    refused = browser.request("/auth-agent/callback")
    assert "form-action 'self'" in dict(refused.headers)["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("auth_time", "code"),
    [
        (-61 - 60, "authentication_too_old"),
        (-61, "authentication_too_old"),
        (-60, ""),
        (0, ""),
        (None, "time_missing"),
    ],
)
def test_what_was_asked_of_the_authentication_is_checked(browser, server, clock, auth_time, code):
    server.claims["auth_time"] = None if auth_time is None else int(clock()) + auth_time
    asked = location(browser.request("/auth-agent/login?next=/me&max_age=60"))
    reply = browser.end(asked)
    assert (reply.status == 303) == (not code)
    assert code in (cause(reply), "")


def test_the_tokens_of_a_refused_sign_in_are_revoked(make_site, server):
    site = make_site(deny_agents="agent_*")
    assert cause(site.sign_in()) == "agent_refused"
    server.claims["nonce"] = "another"
    assert cause(make_site().sign_in()) == "nonce_mismatch"
    assert server.count("/revoke") == 2
    assert not server.active


def test_an_agent_that_does_not_fit_is_never_told_of(make_site, server):
    told = []
    site = hooked(make_site, server, told.append)
    server.claims["name"] = "n" * 5_000
    assert cause(site.sign_in()) == "agent_too_large"
    assert not told


def test_an_address_keeps_the_flag_of_its_own_source(make_site, server):
    site = make_site(userinfo="always")
    server.userinfo |= {"email": "attacker@example.com", "email_verified": True}
    server.claims |= {"email": "victim@example.com", "email_verified": ABSENT}
    site.sign_in()
    assert (site.agent.email, site.agent.email_verified) == ("victim@example.com", False)
    server.claims |= {"email": ABSENT, "email_verified": True}
    server.userinfo |= {"email_verified": ABSENT}
    site.sign_in()
    assert (site.agent.email, site.agent.email_verified) == ("attacker@example.com", False)


def test_an_algorithm_that_the_server_has_just_begun_to_use(browser, server):
    server.metadata["id_token_signing_alg_values_supported"] = ["RS256"]
    assert cause(browser.sign_in()) == "algorithm_refused"
    other = browser.twin()
    server.metadata["id_token_signing_alg_values_supported"] = ["ES256"]
    browser.relying_party._site.provider._unlisted_algorithm._asked_at = float("-inf")
    assert other.sign_in().status == 303


@pytest.mark.parametrize(
    ("trusted", "claims", "code"),
    [
        ((), {"aud": ["client_shop", "https://api.example"], "azp": "client_shop"}, False),
        (("https://api.example",), {"aud": ["client_shop", "https://api.example"]}, False),
        (("https://api.example",), {"aud": ["https://api.example"], "azp": "client_shop"}, False),
        (
            ("https://api.example",),
            {"aud": ["client_shop", "https://api.example"], "azp": "client_shop"},
            True,
        ),
        (
            ("https://api.example",),
            {"aud": ["client_shop", "https://api.example", "x"], "azp": "client_shop"},
            False,
        ),
    ],
)
def test_another_audience_has_to_be_trusted(make_site, server, trusted, claims, code):
    server.claims |= claims
    assert (make_site(trusted_audiences=trusted).sign_in().status == 303) is code


def test_signed_userinfo_is_verified(make_site, server):
    site = make_site(userinfo="always")
    good = {"iss": server.issuer, "aud": "client_shop", "sub": "agent_7", "nickname": "n"}

    def answer(header=None, **changes):
        token = server.sign({**good, **changes}, {"typ": "JWT", **(header or {})})
        found = json_response(200, {})
        kind = {"content-type": "application/jwt"}
        server.answers["/userinfo"] = type(found)(200, kind, token.encode())
        return site.twin().sign_in()

    assert answer().status == 303
    assert cause(answer(aud="other")) == "audience_mismatch"
    assert cause(answer(iss="https://evil.example")) == "issuer_mismatch"
    assert cause(answer(sub="agent_8")) == "userinfo_sub_mismatch"
    assert cause(answer({"alg": "none"})) in ("algorithm_refused", "token_malformed")
    assert cause(answer({"typ": "at+jwt"})) == "typ_mismatch"


def test_a_hook_that_refuses_leaves_no_tokens(make_site, server):
    def refuse(_agent):
        raise SignInRefused("No.", code="not_here", status_code=403)

    site = hooked(make_site, server, refuse)
    assert cause(site.sign_in()) == "not_here"
    assert not server.active
