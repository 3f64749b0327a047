"""Requests of a browser's pages, signed; another implementation verifies them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from playwright.sync_api import Route

from auth_agent import AuthError, SettingsError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from auth_agent.server import ServerSettings, create_app
from tests.adapters.network import free_port, serve_asgi
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.test_cdp import in_thread, open_tab, run_chromium
from tests.sdk.conftest import run_async
from tests.sdk.witness import Signing, Witness

HTML = {"content-type": "text/html"}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    url = f"http://127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("signing")
    app = create_app(ServerSettings(issuer=url, database=f"sqlite:///{folder}/auth-agent.db"))
    database = app.state.context.database

    def options(**changes):
        return {"server_url": url, **changes}

    with serve_asgi(app, int(url.rpartition(":")[2])):
        yield SimpleNamespace(issuer=url, database=database, options=options)


@pytest.fixture
def signing(issuer, tmp_path):
    return Signing(issuer, tmp_path)


@pytest.fixture
def sites():
    """Starts two websites: a page with everything on it, and another origin that it uses."""
    with ExitStack() as running:
        made = []
        for _ in range(2):
            witness, port = Witness(f"http://127.0.0.1:{free_port()}"), 0
            port = int(witness.origin.rpartition(":")[2])
            running.enter_context(serve_asgi(witness, port))
            made.append(witness)
        shop, other = made
        other.origin = other.origin.replace("127.0.0.1", "localhost")  # another site, too
        other.answers["/api"] = (200, {"access-control-allow-origin": "*"}, b"{}")
        other.answers["/frame"] = (200, HTML, b"<title>frame</title>")
        shop.answers["/own-frame"] = (200, HTML, b"<title>frame</title>")
        shop.answers["/away"] = (302, {"location": f"{other.origin}/landed"}, b"")
        shop.answers["/popup"] = (200, HTML, b"<title>popup</title>")
        page = f"""<title>busy</title><iframe src="{other.origin}/frame"></iframe>
            <iframe src="/own-frame"></iframe><a href="/popup" target="_blank">open</a><script>
            const sent = [fetch("/json", {{method: "POST", body: JSON.stringify({{loaves: 2}})}}),
                fetch("{other.origin}/api"), fetch("/query?a=b%20c&d")];
            Promise.all(sent).then(() => document.title = "ready",
                error => document.title = String(error));
            </script>"""
        shop.answers["/page"] = (200, HTML, page.encode())
        yield shop, other


def unsigned(*sites):
    """Returns the requests that came without a valid signature, except for icons."""
    return [
        (one.method, one.path, one.problem)
        for site in sites
        for one in site.seen
        if one.problem and one.path != "/favicon.ico"
    ]


def test_everything_that_a_context_loads_is_signed(chromium, signing, sites):
    shop, other = sites
    context = chromium.new_context()
    sdk = AgentSDK(**signing.options)
    signed = sdk.sign_page(context)
    page = context.new_page()
    page.goto(f"{shop.origin}/page")
    page.wait_for_function("document.title == 'ready'")
    with page.expect_popup() as popup:
        page.get_by_text("open").click()
    popup.value.wait_for_load_state()
    page.goto(f"{shop.origin}/away")
    assert unsigned(shop, other) == []
    assert {one.agent for one in shop.seen} == {signing.name}
    posted = shop.at("/json")
    assert (posted.method, '"content-digest"' in posted.covered) == ("POST", True)
    for site, path in ((shop, "/popup"), (shop, "/own-frame"), (other, "/frame"), (other, "/api")):
        assert site.at(path).agent == signing.name
    # Each hop has its own: the signature for the first origin never reaches the second.
    away, landed = shop.at("/away"), other.at("/landed")
    assert away.params["nonce"] != landed.params["nonce"]
    # Another context of the same browser is left alone.
    bystander = chromium.new_context()
    bystander.new_page().goto(f"{shop.origin}/own-frame?bystander")
    assert "signature" not in shop.at("/own-frame").headers
    page.goto(f"{shop.origin}/page")
    page.wait_for_function("document.title == 'ready'")
    assert shop.at("/json").agent == signing.name
    bystander.close()
    signed.stop()
    page.goto(f"{shop.origin}/own-frame?stopped")
    assert "signature" not in shop.at("/own-frame").headers
    context.close()


def test_a_page_is_signed_alone(chromium, signing, sites):
    shop, other = sites
    context = chromium.new_context()
    page = context.new_page()
    AgentSDK(**signing.options).sign_page(page)
    page.goto(f"{shop.origin}/page")
    page.wait_for_function("document.title == 'ready'")
    page.goto(f"{shop.origin}/away")
    assert unsigned(shop, other) == []
    assert other.at("/landed").agent == signing.name
    context.new_page().goto(f"{shop.origin}/own-frame?other")
    assert "signature" not in shop.at("/own-frame").headers
    context.close()


def test_a_route_of_the_callers_changes_the_request_before_it_is_signed(chromium, signing, sites):
    shop, _ = sites
    context = chromium.new_context()
    AgentSDK(**signing.options).sign_page(context)
    page = context.new_page()

    def change(route: Route) -> None:
        route.continue_(method="PUT", headers={**route.request.headers, "x-mine": "yes"})

    page.route("**/changed", change)
    page.goto(f"{shop.origin}/changed")
    seen = shop.at("/changed")
    assert (seen.method, seen.headers["x-mine"], seen.problem) == ("PUT", "yes", "")
    context.close()


def test_forms_and_files(chromium, signing, sites, tmp_path):
    shop, _ = sites
    form = b"""<form method=post action=/sent><input name=a value="1 2"></form>
        <form method=post action=/file enctype=multipart/form-data>
        <input type=file name=f></form>"""
    shop.answers["/form"] = (200, HTML, form)
    context = chromium.new_context()
    page = context.new_page()
    AgentSDK(**signing.options).sign_page(page)
    page.goto(f"{shop.origin}/form")
    page.evaluate("document.forms[0].submit()")
    page.wait_for_url("**/sent")
    assert '"content-digest"' in shop.at("/sent").covered
    (tmp_path / "f.txt").write_text("hello")
    page.goto(f"{shop.origin}/form")
    page.set_input_files("input[type=file]", tmp_path / "f.txt")
    page.evaluate("document.forms[1].submit()")
    page.wait_for_url("**/file")
    sent = shop.at("/file")
    assert sent.headers["content-type"].startswith("multipart/form-data")
    assert "signature" in sent.headers
    assert "content-digest" not in sent.headers, "the browser does not show what is in a file"
    context.close()


def test_under_tasks(chromium, signing, sites):
    shop, other = sites

    async def main():
        from playwright.async_api import async_playwright

        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            context = await browser.new_context()
            signed = await AsyncAgentSDK(**signing.options).sign_page(context)
            page = await context.new_page()
            await page.goto(f"{shop.origin}/page")
            await page.wait_for_function("document.title == 'ready'")
            await page.goto(f"{shop.origin}/away")
            await signed.stop()
            await browser.close()

    run_async(main)
    assert unsigned(shop, other) == []
    assert other.at("/landed").agent == signing.name


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_a_browser_that_another_program_drives(chromium, signing, sites, tmp_path, kind):
    shop, other = sites
    sdk = kind(**signing.options)

    def wait_for(site, path):
        until = time.monotonic() + 120
        while not (found := [one for one in site.seen if one.path == path]):
            assert time.monotonic() < until
            time.sleep(0.05)
        return found[-1]

    def drive(url):
        open_tab(url, f"{shop.origin}/away")
        wait_for(other, "/landed")

    with run_chromium(tmp_path / "profile") as url:
        if kind is AgentSDK:

            def main():
                with sdk.sign_cdp(url):
                    drive(url)

            in_thread(main)
        else:

            async def main_async():
                import anyio

                async with sdk.sign_cdp(url):
                    await anyio.to_thread.run_sync(drive, url)

            run_async(main_async)
        assert unsigned(shop, other) == []
        assert other.at("/landed").agent == signing.name
        open_tab(url, f"{shop.origin}/own-frame?afterwards")
        seen = wait_for(shop, "/own-frame?afterwards")
        assert "signature" not in seen.headers, "the browser goes on without us"


def test_what_cannot_sign_is_named(chromium, signing, issuer, tmp_path):
    page = chromium.new_page()
    with pytest.raises(SettingsError, match="signing_key"):
        AgentSDK(**{**signing.options, "signing_key": None}).sign_page(page)
    page.close()
    with pytest.raises(AuthError) as caught:
        AgentSDK(**signing.options).sign_page(page)
    assert caught.value.code == "browser_failed"

    def refused():
        with (
            pytest.raises(AuthError) as caught,
            AgentSDK(**signing.options).sign_cdp(f"http://127.0.0.1:{free_port()}"),
        ):
            pass
        return caught.value.code

    assert in_thread(refused) == "browser_failed"
