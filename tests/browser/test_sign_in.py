"""A real browser goes from the button through the waiting page back to the website."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.browser.looks import look

REQUEST_ID = re.compile(r"window\.authRequest\s*=\s*\{[^}]*request_id:\s*'([^']+)'")


@pytest.fixture
def page(chromium):
    """Opens a page that records the browser's complaints and every origin that it contacts."""
    context = chromium.new_context()
    page = context.new_page()
    page.complaints, page.origins = [], set()
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.origins.add(_origin(request.url)))
    yield page
    context.close()


def _origin(url):
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else parts.scheme


def approve(world, page):
    """Answers as an agent beside the browser: reads the page as a published agent SDK would."""
    request_id = re.search(
        r"window\.authRequest\s*=\s*\{[^}]*request_id:\s*'([^']+)'", page.content()
    )
    answer = httpx2.post(
        f"{world.issuer}/api/agent/authenticate",
        json={
            "request_id": request_id[1],
            "agent_id": world.agent_id,
            "agent_secret": world.agent_secret,
            "model": "claude-opus-4",
            "expected_origin": world.site,
        },
    )
    assert answer.json()["status"] == "authenticated", answer.text


def test_from_the_button_to_the_page_that_needs_an_agent(world, page):
    page.goto(world.site)
    page.get_by_role("link", name="Sign in with Auth Agent").click()
    page.get_by_text("authenticating AI agent").first.wait_for()
    assert _origin(page.url) == world.issuer
    assert page.get_by_text("Example shop").first.is_visible()

    approve(world, page)
    page.wait_for_url(f"{world.site}/me")
    assert world.agent_id in page.content()

    page.goto(world.site)
    assert page.get_by_text("An agent is signed in").is_visible()
    page.goto(f"{world.site}/private/report")
    assert "42 orders" in page.content()

    page.goto(world.site)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in with Auth Agent").wait_for()
    assert page.complaints == []
    assert page.origins <= {world.site, world.issuer, "data"}


def test_a_protected_page_is_returned_to(world, page):
    page.goto(f"{world.site}/private/report?week=47")
    approve(world, page)
    page.wait_for_url(f"{world.site}/private/report?week=47")
    assert page.complaints == []


def test_cancelling_leads_back_with_an_explanation(world, page):
    page.goto(f"{world.site}/private/report")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("heading", name="The sign-in did not work").wait_for()
    assert _origin(page.url) == world.site
    text = (
        "The sign-in was cancelled, or the agent's owner did not approve it. "
        "Start again to sign in."
    )
    page.get_by_text(text).wait_for()
    page.get_by_role("link", name="Start again").click()
    approve(world, page)
    page.wait_for_url(f"{world.site}/private/report")


def test_the_code_does_not_reach_another_browser(world, page, chromium):
    page.goto(f"{world.site}/private/report")
    request_id = page.locator("meta[name=request-id]").get_attribute("content")
    approve(world, page)
    page.wait_for_url(f"{world.site}/private/report")
    status = httpx2.get(f"{world.issuer}/api/check-status", params={"request_id": request_id})
    assert status.json() == {"status": "completed"}


def test_a_browser_without_javascript_arrives_too(world, chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{world.site}/private/report")
    approve(world, page)
    page.get_by_role("link", name="Continue").click()
    page.wait_for_url(f"{world.site}/private/report")
    context.close()


def test_every_page_fits_and_can_be_used_by_keyboard(world, page):
    for path in ("/", "/private/report", "/auth-agent/logout", "/auth-agent/callback?state=x"):
        page.goto(f"{world.site}{path}")
        look(page, path, (("light", 1280), ("light", 375), ("dark", 375), ("dark", 1280)))
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.tagName")
        assert focused in ("A", "BUTTON"), path


def test_a_browser_that_keeps_no_cookies_is_told_so(world, page):
    page.goto(f"{world.site}/private/report")
    page.context.clear_cookies()
    page.get_by_role("heading", name="Cookies are blocked").wait_for()
    assert page.get_by_text("This page continues by itself.").is_hidden()
    assert page.get_by_role("link", name="Go back to Example shop").is_visible()


def test_whoever_opened_the_waiting_page_cannot_send_its_tab_elsewhere(world, page):
    """Lets a website open the sign-in in a tab, and ends it in that tab's own session."""
    page.goto(f"{world.site}/")
    with page.context.expect_page() as opened:
        page.evaluate("() => { window.opened = window.open('/auth-agent/login') }")
    waiting = opened.value
    waiting.wait_for_url(f"{world.issuer}/**")
    assert waiting.evaluate("window.opener") is None
    assert page.evaluate("window.opened.closed") is True
    approve(world, waiting)
    waiting.wait_for_url(f"{world.site}/**")
