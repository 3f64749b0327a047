"""Websites that want the agent's secret, its consent, or its time: they get none of it."""

from __future__ import annotations

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from auth_agent import AuthError

WAITING = """<!doctype html><meta name="request-id" content="req_imitated">
<title>Authenticating AI agent</title>
<script>window.authRequest = { request_id: 'req_imitated', timestamp: 1 };</script>"""


def site(**answers):
    """Starts a website with one answer for each path; `home` is /."""

    def route(name, answer):
        async def endpoint(request):
            return (
                answer(request) if callable(answer) and not isinstance(answer, Response) else answer
            )

        path = "/" if name == "home" else f"/{name}"
        return Route(path, endpoint, methods=["GET", "POST"])

    return Starlette(routes=[route(name, answer) for name, answer in answers.items()])


def refused(sign_in, world, url, **wanted):
    with pytest.raises(AuthError) as caught:
        sign_in(world.options(), url, **wanted)
    assert world.secret not in f"{caught.value!r} {caught.value}"
    assert ("POST", "/api/agent/authenticate") not in world.server.asked
    return caught.value.code


def test_a_page_that_imitates_the_waiting_page_gets_nothing(world, sign_in, serve):
    url, heard = serve(site(home=HTMLResponse(WAITING)))
    assert refused(sign_in, world, f"{url}/") == "issuer_not_allowed"
    assert heard.asked == [("GET", "/")]
    assert world.secret.encode() not in heard.told
    assert world.agent_id.encode() not in heard.told


def test_a_server_of_the_websites_own_is_not_even_opened(world, sign_in, serve):
    fake, heard = serve(site(authorize=HTMLResponse(WAITING)))
    location = f"{fake}/authorize?response_type=code&client_id=shop"
    url, _ = serve(site(home=RedirectResponse(location)))
    assert refused(sign_in, world, f"{url}/") == "issuer_not_allowed"
    assert heard.asked == []


def test_an_imitation_behind_a_plain_redirect(world, sign_in, serve):
    fake, heard = serve(site(wait=HTMLResponse(WAITING)))
    url, _ = serve(site(home=RedirectResponse(f"{fake}/wait")))
    assert refused(sign_in, world, f"{url}/") == "issuer_not_allowed"
    assert heard.asked == [("GET", "/wait")]


def test_an_offer_of_another_issuer(world, sign_in, serve):
    def offer(request):
        door = f"http://{request.headers['host']}/door"
        return JSONResponse({"login_url": door, "issuer": "https://id.example"}, 401)

    url, heard = serve(site(home=offer))
    assert refused(sign_in, world, f"{url}/") == "issuer_not_allowed"
    assert heard.asked == [("GET", "/")]


def test_an_offer_of_a_door_elsewhere(world, sign_in, serve):
    offer = {"login_url": f"{world.website}/auth-agent/login", "issuer": world.issuer}
    url, _ = serve(site(home=JSONResponse(offer, 401)))
    assert refused(sign_in, world, f"{url}/") == "website_mismatch"
    assert world.shop.asked == []


def test_a_relayed_request_of_another_website_stays_unanswered(world, sign_in, serve):
    """Starts a sign-in at the shop as the attacker, who wants the agent to approve it."""
    with httpx2.Client() as attacker:
        location = attacker.get(f"{world.website}/auth-agent/login").headers["location"]
    url, _ = serve(site(home=RedirectResponse(location)))
    assert refused(sign_in, world, f"{url}/") == "website_mismatch"
    looked = [path for _, path in world.server.asked if path.startswith("/api/auth-requests/")]
    with httpx2.Client() as client:
        assert client.get(f"{world.issuer}{looked[0]}").json()["status"] == "pending"


def test_circles(world, sign_in, serve):
    url, heard = serve(site(home=RedirectResponse("/")))
    assert refused(sign_in, world, f"{url}/") == "too_many_redirects"
    assert len(heard.asked) == 20


@pytest.mark.parametrize(
    "location",
    ["http://shop.example/", "javascript:alert(1)", "https://me:it@shop.example/", "http://["],
)
def test_a_redirect_that_a_careful_browser_would_not_take(world, sign_in, serve, location):
    url, _ = serve(site(home=Response(status_code=302, headers={"location": location})))
    assert refused(sign_in, world, f"{url}/") == "insecure_url"


@pytest.mark.parametrize("url", ["http://shop.example/", "ftp://shop.example/", "shop.example"])
def test_a_url_that_is_not_safe_to_open(world, sign_in, url):
    assert refused(sign_in, world, url) == "insecure_url"


def test_an_answer_of_more_than_a_mebibyte(world, sign_in, serve):
    async def much():
        for _ in range(20):
            yield b"x" * 65_536

    url, _ = serve(site(home=lambda request: StreamingResponse(much())))
    assert refused(sign_in, world, f"{url}/") == "answer_too_large"


def test_an_answer_that_comes_drop_by_drop(world, sign_in, serve):
    async def drops(request):
        while not await request.is_disconnected():
            yield b"x"
            await anyio.sleep(0.02)

    url, _ = serve(site(home=lambda request: StreamingResponse(drops(request))))
    assert refused(sign_in, world, f"{url}/", within=0.4) == "timeout"


def test_headers_that_come_drop_by_drop(world, sign_in):
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip():
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                    while not done.wait(0.02):
                        connection.sendall(b"x")
                except OSError:
                    pass

        done = threading.Event()
        thread = threading.Thread(target=drip)
        thread.start()
        port = listener.getsockname()[1]
        try:
            assert refused(sign_in, world, f"http://127.0.0.1:{port}/", within=0.4) == "timeout"
        finally:
            done.set()
            thread.join(5)
