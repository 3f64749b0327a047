"""Requirements: each one alone lets in and keeps out."""

from __future__ import annotations

import json

import pytest

from auth_agent import Agent, Requirement
from tests.website.browser import ValueVisit, cause, location

JSON = {"accept": "application/json"}


def ask(site, requirement, headers=JSON):
    agent = site.agent
    return site.relying_party.require(ValueVisit("GET", "/page", headers), agent, requirement)


@pytest.mark.parametrize(
    ("requirement", "code"),
    [
        ({"scopes": ["openid", "email"]}, None),
        ({"scopes": "openid email"}, None),
        ({"scopes": ["reports:read"]}, "insufficient_scope"),
        ({"permissions": ["refund"]}, None),
        ({"permissions": ["refund", "admin"]}, "access_denied"),
        ({"models": ["claude-*"]}, None),
        ({"models": ["gpt-*", "claude-opus-?"]}, None),
        ({"models": ["gpt-*"]}, "access_denied"),
        ({"models": ["CLAUDE-*"]}, "access_denied"),
        ({"agents": ["agent_7"]}, None),
        ({"agents": ["agent_8"]}, "access_denied"),
        ({"verified_email": True}, None),
        ({"max_age": 60}, None),
        ({}, None),
    ],
)
def test_each_requirement(browser, server, requirement, code):
    server.agent["permissions"] = ["refund"]
    browser.sign_in()
    reply = ask(browser, Requirement(**requirement))
    assert (cause(reply) if reply else None) == code
    if reply:
        assert reply.status == 403


def test_an_unverified_address_is_not_verified(browser, server):
    for value in (False, "false", "yes", 1, None):
        server.agent["email_verified"] = value
        browser.sign_in()
        assert ask(browser, Requirement(verified_email=True)).status == 403
        assert ask(browser, Requirement(scopes="openid")) is None


def test_an_unknown_model_matches_no_pattern(browser, server):
    server.agent.update(model="", model_name="")
    browser.sign_in()
    assert ask(browser, Requirement(models=["*"])).status == 403


def test_lacking_scope_has_a_challenge_that_names_it(browser):
    browser.sign_in()
    reply = ask(browser, Requirement(scopes=["reports:read"]))
    challenge = dict(reply.headers)["WWW-Authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope"')
    assert 'scope="reports:read"' in challenge
    assert json.loads(reply.body)["scope"] == "reports:read"


def test_a_browser_sees_a_page(browser):
    browser.sign_in()
    reply = ask(browser, Requirement(scopes=["reports:read"]), {"accept": "text/html"})
    assert (reply.status, dict(reply.headers)["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert 'scope="reports:read"' in dict(reply.headers)["WWW-Authenticate"]
    denied = ask(browser, Requirement(models=["gpt-*"]), {"accept": "text/html"})
    assert b"This agent does not have access" in denied.body
    assert "WWW-Authenticate" not in dict(denied.headers)


def test_an_old_sign_in_is_made_anew(browser, clock):
    browser.sign_in()
    clock.advance(61)
    recent = Requirement(max_age=60)
    reply = ask(browser, recent)
    assert (cause(reply), reply.status) == ("insufficient_user_authentication", 401)
    assert 'max_age="60"' in dict(reply.headers)["WWW-Authenticate"]
    page = ask(browser, recent, {"accept": "text/html"})
    assert location(page) == "/auth-agent/login?next=/page&max_age=60"
    browser.sign_in()
    assert ask(browser, recent) is None


@pytest.mark.parametrize("is_known", [True, False])
def test_how_old_a_sign_in_may_be_is_told_to_the_server(browser, is_known, clock):
    if is_known:
        browser.sign_in()
        clock.advance(61)
    agent = browser.agent
    for headers in ({"accept": "text/html"}, JSON):
        reply = browser.relying_party.require(
            ValueVisit("GET", "/page", headers), agent, Requirement(max_age=60)
        )
        if reply.status == 303:
            login = location(reply)
        else:
            login = json.loads(reply.body)["login_url"].removeprefix("https://shop.example")
            link = dict(reply.headers)["Link"]
            assert f"<https://shop.example{login}>" in link
        asked = location(browser.request(login))
        assert "&max_age=60" in asked


@pytest.mark.parametrize("age", [61, 119, 3_600])
def test_a_server_that_does_not_ask_again_ends_on_a_page_and_in_no_round(
    browser, clock, server, age
):
    """Covers single sign-on that ignores `max_age`, and a clock that is behind."""
    browser.sign_in()
    clock.advance(61)
    server.claims["auth_time"] = int(clock()) - age
    page = ask(browser, Requirement(max_age=60), {"accept": "text/html"})
    reply = browser.end(location(browser.request(location(page))))
    assert (reply.status, cause(reply)) == (401, "authentication_too_old")


def test_no_agent_is_led_to_the_login(browser):
    reply = browser.relying_party.require(ValueVisit("GET", "/page", JSON), None)
    assert (reply.status, cause(reply)) == (401, "login_required")


@pytest.mark.parametrize(
    ("settings", "admitted"),
    [
        ({"allow_models": "claude-*, gpt-*"}, True),
        ({"allow_models": "gpt-*"}, False),
        ({"deny_agents": "agent_7"}, False),
        ({"deny_agents": "agent_*"}, False),
        ({"deny_agents": "agent_8"}, True),
    ],
)
def test_the_whole_site_may_refuse_an_agent(make_site, settings, admitted):
    site = make_site(**settings)
    reply = site.sign_in()
    assert (reply.status == 303) is admitted
    assert (site.agent is not None) is admitted
    if not admitted:
        assert (cause(reply), reply.status) == ("agent_refused", 403)


def test_a_denied_agent_is_out_although_it_was_signed_in(make_site):
    site = make_site()
    site.sign_in()
    stricter = make_site(deny_agents="agent_7", protect="/private/*")
    stricter.cookies = site.cookies
    assert stricter.agent is None
    assert stricter.request("/private/x").status == 303


def test_a_misspelt_requirement_is_no_requirement():
    with pytest.raises(TypeError):
        Requirement(scope="a")


@pytest.mark.parametrize("name", ["agents", "models"])
@pytest.mark.parametrize(
    ("value", "admits"), [(None, True), ([], False), ("", False), (["*"], True)]
)
def test_an_empty_list_admits_no_agent(browser, name, value, admits):
    browser.sign_in()
    decision = browser.relying_party.explain(browser.agent, Requirement(**{name: value}))
    assert (decision.admitted, decision.rule) == (admits, "all" if admits else name)


@pytest.mark.parametrize(
    ("value", "admits"), [(None, True), ([], False), (",", False), ("*", True)]
)
def test_an_empty_list_of_models_admits_no_agent(make_site, value, admits):
    site = make_site(allow_models=value)
    agent = Agent(id="a", issuer="i", client_id="c", authenticated_at=0, expires_at=1, model="m")
    assert site.relying_party.explain(agent).admitted is admits
