"""A website's own rendering of the middleware's pages: every page, and no refusal gets weaker."""

from __future__ import annotations

import logging

import pytest

from auth_agent import Page, RelyingParty, Requirement, SettingsError
from auth_agent.testing import approved, make_agent
from auth_agent.website.web.own_page import MAX_LANGUAGE, MAX_PAGE
from tests.website.browser import NAVIGATION, Browser, ValueVisit, drive

ACT = {"type": "payment", "title": "Pay <45.00> EUR"}
POST = {"accept": "text/html", "sec-fetch-site": "same-origin", "origin": "https://shop.example"}


def render(page):
    return f"<p>{page.code} {page.status} {page.method} {page.url}"


@pytest.fixture
def make(make_site, clock):
    """Opens two browsers: the built-in pages, and those of `render_page`."""

    def build(render_page=render, **settings):
        plain = make_site(**settings)
        party = RelyingParty(plain.relying_party.settings, render_page=render_page, clock=clock)
        return plain, Browser(party, plain.server)

    return build


def visit(method="GET", headers=NAVIGATION):
    return ValueVisit(method, "/orders/7/pay", headers)


def required(browser, agent, method="GET", headers=NAVIGATION, **requirement):
    needed = Requirement(**requirement)
    return browser.relying_party.require(visit(method, headers), agent, needed)


def act(browser, agent):
    return drive(browser.relying_party.use_approval(visit("POST", POST), agent, ACT), None)


def down(browser):
    browser.server.fail("/.well-known/oauth-authorization-server")
    browser.server.fail("/.well-known/openid-configuration")
    try:
        return browser.request("/auth-agent/login")
    finally:
        browser.server.mend()


FOREIGN = {**POST, "sec-fetch-site": "cross-site"}
WORKER = {"accept": "text/html", "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}
PAGES = {
    "login_required": lambda b: required(b, None, method="POST", headers=POST),
    "insufficient_scope": lambda b: required(b, make_agent(), scopes="x"),
    "agent_signed_in": lambda b: b.relying_party.require_no_agent(visit(), make_agent()),
    "cross_site_request": lambda b: b.relying_party.require_own_request(
        visit("POST", FOREIGN), make_agent()
    ),
    "insufficient_authorization": lambda b: act(b, make_agent()),
    "approval_without_an_agent": lambda b: act(b, None),
    "access_denied": lambda b: b.end(b.begin(), error="access_denied"),
    "state_missing": lambda b: b.request("/auth-agent/callback"),
    "server_unavailable": down,
    "ticket_expired": lambda b: b.request("/auth-agent/approve?ticket=x"),
    "sign_in_offered": lambda b: b.request("/auth-agent/login", headers=WORKER),
    "sign_out": lambda b: b.request("/auth-agent/logout"),
    "invalid_signature": lambda b: b.request(
        "/private/x",
        method="POST",
        headers={**POST, "signature": "x", "signature-input": 'x=("a");tag="web-bot-auth"'},
    ),
}


@pytest.mark.parametrize("kind", PAGES)
def test_every_page_is_the_websites_own_and_says_the_same(make, kind):
    plain, own = make(protect="/private/*", signatures="https://agents.example")
    known, found = PAGES[kind](plain), PAGES[kind](own)
    assert known.page is not None
    assert found.body.startswith(f"<p>{known.page.code} {known.status} ".encode())
    assert f"<h1>{known.page.title}</h1>".encode() in known.body
    assert found.status == known.status
    assert [each.max_age for each in found.cookies] == [each.max_age for each in known.cookies]
    before, after = dict(known.headers), dict(found.headers)
    policy = {before.pop("Content-Security-Policy"), after.pop("Content-Security-Policy")}
    assert len(policy) == 2
    assert before == after
    assert after["Cache-Control"] == "no-store"
    assert after["X-Content-Type-Options"] == "nosniff"


def test_the_table_holds_every_kind_of_page(make):
    titles = set()
    for show in PAGES.values():
        plain, _ = make(protect="/private/*", signatures="https://agents.example")
        titles.add(show(plain).page.title)
    assert titles == {
        "Sign in first",
        "This agent does not have access",
        "Ask the owner",
        "The sign-in did not work",
        "Sign out?",
        "The signature is not accepted",
        "Sign in with Auth Agent",
    }


@pytest.mark.parametrize(
    ("sheet", "source"),
    [
        ("", "'self'"),
        ("/own.css", "'self'"),
        ("https://c.example/a.css", "'self' https://c.example"),
    ],
)
def test_the_policy_allows_files_of_the_website_and_no_frame(make, sheet, source):
    _, own = make(stylesheet=sheet)
    reply = own.request("/auth-agent/callback")
    policy = dict(reply.headers)["Content-Security-Policy"]
    allowed = dict(each.partition(" ")[::2] for each in policy.split("; "))
    assert allowed == {
        "default-src": "'self'",
        "style-src": f"'unsafe-inline' {source}",
        "img-src": f"data: {source}",
        "font-src": f"data: {source}",
        "object-src": "'none'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert (
        "form-action"
        not in dict(own.request("/auth-agent/logout").headers)["Content-Security-Policy"]
    )  # its redirect may leave the site


async def _later(page):
    return "<p>late"


def _returns_a_coroutine(page):
    return _later(page)


def _fails(page):
    raise LookupError("a mistake of the website")


@pytest.mark.parametrize(
    "wrong",
    [
        _fails,
        lambda page: b"<p>bytes",
        lambda page: {"html": "<p>"},
        _returns_a_coroutine,
        lambda page: "x" * (MAX_PAGE + 1),
        lambda page: "\ud800",
    ],
    ids=["raises", "bytes", "object", "coroutine", "huge", "surrogate"],
)
@pytest.mark.parametrize("kind", ["access_denied", "insufficient_scope", "login_required"])
def test_a_function_that_fails_changes_nothing(make, caplog, wrong, kind):
    plain, own = make(wrong)
    with caplog.at_level(logging.ERROR):
        known, found = PAGES[kind](plain), PAGES[kind](own)
    assert (found.status, found.headers, found.body) == (known.status, known.headers, known.body)
    assert [each.partition(";")[0] for each in caplog.messages] == [
        "render_page of this website has failed"
    ]


def test_none_is_the_built_in_page(make, caplog):
    plain, own = make(lambda page: None)
    assert own.request("/auth-agent/logout") == plain.request("/auth-agent/logout")
    assert caplog.messages == []


def test_programs_get_json_and_browsers_their_redirect(make):
    plain, own = make(_fails, protect="/private/*")
    for headers in ({"accept": "application/json"}, NAVIGATION):
        reply = own.request("/private/x", headers=headers)
        assert reply == plain.request("/private/x", headers=headers)
        assert reply.page is None


def test_the_function_gets_plain_texts_and_the_language(make):
    seen = []
    _, own = make(seen.append)
    own.relying_party.use_approval(visit("POST", POST), make_agent(), ACT)
    headers = {**POST, "accept-language": "de-CH, de;q=0.9" + "x" * MAX_LANGUAGE}
    drive(own.relying_party.use_approval(visit("POST", headers), make_agent(), ACT), None)
    (page,) = seen
    assert "Pay <45.00> EUR" in page.message
    assert (page.site, page.method, page.action) == ("shop.example", "get", "Ask the owner")
    assert page.url.startswith("https://shop.example/auth-agent/approve?ticket=")
    assert (page.language[:15], len(page.language)) == ("de-CH, de;q=0.9", MAX_LANGUAGE)


def test_a_page_shows_no_request(make):
    page = Page(
        code="sign_out", status=200, site="s", title="t", message="m", action="a", url="/u",
        method="post", language="", request={"HTTP_COOKIE": "a secret"},
    )  # fmt: skip
    assert repr(page) == "Page(sign_out, 200)"
    assert [str(part) for part in page.__rich_repr__()] == ["Page(sign_out, 200)"]


def test_an_async_function_stops_the_start(make):
    with pytest.raises(SettingsError, match="render_page must be a plain function"):
        make(_later)


def test_an_approved_act_needs_no_page(make, clock):
    _, own = make(_fails)
    agent = make_agent(claims=approved(ACT, at=int(clock.now)))
    assert act(own, agent)["type"] == "payment"
