"""Cookies as browsers keep them, and the file that curl reads."""

from __future__ import annotations

import time
from http.cookiejar import Cookie

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse

from auth_agent.sdk import AgentSDK
from auth_agent.sdk.flow.cookies import MAX_COOKIES, add_secure_cookies, netscape, new_jar


def cookie(name, value="1", domain="shop.example", path="/", **more):
    known = {"secure": False, "expires": None, "rest": {}, **more}
    return Cookie(0, name, value, None, False, domain, domain.startswith("."),
                  domain.startswith("."), path, True, known["secure"], known["expires"], True,
                  None, None, known["rest"])  # fmt: skip


async def set_secure(scope, receive, send):
    response = RedirectResponse("/secure-check")
    response.set_cookie("state", "s1", secure=True, httponly=True)
    await response(scope, receive, send)


async def check_secure(scope, receive, send):
    kept = Request(scope).cookies.get("state") == "s1"
    to = RedirectResponse("/auth-agent/login?next=/me") if kept else JSONResponse({}, 400)
    await to(scope, receive, send)


def test_a_secure_cookie_comes_back_to_a_loopback_host(world, sign_in):
    world.shop.instead |= {"/secure": set_secure, "/secure-check": check_secure}
    result = sign_in(world.options(), f"{world.website}/secure")
    assert result.again.status_code == 200


def test_also_with_what_the_caller_does_afterwards(world):
    world.shop.instead |= {"/secure": set_secure, "/secure-check": check_secure}
    with AgentSDK(**world.options()).sign_in(f"{world.website}/secure") as site:
        assert site.client.get("/secure-check").status_code == 307
        assert site.client.get("/me").status_code == 200
    with (
        httpx2.Client() as client,
        AgentSDK(**world.options(), http_client=client).sign_in(f"{world.website}/secure") as site,
    ):
        assert site.response.status_code == 200


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://127.0.0.1:8000/", "plain=1; secure=2"),
        ("https://127.0.0.1:8000/", "plain=1"),  # httpx2 has added the Secure one itself
        ("http://shop.example/", "plain=1"),
        ("http://127.0.0.1.example/", "plain=1"),
        ("http://other.localhost/", "plain=1"),
    ],
)
def test_over_http_it_goes_nowhere_else(url, sent):
    jar = httpx2.Cookies().jar
    for host in ("127.0.0.1", "shop.example", "127.0.0.1.example"):
        jar.set_cookie(cookie("secure", "2", host, secure=True))
    request = httpx2.Request("GET", url, headers={"Cookie": "plain=1"})
    add_secure_cookies(request, jar)
    assert request.headers["cookie"] == sent


def test_a_path_counts_and_a_cookie_is_sent_once():
    jar = httpx2.Cookies().jar
    jar.set_cookie(cookie("a", "1", "127.0.0.1", "/shop", secure=True))
    for url, sent in (("http://127.0.0.1/", None), ("http://127.0.0.1/shop/x", "a=1")):
        request = httpx2.Request("GET", url)
        add_secure_cookies(request, jar)
        add_secure_cookies(request, jar)
        assert request.headers.get("cookie") == sent


def test_no_website_fills_the_jar_without_bound():
    jar = httpx2.Cookies(new_jar())

    def answer(*names):
        headers = [("set-cookie", f"{name}; Path=/") for name in names]
        request = httpx2.Request("GET", "https://shop.example/")
        jar.extract_cookies(httpx2.Response(200, headers=headers, request=request))

    answer(*(f"c{number}=1" for number in range(2 * MAX_COOKIES)))
    assert len(jar.jar) == MAX_COOKIES
    answer("c0=2", "new=1")
    assert (jar["c0"], "new" in jar) == ("2", False)
    answer("c1=; Max-Age=0", "new=1")
    answer("new=1")
    assert jar["new"] == "1"


def test_the_file_holds_the_websites_cookies_and_no_others():
    later = int(time.time()) + 60
    lines = netscape(
        [
            cookie("a", "1", rest={"HttpOnly": None}, secure=True),
            cookie("b", "x=y z", ".shop.example", "/p", expires=later),
            cookie("c", "1", "other.example"),
            cookie("d", "1", expires=1),
            cookie("e", "tab\there"),
            cookie("f", "1", "evil-shop.example"),
            cookie("g\n.bank.example\tTRUE", "1"),
        ],
        "shop.example",
    ).splitlines()
    assert lines == [
        "# Netscape HTTP Cookie File",
        "#HttpOnly_shop.example\tFALSE\t/\tTRUE\t0\ta\t1",
        f".shop.example\tTRUE\t/p\tFALSE\t{later}\tb\tx=y z",
    ]
    assert "localhost\tFALSE" in netscape([cookie("a", "1", "localhost.local")], "localhost")
