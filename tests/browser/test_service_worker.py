"""A service worker that fetches navigations itself, as caching ones do."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from auth_agent import Settings
from auth_agent.wsgi import AuthAgentMiddleware
from tests.browser.conftest import World
from tests.browser.test_sign_in import approve
from tests.services import free_port

# Each keeps the Accept of the page that was asked for.
WORKERS = {
    "cors": "fetch(event.request, {credentials: 'include'})",
    "same-origin": "fetch(event.request, {mode: 'same-origin'})",
}


def application(worker):
    script = (
        "self.addEventListener('fetch', event => event.respondWith("
        f"{worker}));self.addEventListener('activate', event => event.waitUntil(clients.claim()));"
    )
    start = (
        "<!doctype html><title>Shop</title><script>navigator.serviceWorker.register('/worker.js')"
        ".then(() => navigator.serviceWorker.ready)</script><p>A shop"
    )
    pages = {"/worker.js": ("text/javascript", script), "/": ("text/html", start)}

    def answer(environ, start_response):
        kind, text = pages.get(environ["PATH_INFO"], ("text/html", "<h1>42 orders</h1>"))
        start_response("200 OK", [("Content-Type", kind)])
        return [text.encode()]

    return answer


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def serve_shop(auth_server, worker):
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    environ = auth_server.register(site)
    app = AuthAgentMiddleware(application(worker), Settings.from_env(environ))
    with make_server("127.0.0.1", port, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield World(site, auth_server.issuer, auth_server.agent_id, auth_server.agent_secret)
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.parametrize("worker", WORKERS.values(), ids=WORKERS)
def test_a_person_gets_to_the_page_by_links(auth_server, chromium, worker):
    with serve_shop(auth_server, worker) as world:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(world.site)
        page.wait_for_function("navigator.serviceWorker.controller !== null")
        answer = page.goto(f"{world.site}/private/report")
        assert answer.from_service_worker
        assert answer.status == 401
        page.get_by_role("link", name="Sign in with Auth Agent").click()
        page.get_by_role("link", name="Continue to sign in").click()
        page.get_by_text("authenticating AI agent").first.wait_for()
        approve(world, page)
        page.get_by_role("heading", name="42 orders").wait_for()
        seen = page.evaluate(
            "fetch('/auth-agent/login', {headers: {accept: 'application/json'}})"
            ".then(async answer => [answer.status, (await answer.json()).error])"
        )
        assert seen == [403, "not_a_navigation"], "a script starts no sign-in"
        context.close()


def test_an_address_alone_is_asked_for_as_scripts_do(auth_server, chromium):
    """Its Accept is anything, so that nothing tells it from a script, which wants to read why."""
    with serve_shop(auth_server, "fetch(event.request.url)") as world:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(world.site)
        page.wait_for_function("navigator.serviceWorker.controller !== null")
        answer = page.goto(f"{world.site}/private/report")
        assert (answer.from_service_worker, answer.status) == (True, 401)
        assert answer.json()["login_url"].startswith(f"{world.site}/auth-agent/login?next=")
        context.close()
