"""`sign_in_page`: an agent that drives a real browser, with either of Playwright's colours."""

from __future__ import annotations

import threading
import time
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx2
import pytest
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from auth_agent import AuthError, Settings, SettingsError
from auth_agent.flow import drive
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from auth_agent.sdk.exchange.html import request_ids
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.registry.agents import add_agent
from auth_agent.server.registry.clients import add_client
from tests.adapters.network import free_port, serve_asgi
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.sdk.conftest import make_shop

IMITATION = """<!doctype html><title>Authenticating AI agent</title>
<meta name="request-id" content="req_imitated">
<script>window.authRequest = { request_id: 'req_imitated', timestamp: 1 };</script>"""


@pytest.fixture
def page(chromium):
    """Opens a page that records every request it sends."""
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


def test_a_tab_that_is_swapped_while_it_is_read(world, page):
    """Approves nothing if an opener sends the tab to its own request and back."""
    with httpx2.Client(trust_env=False) as attacker:
        theirs = attacker.get(f"{world.site}/auth-agent/login").headers["location"]
        page.goto(f"{world.site}/private/report")
        root, swaps = page.locator(":root"), []

        class Swapped:
            def inner_html(self, **more):
                if swaps:
                    return root.inner_html(**more)
                ours = page.url
                page.goto(theirs)
                swaps.append(root.inner_html(**more))
                page.goto(ours)
                return swaps[0]

        page.locator = lambda _selector: Swapped()
        found = AgentSDK(**options(world)).sign_in_page(page, website=world.site)
        del page.locator
        (their_id,) = request_ids(as_answer(swaps[0]))
        assert found.website == world.site
        seen = attacker.get(f"{world.issuer}/api/auth-requests/{their_id}").json()
    assert seen["status"] == "pending"


def test_a_page_whose_scripts_never_end(world, chromium):
    async def stuck(request):
        script = "setTimeout(() => { while (true) {} }, 100)"
        return HTMLResponse(f"<title>x</title><script>{script}</script>")

    context = chromium.new_context()
    port = free_port()
    with serve_asgi(Starlette(routes=[Route("/", stuck)]), port):
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_timeout(200)
        began = time.monotonic()
        with pytest.raises(AuthError) as caught:
            AgentSDK(**options(world)).sign_in_page(page, within=2)
        assert caught.value.code in ("timeout", "issuer_not_allowed")
        assert time.monotonic() - began < 15
    context.close()


def as_answer(html):
    return HttpResponse(200, {"content-type": "text/html"}, html.encode())


@pytest.mark.parametrize("path", ["/id", ""])
def test_issuer_and_website_on_one_origin(chromium, tmp_path, path):
    origin = f"http://127.0.0.1:{free_port()}"
    issuer = f"{origin}{path}"
    settings = ServerSettings(issuer=issuer, database=f"sqlite:///{tmp_path}/auth-agent.db")
    server = create_app(settings)
    database = server.state.context.database
    client = add_client(database, "Shop", [f"{origin}/auth-agent/callback"], now=int(time.time()))
    agent = add_agent(database, "ada@example.com", now=int(time.time()))
    shop = make_shop(
        Settings(
            issuer=issuer,
            client_id=client.client_id,
            client_secret=client.client_secret,
            secret="a secret of the website that is long enough",
            base_url=origin,
        )
    )

    async def both(scope, receive, send):
        asked = scope.get("path", "")
        own = asked.startswith(f"{path}/") if path else not asked.startswith(("/me", "/auth-agent"))
        if scope["type"] != "http" or not own:  # the website closes its client with its lifespan
            await shop(scope, receive, send)
            return
        scope = {**scope, "path": asked.removeprefix(path), "raw_path": b""}
        await server(scope, receive, send)

    context = chromium.new_context()
    page = context.new_page()
    try:
        with serve_asgi(both, int(origin.rpartition(":")[2])):
            page.goto(f"{origin}/me")
            sdk = AgentSDK(agent_id=agent.agent_id, agent_secret=agent.agent_secret, model="m",
                           server_url=issuer)  # fmt: skip
            found = sdk.sign_in_page(page, website=origin)
            assert found.url == f"{origin}/me"
            assert agent.agent_id in page.content()
    finally:
        context.close()
        drive.close()


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
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
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
