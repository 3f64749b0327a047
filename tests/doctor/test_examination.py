"""What the doctor makes of answers that our own servers do not give, and of ports 80 and 443."""

from __future__ import annotations

from email.utils import formatdate
from urllib.parse import urlsplit

import pytest

from auth_agent import ServerUnavailable, Settings
from auth_agent.doctor import examine
from auth_agent.doctor.checks.client import judge_registration
from auth_agent.doctor.checks.server import judge_clock
from auth_agent.doctor.finding import in_words, plain
from auth_agent.flow.exchange import HttpResponse
from auth_agent.testing.issuer import ABSENT
from auth_agent.testing.provider import json_response
from auth_agent.website.web.outcome import Reply
from tests.conftest import SECRET
from tests.website.browser import ValueVisit, drive

CALLBACK = "https://shop.example/auth-agent/callback"
METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def settings(server):
    return Settings(
        issuer=server.issuer,
        client_id=server.client_id,
        client_secret=server.client_secret,
        secret=SECRET,
        base_url="https://shop.example",
    )


class Internet:
    """The server, the website, and whatever answers on the website's port 80."""

    def __init__(self, server, website):
        self.server = server
        self.website = website
        self.http = ServerUnavailable("nobody")
        self.https = None
        """What answers in the website's place."""

    def answer(self, request):
        if not request.url.startswith(("https://shop.example", "http://shop.example")):
            return self.server.answer(request)
        bent = self.http if request.url.startswith("http:") else self.https
        if isinstance(bent, Exception):
            raise bent
        if bent is not None:
            return bent
        parts = urlsplit(request.url)
        headers = {name.lower(): value for name, value in request.headers}
        target = f"{parts.path}?{parts.query}"
        reply = self.website.enter(ValueVisit("GET", target, headers))
        if not isinstance(reply, Reply):
            reply = drive(reply, self)
        headers = {}
        for name, value in reply.header_list():
            given = headers.get(name.lower())
            headers[name.lower()] = value if given is None else f"{given}, {value}"
        return HttpResponse(reply.status, headers, reply.body)


@pytest.fixture
def internet(make_site, server):
    server.answers["/authorize"] = HttpResponse(
        302, {"location": f"{CALLBACK}?error=login_required&state=s"}, b""
    )
    return Internet(server, make_site().relying_party)


@pytest.fixture
def diagnose(internet, settings, clock):
    def run(**changes):
        found = drive(examine(settings, clock=clock, **changes), internet)
        return {finding.check: finding for finding in found}

    return run


def problems(found):
    return [check for check, finding in found.items() if finding.level in ("warning", "failure")]


def test_a_website_on_https_is_well(diagnose):
    found = diagnose()
    assert problems(found) == []
    assert {"website.answers", "website.cookie", "client.redirect_uri"} <= found.keys()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_http_that_leads_to_https_is_well(diagnose, internet, status):
    location = "https://shop.example/auth-agent/login"
    internet.http = HttpResponse(status, {"location": location}, b"")
    assert diagnose()["website.https"].level == "ok"


@pytest.mark.parametrize(
    "answer",
    [
        HttpResponse(200, {}, b"<p>A shop"),
        HttpResponse(301, {"location": "/auth-agent/login/"}, b""),
        HttpResponse(301, {"location": "http://www.shop.example/"}, b""),
    ],
)
def test_http_that_stays_http_is_told(diagnose, internet, answer):
    internet.http = answer
    assert problems(diagnose()) == ["website.http_open"]


def test_an_endpoint_on_http_at_an_issuer_on_https(diagnose, server):
    server.metadata["token_endpoint"] = "http://auth.example/token"
    found = diagnose()
    assert (
        "token_endpoint in the server's metadata uses http"
        in found["server.metadata_invalid"].message
    )
    assert "AUTH_AGENT_SERVER_ISSUER" in found["server.metadata_invalid"].remedy


def test_metadata_without_an_issuer(diagnose, server):
    server.answers[METADATA] = json_response(200, {})
    assert problems(diagnose())[0] == "server.no_metadata"


@pytest.mark.parametrize(
    ("response", "level", "check"),
    [
        (303, "ok", "client.redirect_uri"),
        (200, "note", "client.redirect_uri_unclear"),
        (404, "note", "client.redirect_uri_unclear"),
        (429, "note", "client.redirect_uri_unclear"),
        (500, "note", "client.redirect_uri_unclear"),
        (400, "failure", "client.redirect_uri"),
        (401, "failure", "client.redirect_uri"),
        (403, "failure", "client.redirect_uri"),
    ],
)
def test_what_an_answer_tells_of_the_redirect_uri(settings, response, level, check):
    headers = {"location": f"{CALLBACK}?error=interaction_required"} if response == 303 else {}
    found = judge_registration(HttpResponse(response, headers, b""), settings, is_known=True)
    assert (found.level, found.check) == (level, check)


@pytest.mark.parametrize(
    "location",
    [
        "https://auth.example/login?next=x",
        "https://auth.example/error?redirect_uri=" + CALLBACK,
        CALLBACK + "/more?error=login_required",
        "https://shop.example.evil.example/auth-agent/callback?error=login_required",
        "",
    ],
)
def test_a_redirect_elsewhere_tells_nothing(settings, location):
    response = HttpResponse(302, {"location": location}, b"")
    found = judge_registration(response, settings, is_known=True)
    assert (found.level, found.check) == ("note", "client.redirect_uri_unclear")


@pytest.mark.parametrize(
    ("error", "level", "check"),
    [
        ("consent_required", "ok", "client.redirect_uri"),
        ("invalid_scope", "failure", "client.scope"),
        ("invalid_target", "failure", "client.audience"),
        ("unauthorized_client", "warning", "client.sign_in_refused"),
    ],
)
def test_an_error_that_the_website_is_told(settings, error, level, check):
    response = HttpResponse(302, {"location": f"{CALLBACK}?error={error}"}, b"")
    found = judge_registration(response, settings, is_known=True)
    assert (found.level, found.check) == (level, check)


NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("date", "age", "check"),
    [
        (NOW, None, "server.clock"),
        (NOW - 300, "300", "server.clock"),  # kept by a cache that says so
        (NOW - 300, "0", "server.clock_skew"),
        (NOW + 61, None, "server.clock_skew"),
        (None, None, "server.clock_unknown"),
    ],
)
def test_the_time_of_an_answer(date, age, check):
    headers = {} if date is None else {"date": formatdate(date, usegmt=True)}
    headers |= {} if age is None else {"age": age}
    assert judge_clock(HttpResponse(200, headers, b""), NOW, NOW).check == check


@pytest.mark.parametrize("date", ["soon", "", "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_is_none(date):
    found = judge_clock(HttpResponse(200, {"date": date}, b""), NOW, NOW)
    assert found.check == "server.clock_unknown"


def test_an_exchange_that_was_slow_is_no_skew():
    headers = {"date": formatdate(NOW + 20, usegmt=True)}
    assert judge_clock(HttpResponse(200, headers, b""), NOW, NOW + 25).level == "ok"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("[Errno 111] Connection refused", "nothing listens there"),
        ("[Errno -2] Name or service not known", "its name is not known"),
        ("[Errno -3] Temporary failure in name resolution", "its name could not be looked up"),
        ("[Errno 101] Network is unreachable", "this machine has no network route to it"),
        ("ConnectTimeout", "there was no answer in time"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired "
            "(_ssl.c:1006)",
            "its certificate is not trusted (certificate has expired)",
        ),
        ("something \x1b[31mnew", "something ?[31mnew"),
    ],
)
def test_a_network_error_in_words(reason, words):
    error = ServerUnavailable("It cannot be reached.")
    error.reason = reason
    assert in_words(error) == words


def test_what_others_write_is_bounded():
    assert len(plain("x" * 10_000)) <= 201


NONSENSE = [
    HttpResponse(200, {}, b""),
    HttpResponse(200, {"content-type": "application/json"}, b"[" * 100_000),
    json_response(200, []),
    json_response(200, {"keys": [None, {"kty": []}], "issuer": 7, "error": {}}),
    json_response(400, {"error": ["invalid_client"]}),
    *(
        HttpResponse(302, {"location": location, "date": "never", "set-cookie": ";,=;"}, b"")
        for location in ("http://[", "http://x:port/", "//", "javascript:alert(1)", "\x00\x1b[31m")
    ),
    HttpResponse(999, {"location": CALLBACK}, b"\xff\xfe"),
    ServerUnavailable("nobody"),
]


@pytest.mark.parametrize("answer", NONSENSE)
@pytest.mark.parametrize(
    "path", [METADATA, "/.well-known/jwks.json", "/authorize", "/introspect", "/token"]
)
def test_whatever_the_server_says_there_is_a_diagnosis(diagnose, server, path, answer):
    if path == "/token":
        server.metadata["introspection_endpoint"] = ABSENT
    if path == METADATA:
        server.answers["/.well-known/openid-configuration"] = answer
    server.answers[path] = answer
    check_well_formed(diagnose())


@pytest.mark.parametrize("answer", NONSENSE)
def test_whatever_the_website_says_there_is_a_diagnosis(diagnose, internet, answer):
    internet.https = internet.http = answer
    found = diagnose()
    check_well_formed(found)
    assert not {"website.answers", "website.cookie", "website.https"} & found.keys()


def check_well_formed(found):
    for finding in found.values():
        assert finding.message.isprintable()
        assert finding.remedy.isprintable()
        assert finding.remedy or finding.level not in ("warning", "failure")
    assert "sessions.in_cookies" in found, "the rest was looked at, too"


def test_a_scope_that_the_server_leaves_out_without_a_word(diagnose, server):
    answer = f"{CALLBACK}?error=interaction_required&error_description=An+agent+(scope:+"
    server.answers["/authorize"] = HttpResponse(302, {"location": f"{answer}openid+profile)"}, b"")
    found = diagnose()["client.scope_narrowed"]
    assert (found.level, "leaves email out" in found.message) == ("warning", True)
    assert "AUTH_AGENT_SCOPE='openid profile'" in found.remedy
    all_of_it = HttpResponse(302, {"location": f"{answer}openid+profile+email)"}, b"")
    server.answers["/authorize"] = all_of_it
    assert problems(diagnose()) == []


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_proxy_that_takes_no_answer_with_large_cookies(diagnose, internet, monkeypatch, status):
    """As nginx with its page of 4 KiB for an answer's headers."""
    answer, sizes = internet.answer, []

    def behind_a_proxy(request):
        given = answer(request)
        sizes.append(sum(len(name) + len(value) + 4 for name, value in given.headers.items()))
        return HttpResponse(status, {}, b"") if sizes[-1] > 4_096 else given

    monkeypatch.setattr(internet, "answer", behind_a_proxy)
    found = diagnose()
    assert problems(found) == ["website.large_cookies"]
    assert "proxy_buffer_size 8k" in found["website.large_cookies"].remedy
