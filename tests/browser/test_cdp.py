"""`sign_in_cdp`: the sign-in in a Chromium that another program has started."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import Client
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Route

from auth_agent import AuthError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from auth_agent.sdk.tools.server import build_server
from tests.adapters.network import free_port, serve_asgi
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.test_sdk_page import IMITATION, options
from tests.sdk.conftest import run_async


@contextmanager
def run_chromium(folder: Path, started=lambda process: None):
    """Starts a browser with remote debugging; yields its DevTools address."""
    flags = [*FLAGS, "--headless=new", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--remote-debugging-port=0",
             f"--user-data-dir={folder}"]  # fmt: skip
    process = subprocess.Popen([CHROMIUM, *flags, "about:blank"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    started(process)
    try:
        yield f"http://127.0.0.1:{_listening_port(process, folder / 'DevToolsActivePort')}"
    finally:
        process.terminate()
        process.wait(20)


def _listening_port(process, path):
    """Reads the file that Chromium writes as soon as it listens."""
    until = time.monotonic() + 120
    while not path.exists() or not path.read_text():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    return path.read_text().splitlines()[0]


@pytest.fixture
def cdp_url(chromium, tmp_path):  # the module's own Chromium says whether there is one
    with run_chromium(tmp_path / "profile") as url:
        yield url


def tabs(cdp_url):
    found = httpx2.get(f"{cdp_url}/json/list", trust_env=False).json()
    return [tab["url"] for tab in found if tab["type"] == "page"]


def open_tab(cdp_url, url):
    httpx2.put(f"{cdp_url}/json/new?{url}", trust_env=False).raise_for_status()


def signed_in_at(cdp_url, site):
    """Returns True if the browser's own cookies open a page that needs an agent."""
    open_tab(cdp_url, f"{site}/private/report")
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if f"{site}/private/report" in tabs(cdp_url):
            return True
        time.sleep(0.05)
    return False


def in_thread(act):
    """Runs in a thread, because other tests' synchronous Playwright holds this one's event loop."""

    async def main():
        return await anyio.to_thread.run_sync(act)

    return run_async(main)


@pytest.mark.parametrize("path", ["/private/report", "/"])
def test_it_opens_the_page_and_signs_in(world, cdp_url, path):
    found = in_thread(
        lambda: AgentSDK(**options(world)).sign_in_cdp(cdp_url, f"{world.site}{path}")
    )
    assert found.website == world.site
    assert found.url.startswith(world.site)
    assert signed_in_at(cdp_url, world.site)
    assert len(tabs(cdp_url)) == 2  # the empty tab was used, and nothing was closed


def test_it_answers_the_tab_that_waits_already(world, cdp_url):
    open_tab(cdp_url, f"{world.site}/private/report")
    sdk = AgentSDK(**options(world))
    found = in_thread(lambda: sdk.sign_in_cdp(cdp_url, website=world.site))
    assert (found.website, found.url) == (world.site, f"{world.site}/private/report")


def test_under_tasks_and_as_a_tool(world, cdp_url):
    async def main():
        server = build_server(AsyncAgentSDK(**options(world)), cdp_url=cdp_url)
        async with Client(server) as client:
            words = {"url": f"{world.site}/private/report"}
            return await client.call_tool("sign_in_with_auth_agent", words)

    answer = run_async(main)
    assert not answer.is_error, answer
    assert answer.structured_content["signed_in"] is True
    assert world.agent_secret not in repr(answer)
    assert signed_in_at(cdp_url, world.site)


def test_a_tab_that_imitates_the_waiting_page(world, cdp_url):
    async def imitate(request):
        return HTMLResponse(IMITATION)

    async def lead_away(request):
        return RedirectResponse(f"http://127.0.0.1:{port}/authorize")

    port = free_port()
    routes = [Route("/away", lead_away), Route("/{path:path}", imitate)]
    with serve_asgi(Starlette(routes=routes), port):
        fake = f"http://127.0.0.1:{port}"
        sdk = AgentSDK(**options(world))

        def refused(*arguments, **more):
            with pytest.raises(AuthError) as caught:
                in_thread(lambda: sdk.sign_in_cdp(cdp_url, *arguments, **more))
            return caught.value.code

        assert refused(f"{fake}/authorize") in ("issuer_not_allowed", "not_a_sign_in")
        assert refused(f"{fake}/away") in ("issuer_not_allowed", "not_a_sign_in")
        assert refused(within=1.0) in ("not_a_sign_in", "timeout")
        open_tab(cdp_url, f"{world.site}/private/report")
        assert refused(website=fake) == "website_mismatch"


def test_a_browser_that_dies_meanwhile(world, chromium, tmp_path):
    killed = []
    with run_chromium(tmp_path / "profile", killed.append) as cdp_url:
        (process,) = killed
        sdk = AgentSDK(**options(world))
        opened = f"{world.site}/private/report"

        def kill(step):
            if step.action == "request_checked":
                process.kill()

        with pytest.raises(AuthError) as caught:
            in_thread(lambda: sdk.sign_in_cdp(cdp_url, opened, on_step=kill, within=20))
        assert caught.value.code in ("browser_failed", "timeout")


def test_nothing_listens_there(world):
    with pytest.raises(AuthError) as caught:
        in_thread(lambda: AgentSDK(**options(world)).sign_in_cdp(f"http://127.0.0.1:{free_port()}"))
    assert caught.value.code == "browser_failed"
    assert "--remote-debugging-port" in caught.value.description
    hosted = f"ws://user:token1@127.0.0.1:{free_port()}/token2?token=token3"
    with pytest.raises(AuthError) as caught:
        in_thread(lambda: AgentSDK(**options(world)).sign_in_cdp(hosted))
    assert "token" not in caught.value.description
    assert "127.0.0.1" in caught.value.description
