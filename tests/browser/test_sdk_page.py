"""`sign_in_page`: an agent that drives a real browser, with either of Playwright's colours."""

from __future__ import annotations

import threading
from urllib.parse import parse_qsl, urlsplit

import anyio
import pytest
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from auth_agent import AuthError, SettingsError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from tests.adapters.network import free_port, serve_asgi
from tests.browser.conftest import CHROMIUM

IMITATION = """<!doctype html><title>Authenticating AI agent</title>
<meta name="request-id" content="req_imitated">
<script>window.authRequest = { request_id: 'req_imitated', timestamp: 1 };</script>"""


@pytest.fixture
def page(chromium):
    """A page that notes all that it sends."""
    context = chromium.new_context()
    page = context.new_page()
    page.sent = []
    page.on("request", lambda request: page.sent.append((request.url, request.post_data)))
    yield page
    context.close()


def options(world, **changes):
    return {
        "agent_id": world.agent_id,
        "agent_secret": world.agent_secret,
        "server_url": world.issuer,
        "model": "claude-opus-4",
        **changes,
    }


def test_after_a_click(world, page):
    page.goto(world.site)
    page.get_by_role("link", name="Sign in with Auth Agent").click(no_wait_after=True)
    told = []
    found = AgentSDK(**options(world)).sign_in_page(page, website=world.site, on_step=told.append)
    assert (found.website, found.client_name) == (world.site, "Example shop")
    assert found.url.startswith(world.site)
    assert page.url.startswith(world.site)
    assert "openid" in found.scopes
    assert [step.action for step in told][-1] == "signed_in"
    page.goto(f"{world.site}/me")
    assert world.agent_id in page.content()


def test_a_request_that_the_agent_opened_itself(world, page):
    sdk = AgentSDK(**options(world))
    opened = sdk.authenticate_agent(redirect_uri=f"{world.site}/", scope="openid")
    page.goto(opened.challenge_url)
    found = sdk.sign_in_page(page, website=world.site)
    assert (found.website, found.scopes) == (world.site, {"openid"})
    back = dict(parse_qsl(urlsplit(page.url).query))
    tokens = sdk.exchange_code(back["code"], back["state"], f"{world.site}/")
    assert sdk.get_user_info(tokens.access_token).agent_id == world.agent_id


def test_the_page_never_sees_the_secret(world, page):
    page.goto(f"{world.site}/private/report")
    AgentSDK(**options(world)).sign_in_page(page)
    assert "42 orders" in page.content()
    assert page.sent
    assert world.agent_secret not in repr(page.sent)
    assert not any("/api/agent/authenticate" in url for url, _ in page.sent)


def test_another_website_than_the_one_that_was_meant(world, page):
    page.goto(f"{world.site}/private/report")
    sdk = AgentSDK(**options(world))
    with pytest.raises(AuthError) as caught:
        sdk.sign_in_page(page, website="https://bank.example")
    assert caught.value.code == "website_mismatch"
    with pytest.raises(AuthError) as caught:
        sdk.sign_in_page(page, allowed_scopes=["openid"])
    assert caught.value.code == "scope_not_allowed"
    sdk.sign_in_page(page)  # nothing was answered before


def test_a_page_that_imitates_the_waiting_page_gets_nothing(world, page):
    async def imitate(request):
        return HTMLResponse(IMITATION)

    port = free_port()
    app = Starlette(routes=[Route("/{path:path}", imitate)])
    with serve_asgi(app, port):
        page.goto(f"http://127.0.0.1:{port}/authorize?response_type=code&client_id=shop")
        with pytest.raises(AuthError) as caught:
            AgentSDK(**options(world)).sign_in_page(page)
        assert caught.value.code == "issuer_not_allowed"
        assert world.agent_secret not in repr(page.sent)
    page.set_content(IMITATION)
    with pytest.raises(AuthError) as caught:
        AgentSDK(**options(world)).sign_in_page(page)
    assert caught.value.code == "issuer_not_allowed"


def test_a_page_of_the_issuer_that_is_no_waiting_page(world, page):
    page.goto(f"{world.issuer}/authorize?client_id=unknown")
    with pytest.raises(AuthError) as caught:
        AgentSDK(**options(world)).sign_in_page(page)
    assert caught.value.code == "sign_in_failed"
    page.goto(world.issuer)
    with pytest.raises(AuthError) as caught:
        AgentSDK(**options(world)).sign_in_page(page)
    assert caught.value.code == "issuer_not_allowed"


def test_a_browser_that_is_gone(world, chromium):
    page = chromium.new_page()
    page.close()
    with pytest.raises(AuthError) as caught:
        AgentSDK(**options(world)).sign_in_page(page)
    assert caught.value.code == "browser_failed"


def test_a_browser_that_goes_nowhere(world, page):
    page.goto(world.site)
    with pytest.raises(AuthError) as caught:
        AgentSDK(**options(world)).sign_in_page(page, within=0.3)
    assert caught.value.code in ("issuer_not_allowed", "timeout")
    with pytest.raises(SettingsError, match="website"):
        AgentSDK(**options(world)).sign_in_page(page, website="http://bank.example")


def test_under_tasks(world, chromium):
    found = []

    async def main():
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            page = await browser.new_page()
            await page.goto(f"{world.site}/private/report")
            signed_in = await AsyncAgentSDK(**options(world)).sign_in_page(page)
            found.extend([signed_in.website, await page.content()])
            await page.goto(f"{world.issuer}/authorize?client_id=unknown")
            with pytest.raises(AuthError) as caught:
                await AsyncAgentSDK(**options(world)).sign_in_page(page)
            found.append(caught.value.code)
            await browser.close()

    # The synchronous Playwright of the other tests holds this thread's event loop.
    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    thread.join(60)
    assert found[0] == world.site
    assert "42 orders" in found[1]
    assert found[2] == "sign_in_failed"
