"""The reply to a visit without an agent: the whole matrix."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from auth_agent.website import paths
from auth_agent.website.paths import is_protected
from auth_agent.website.web.outcome import Pass
from tests.website.browser import NAVIGATION, ValueVisit, location, relative

HTML = {"accept": "text/html,application/xhtml+xml"}
JSON = {"accept": "application/json"}


@pytest.fixture
def site(make_site):
    return make_site(protect="/private/*,/exact")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", NAVIGATION, 303),
        ("HEAD", NAVIGATION, 303),
        ("GET", HTML, 303),
        ("HEAD", HTML, 303),
        ("GET", {**HTML, "x-requested-with": "XMLHttpRequest"}, 401),
        ("GET", {**HTML, "sec-fetch-mode": "cors"}, 401),
        ("GET", {**HTML, "sec-fetch-mode": "no-cors"}, 401),
        ("GET", JSON, 401),
        ("HEAD", JSON, 401),
        ("GET", {"accept": "*/*"}, 401),
        ("GET", {}, 401),
        ("POST", NAVIGATION, 401),
        ("POST", JSON, 401),
        ("PUT", JSON, 401),
        ("DELETE", JSON, 401),
        ("OPTIONS", {}, 401),
        ("OPTIONS", {"origin": "https://app.example"}, 401),
        ("OPTIONS", {"access-control-request-method": "GET"}, 401),
        ("BREW", {}, 401),
    ],
)
def test_without_an_agent(site, method, headers, status):
    reply = site.request("/private/report", method=method, headers=headers)
    assert reply.status == status
    assert not isinstance(reply, Pass)
    if status == 303:
        assert location(reply) == "/auth-agent/login?next=/private/report"
    assert ("Cache-Control", "no-store") in reply.headers


PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "GET"}


def test_a_true_preflight_is_answered_and_permits_nothing(site):
    reply = site.request("/private/report", method="OPTIONS", headers=PREFLIGHT)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.header_list() == [("Cache-Control", "no-store")]


def test_a_preflight_reaches_no_guarded_view(site):
    visit = ValueVisit("OPTIONS", "/me", PREFLIGHT)
    assert site.relying_party.require(visit, None).status == 204


@pytest.mark.parametrize("path", ["/private/../secret", "*", "/x\x00"])
def test_no_options_request_passes_without_an_agent(site, path):
    visit = ValueVisit("OPTIONS", "/", {})
    visit.path = path
    assert site.relying_party.enter(visit).status == 401


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "TRACE", "options", "BREW"])
def test_no_other_method_passes_as_a_preflight(site, method):
    headers = {"origin": "https://app.example", "access-control-request-method": "GET"}
    assert site.request("/private/report", method=method, headers=headers).status == 401


def test_the_refusal_tells_an_agent_what_to_do(site):
    reply = site.request("/private/report?q=1", headers=JSON)
    headers = dict(reply.headers)
    document = json.loads(reply.body)
    assert headers["Content-Type"] == "application/json"
    metadata = "https://shop.example/.well-known/oauth-protected-resource"
    schemes = f'Bearer resource_metadata="{metadata}", DPoP algs="ES256 EdDSA"'
    assert headers["WWW-Authenticate"] == schemes
    assert document["error"] == "login_required"
    assert "login_url" in document["error_description"]
    assert document["issuer"] == "https://auth.example"
    assert document["login_url"] == (
        "https://shop.example/auth-agent/login?next=/private/report%3Fq%3D1"
    )
    assert headers["Link"] == f'<{document["login_url"]}>; rel="login"'


def test_an_agent_that_follows_the_refusal_arrives(site):
    reply = site.request("/private/report?q=1", headers=JSON)
    login = site.request(relative(json.loads(reply.body)["login_url"]), headers=JSON)
    back = site.end(location(login))
    assert location(back) == "/private/report?q=1"
    assert isinstance(site.request(location(back), headers=JSON), Pass)


@pytest.mark.parametrize(
    ("referer", "next_path"),
    [
        ("https://shop.example/private/form?id=1", "/private/form%3Fid%3D1"),
        ("https://shop.example/private/form", "/private/form"),
        ("https://evil.example/private/form", "/"),
        ("https://shop.example//evil.example", "/"),
        ("nonsense://[", "/"),
        (None, "/"),
    ],
)
def test_a_form_is_returned_to_and_its_loss_is_said(site, referer, next_path):
    headers = {**NAVIGATION, **({"referer": referer} if referer else {})}
    reply = site.request("/private/order", method="POST", headers=headers)
    assert reply.status == 401
    assert f'/auth-agent/login?next={next_path}"'.encode() in reply.body
    assert b"was not processed" in reply.body


@pytest.mark.parametrize(
    ("path", "protected"),
    [
        ("/private/report", True),
        ("/private/", True),
        ("/private", True),
        ("/private/a/b/c", True),
        ("//private/report", True),
        ("/private//report", True),
        ("/./private/report", True),
        ("/x/../private/report", True),
        ("/\\private\\report", True),
        ("/..\\private\\report", True),
        ("/PRIVATE/report", True),
        ("/Private", True),
        ("/private;a=b/report", True),
        ("/x/..;/private/report", True),
        ("/private./report", True),
        ("/private /report", True),
        ("/private%2freport", True),
        ("/%70rivate/report", True),
        ("/x/%2e%2e/private/report", True),
        ("/private\0/report", True),
        ("/private\0", True),
        ("/private%00.html", True),
        ("/private/" + "a" * 5_000, True),
        ("/EXACT;v=1", True),
        ("/exact", True),
        ("/exact/", True),
        ("/exactly", False),
        ("/privateer", False),
        ("/", False),
        ("/public/private/x", False),
        ("/public;/private/x", False),
        ("/" + "a" * 5_000, False),
    ],
)
def test_a_rule_covers_what_a_lenient_server_would_serve(path, protected):
    assert is_protected((path,), ("/private/*", "/exact")) is protected


def test_ten_thousand_long_paths_are_not_remembered(site):
    for number in range(10_000):
        assert site.request(f"/{number:02000}", headers=JSON) == Pass(None)
    remembered = paths._remembered.cache_info().currsize * paths.MAX_REMEMBERED
    before = paths._remembered.cache_info()
    site.request("/" + "a" * 3_000, headers=JSON)
    assert paths._remembered.cache_info() == before
    assert remembered < 5_000_000


class TestSocket:
    def enter(self, site, path, origin):
        cookie = "; ".join(f"{n}={v}" for n, v in site.cookies.items())
        headers = {"cookie": cookie, **({"origin": origin} if origin else {})}
        return site.relying_party.enter_socket(ValueVisit("GET", path, headers))

    def test_carries_the_agent_from_our_own_pages(self, site):
        site.sign_in()
        assert self.enter(site, "/private/ws", "https://shop.example").agent.id == "agent_7"

    @pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
    def test_carries_no_agent_from_elsewhere(self, site, origin):
        site.sign_in()
        assert self.enter(site, "/public", origin).agent is None
        assert self.enter(site, "/private/ws", origin).status == 401


FETCHED = {**HTML, "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}


class TestServiceWorker:
    """One that fetches navigations itself: the browser says another mode than `navigate`."""

    @pytest.mark.parametrize("mode", ["cors", "same-origin"])
    def test_a_person_gets_a_page_with_a_link(self, site, mode):
        reply = site.request("/private/report", headers={**FETCHED, "sec-fetch-mode": mode})
        assert reply.status == 401
        assert dict(reply.headers)["Content-Type"].startswith("text/html")
        assert b'href="/auth-agent/login?next=/private/report"' in reply.body
        assert b"What you sent" not in reply.body

    def test_the_link_leads_to_a_page_from_which_the_sign_in_goes_on(self, site):
        reply = site.request("/auth-agent/login?next=/private/report", headers=FETCHED)
        assert reply.status == 403
        url = unescape(re.search(rb'href="(https://auth[^"]+)"', reply.body)[1].decode())
        assert location(site.end(url)) == "/private/report"

    @pytest.mark.parametrize(
        "changes",
        [
            {"accept": "application/json"},
            {"accept": "*/*"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site"},
            {"x-requested-with": "XMLHttpRequest"},
        ],
    )
    def test_scripts_get_json(self, site, changes):
        for path, status in (("/private/report", 401), ("/auth-agent/login", 403)):
            reply = site.request(path, headers={**FETCHED, **changes})
            assert (reply.status, reply.cookies) == (status, ())
            json.loads(reply.body)

    def test_a_prefetch_starts_nothing(self, site):
        headers = {**FETCHED, "sec-purpose": "prefetch"}
        assert site.request("/auth-agent/login", headers=headers).cookies == ()
