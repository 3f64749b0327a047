"""One table of behaviours, the same on every stack, over real HTTP."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest

from auth_agent import RelyingParty
from auth_agent.flow import drive
from auth_agent.testing import FakeServer
from auth_agent.testing.provider import json_response
from auth_agent.website.recognition.session import session_cookie
from tests.adapters.conftest import Visitor, settings_of
from tests.adapters.network import free_port, serve_provider
from tests.adapters.stacks import STACKS
from tests.website.browser import ValueVisit

PAGE = {"accept": "text/html"}
JSON = {"accept": "application/json"}


@pytest.fixture(scope="module", params=STACKS)
def running(request):
    """Starts each stack once; yields its base URL and its provider."""
    stack, port, site_port = STACKS[request.param], free_port(), free_port()
    provider, base_url = FakeServer(f"http://127.0.0.1:{port}"), f"http://127.0.0.1:{site_port}"
    with serve_provider(provider, port):
        app = stack.build(settings_of(provider, base_url))
        with stack.serve(app, site_port):
            yield base_url, provider, request.param
    drive.close()


@pytest.fixture
def site(running):
    """Yields an agent's HTTP client in front of the site, without state of the row before."""
    running[1].reset()
    with Visitor(*running) as visitor:
        yield visitor


def test_an_agent_signs_in_and_out(site):
    assert site.get("/").json() == {"agent_id": None, "via": None}
    back = site.sign_in("/me?tab=1")
    assert (back.status_code, back.headers["location"]) == (303, "/me?tab=1")
    assert site.get("/me").json() == {"agent_id": "agent_7", "via": "session"}
    assert site.get("/private/report").json() == {"report": 42}
    out = site.post("/auth-agent/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/")
    assert site.get("/me", headers=JSON).status_code == 401
    assert site.provider.active == set()


def test_the_redirect_uri_does_not_come_from_the_request(site):
    own = str(site.base_url).rstrip("/")
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example"}
    answer = site.get("/auth-agent/login", headers=headers)
    # Its cookie would not come back from there, so the sign-in begins at the site's own address.
    assert answer.headers["location"].startswith(f"{own}/auth-agent/login")
    # A proxy may put another host into every request: that leads round once, not for ever.
    again = site.get(answer.headers["location"], headers=headers)
    sent = dict(parse_qsl(urlsplit(again.headers["location"]).query))
    assert sent["redirect_uri"] == f"{own}/auth-agent/callback"


@pytest.mark.parametrize("path", ["/me", "/private/report", "/reports", "/private", "//private/x"])
def test_the_closed_doors(site, path):
    page = site.get(f"{str(site.base_url).rstrip('/')}{path}", headers=PAGE)
    assert page.status_code == 303
    assert page.headers["location"].startswith("/auth-agent/login?next=")
    document = site.get(f"{str(site.base_url).rstrip('/')}{path}", headers=JSON)
    assert document.status_code == 401
    challenge = document.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'resource_metadata="http' in challenge
    assert document.json()["issuer"] == site.provider.issuer
    assert document.headers["link"] == f'<{document.json()["login_url"]}>; rel="login"'


def test_a_head_request_is_answered_like_get_without_a_body(site):
    answer = site.head("/private/report", headers=JSON)
    assert (answer.status_code, answer.content) == (401, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_post_without_an_agent_is_not_redirected(site):
    answer = site.post("/private/report", headers=PAGE, data={"order": "7"})
    assert answer.status_code == 401
    assert "Sign in with Auth Agent" in answer.text


@pytest.mark.parametrize("path", ["/private/report", "/me"])
def test_no_preflight_reaches_a_view(site, path):
    headers = {"origin": "https://app.example", "access-control-request-method": "GET"}
    answer = site.options(path, headers=headers)
    if path == "/me" and "allow" in answer.headers:
        assert b"agent_id" not in answer.content
        return  # the router has answered: the view takes no OPTIONS
    allowed = [name for name in answer.headers if name.startswith("access-control-")]
    assert (answer.status_code, answer.content, allowed) == (204, b"", [])
    assert site.options("/private/report").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/x/../private/report",
        "/x/%2e%2e/private/report",
        "/x/%252e%252e/private/report",
        "/x/../private/;/../secret.txt",
        "/x%00/../private/secret.txt",
        "/x/..;/private/report",
        "/x/..%5cprivate%5creport",
        "/x/..%c0%afprivate",
        "/%EF%BC%8E%EF%BC%8E/private",
        "/%2fprivate/report",
        "/%5cprivate/report",
        "/PRIVATE/report",
        "/private;a=b/report",
        "/private%3b/report",
        "/private.%20/report",
        "/private::$INDEX_ALLOCATION/report",
        "/private%3Freport",
        "/%2570rivate/report",
        "/%70rivate%2freport",
        "/.",
        "/priv%E9",
    ],
)
def test_no_spelling_of_a_path_goes_around_a_rule(site, path):
    connection = HTTPConnection(site.base_url.host, site.base_url.port, timeout=30)
    with closing(connection):
        connection.request("GET", path, headers=JSON)
        answer = connection.getresponse()
        assert (answer.status, b"login_url" in answer.read()) == (401, True)


@pytest.mark.parametrize("name", ["a%252Fb", "50%2525", "a%2Fb", "%C3%A9"])
def test_the_browser_returns_to_the_address_that_it_asked_for(site, name):
    path = f"/private/{name}"
    if name == "a%2Fb" and ("wsgi" in site.stack or site.stack == "flask"):
        pytest.skip("wsgiref does not tell the request line; see test_servers for servers that do")
    answer = site.get(f"{str(site.base_url).rstrip('/')}{path}", headers=PAGE)
    (asked,) = parse_qs(urlsplit(answer.headers["location"]).query)["next"]
    assert asked == path
    assert site.sign_in(asked).headers["location"] == path


def test_another_websites_page_cannot_act_with_the_cookie(site):
    site.sign_in()
    foreign = {**JSON, "origin": "https://evil.shop.example", "sec-fetch-site": "same-site"}
    own = {**JSON, "sec-fetch-site": "same-origin"}
    for path in ("/me", "/private/report"):
        assert site.post(path, headers=foreign).status_code == 403
        assert site.get(path, headers=foreign).status_code == 200
    if not site.stack.startswith("django"):  # which wants its own token beside
        assert site.post("/private/report", headers=own).status_code == 200
    site.cookies.clear()
    base_url = str(site.base_url).rstrip("/")
    token = {"authorization": f"Bearer {site.provider.access_token(aud=base_url)}"}
    if not site.stack.startswith("django"):
        assert site.post("/private/report", headers={**foreign, **token}).status_code == 200


def test_a_missing_scope_is_forbidden(site):
    site.sign_in()
    answer = site.get("/reports", headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert 'scope="reports:read"' in answer.headers["www-authenticate"]


def test_a_granted_scope_opens(site):
    site.provider.token_response["scope"] = "openid reports:read"
    site.sign_in()
    assert site.get("/reports", headers=JSON).status_code == 200


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_responses_that_read_the_agent_are_private(site, is_signed_in):
    if is_signed_in:
        site.sign_in()
    answer = site.get("/")
    assert answer.headers["cache-control"] == "max-age=60, private"
    assert answer.headers["vary"] == "Cookie, Authorization"


def test_what_configuration_guards_is_private_although_nobody_looks(site):
    site.sign_in()
    answer = site.get("/private/report")
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["vary"] == "Cookie, Authorization"


def test_responses_that_do_not_are_untouched(site):
    answer = site.get("/static")
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert "vary" not in answer.headers


def test_a_session_is_renewed_although_nobody_looks(site):
    site.sign_in()
    age(site, 2_000)
    answer = site.get("/static")
    renewed = answer.headers["set-cookie"]
    assert renewed.startswith("auth_agent_")
    assert "Max-Age=0" not in renewed
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in site.get("/static").headers
    assert site.get("/me").json()["agent_id"] == "agent_7"


def test_a_session_that_the_server_ended_is_cleared_although_nobody_looks(site):
    site.sign_in()
    age(site, 2_000)
    site.provider.active.clear()
    answer = site.get("/static")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert answer.headers["cache-control"] == "no-store"
    assert site.get("/me", headers=JSON).status_code == 401


def age(site, seconds):
    """As if the session had begun and been seen so much earlier."""
    base_url = str(site.base_url).rstrip("/")
    party = RelyingParty(settings_of(site.provider, base_url))
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in site.cookies.jar)
    known = party._sessions.read(ValueVisit("GET", "/", {"cookie": cookies}), time.time())
    session = msgspec.structs.replace(
        known.session,
        created_at=known.session.created_at - seconds,
        seen_at=known.session.seen_at - seconds,
    )
    cookie = session_cookie(session, party._site)
    site.cookies.clear()
    site.cookies.set(cookie.name, cookie.value, domain=site.base_url.host)


def test_a_public_page_shows_an_agent_the_door(site):
    answer = site.get("/page?tab=1")
    links = answer.headers["link"].split(", ")
    door = '</auth-agent/login?next=/page%3Ftab%3D1>; rel="login"'
    assert links == ['</style.css>; rel="preload"', door]
    assert "link" not in site.get("/static").headers, "an API's answers are left alone"
    site.sign_in()
    assert site.get("/page").headers["link"] == '</style.css>; rel="preload"'


def test_a_form_arrives_whole(site):
    """Leaves the body to the application: the middleware neither reads nor keeps it."""
    body = b"x" * 300_000
    assert site.post("/echo", content=body).content == body


def test_a_wrong_answer_of_the_server_is_refused_and_the_site_goes_on(site):
    site.provider.answers["/token"] = json_response(500, {})
    answer = site.sign_in()
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    del site.provider.answers["/token"]
    assert site.sign_in().status_code == 303


def test_a_callback_of_another_browser_is_refused(site):
    callback = site.provider.approve(site.begin())
    site.cookies.clear()
    answer = site.get(callback, headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (400, "login_cookie_missing")


def test_garbage_is_ignored(site):
    name = next(c.name for c in _cookies_after_sign_in(site) if "login" not in c.name)
    for value in ("garbage", "a.b", "é".encode().decode("latin-1"), "x" * 6_000):
        answer = site.get("/", headers={"cookie": f"{name}={value}".encode("latin-1")})
        assert answer.json()["agent_id"] is None
        assert "set-cookie" not in answer.headers


def _cookies_after_sign_in(site):
    site.sign_in()
    found = list(site.cookies.jar)
    site.cookies.clear()
    return found


def test_fifty_agents_at_once_are_never_mixed_up(site):
    def sign_in(number):
        with Visitor(str(site.base_url), site.provider, site.stack) as visitor:
            back = visitor.sign_in(f"/me?agent={number}", agent={"sub": f"agent_{number}"})
            assert back.headers["location"] == f"/me?agent={number}"
            return visitor.get("/me").json()["agent_id"]

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(sign_in, range(50)))
    assert seen == [f"agent_{number}" for number in range(50)]
    path = "/.well-known/oauth-authorization-server"
    asked = [site.provider.count(path), site.provider.count("/.well-known/jwks.json")]
    assert max(asked) <= 1, "what is known is not asked for again"


@pytest.mark.parametrize("before", [[], [("cookie", "theme=dark; a=1")], [("cookie", "x=a, b")]])
@pytest.mark.parametrize("after", [[], [("cookie", "b=2; c=3")]])
def test_cookies_in_several_headers(site, before, after):
    """Splits cookies as HTTP/2 does (RFC 9113 8.2.3); WSGI servers join them by commas."""
    site.sign_in()
    (cookie,) = [f"{cookie.name}={cookie.value}" for cookie in site.cookies.jar]
    site.cookies.clear()
    answer = site.get("/me", headers=[*before, ("cookie", cookie), *after])
    assert answer.json()["agent_id"] == "agent_7"


FOR_CACHES = [
    "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Netlify-CDN-Cache-Control",
    "Vercel-CDN-Cache-Control", "Akamai-Cache-Control", "X-LiteSpeed-Cache-Control",
    "Surrogate-Control", "Edge-Control", "X-Accel-Expires",
]  # fmt: skip


@pytest.mark.parametrize("name", FOR_CACHES)
def test_nothing_tells_a_shared_cache_to_store_what_an_agent_sees(site, name):
    wish = {"cache-wish": name}
    assert site.get("/static", headers=wish).headers[name] == "max-age=600"
    site.sign_in()
    assert name not in site.get("/", headers=wish).headers
    if site.stack not in ("asgi", "wsgi"):  # around them, every answer to an agent is private
        assert site.get("/static", headers=wish).headers[name] == "max-age=600"
    age(site, 2_000)
    renewed = site.get("/static", headers=wish)
    assert "set-cookie" in renewed.headers
    assert name not in renewed.headers


@pytest.mark.parametrize("name", ["asgi", "starlette", "fastapi", "django-asgi"])
def test_cookies_and_tokens_in_several_headers(serve, provider, name):
    """Splits cookies as HTTP/2 does (RFC 9113 8.2.3); of two tokens neither counts."""
    base_url = serve(name)
    with Visitor(base_url, provider, name) as site:
        site.sign_in()
        (cookie,) = [f"{cookie.name}={cookie.value}" for cookie in site.cookies.jar]
        site.cookies.clear()
        split = [("cookie", "theme=dark"), ("cookie", cookie), ("cookie", "a=1")]
        assert site.get("/me", headers=split).json()["agent_id"] == "agent_7"
        token = ("authorization", f"Bearer {provider.access_token(aud=base_url)}")
        assert site.get("/me", headers=[token]).json()["via"] == "bearer"
        assert site.get("/me", headers=[token, token]).status_code == 400
