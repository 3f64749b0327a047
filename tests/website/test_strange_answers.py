"""Every flow of a website, every endpoint of its server, every strange answer: nothing breaks.

A strange answer ends in a page or a document with a cause, never in a traceback, and the next
sign-in works.
"""

from __future__ import annotations

import itertools
import json

import pytest

from auth_agent import ServerUnavailable
from auth_agent.flow.exchange import HttpResponse
from auth_agent.website.web.outcome import Pass, Reply
from tests.website.browser import cause

JSON = {"content-type": "application/json"}
ENDPOINTS = (
    "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
    "/.well-known/jwks.json", "/token", "/userinfo", "/introspect", "/revoke",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1e308, 10**30, "", " ", "x", "\ud800", "\0", [], [None], [[]], {},
    {"": None}, "https://auth.example", "a" * 5_000, ["openid", 7], [{"keys": 1}],
)  # fmt: skip
FIELDS = {
    "/token": ("access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token"),
    "/userinfo": ("sub", "email", "email_verified", "name", "permissions", "model", "more"),
    "/introspect": ("active", "sub", "client_id", "aud", "exp", "iss", "scope", "token_type", "cnf",
                    "email_verified", "permissions"),
    "/.well-known/oauth-authorization-server": (
        "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint",
        "introspection_endpoint", "revocation_endpoint", "token_endpoint_auth_methods_supported",
        "id_token_signing_alg_values_supported", "authorization_response_iss_parameter_supported",
    ),
    "/.well-known/jwks.json": ("keys",),
}  # fmt: skip


def strange_answers():
    yield ServerUnavailable("connection refused", reason="connection refused")
    for status in (100, 199, 200, 204, 206, 301, 302, 400, 401, 403, 404, 409, 429, 500, 503, 599):
        for body in (b"", b"{}", b'{"error": "x"}'):
            yield HttpResponse(status, JSON, body)
    for body in (
        b"null", b"[]", b"7", b'"text"', b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"<html>",
        b"[" * 2_000 + b"]" * 2_000, b'{"a":' * 500 + b"1" + b"}" * 500, b'{"error": 7}',
        b'{"error": "' + b"e" * 9_000 + b'"}', b'{"a": 1, "a": 2}', b"{\"a\": NaN}", b" " * 10_000,
    ):  # fmt: skip
        yield HttpResponse(200, JSON, body)
        yield HttpResponse(400, JSON, body)
    for content_type in ("", "text/html", "application/jwt", "application/json; charset=x"):
        yield HttpResponse(200, {"content-type": content_type}, b"e30.e30.e30")


def bent_answers(server, path):
    """Returns the true answer of an endpoint, with a strange value in one field."""
    for name, value in itertools.product(FIELDS.get(path, ()), VALUES):
        yield lambda true, name=name, value=value: {**true, name: value}
    for name in FIELDS.get(path, ()):
        yield lambda true, name=name: {key: one for key, one in true.items() if key != name}


class Bent(dict):
    """Answers of a path: `change` is applied to the true document."""

    def __init__(self, server, path, change):
        super().__init__()
        self._server, self._path, self._change = server, path, change

    def get(self, path, default=None):
        if path != self._path:
            return None
        self._server.answers = {}
        try:
            self._server.requests.pop()
            true = self._server.answer(self._server.last)
            document = json.loads(true.body)
        finally:
            self._server.answers = self
        body = json.dumps(self._change(document)).encode("utf-8", "surrogatepass")
        return HttpResponse(true.status, JSON, body)


def walk(make_site, server, clock, **settings):
    """Performs sign-in, page, renewal, tokens, back-channel logout and sign-out; each may fail."""
    site = make_site(**settings)
    begun = site.request("/auth-agent/login?next=/me")
    check(begun)
    if begun.status == 303:
        check(site.end(dict(begun.headers)["Location"]))
    check(site.request("/"))
    clock.advance(2_000)  # past half of the idle time
    check(site.request("/"))
    signed = server.access_token(aud="https://shop.example")
    for token in ("opaque", signed):
        headers = {"authorization": f"Bearer {token}"}
        check(site.twin().request("/private", headers=headers))
    check(site.request("/auth-agent/logout", method="POST"))


def check(outcome):
    assert isinstance(outcome, Pass | Reply)
    if isinstance(outcome, Reply) and outcome.status >= 400:
        assert outcome.status in (400, 401, 403, 502, 503), outcome
        assert cause(outcome), outcome.body[:200]


@pytest.fixture
def is_usable(make_site, server):
    def ask():
        server.reset()
        assert make_site().sign_in("/me").status == 303

    return ask


@pytest.mark.parametrize("identity", ["id_token", "introspection"])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_answer_breaks_a_flow(make_site, server, clock, is_usable, path, identity):
    for answer in strange_answers():
        server.reset()
        server.answers[path] = answer
        if path == "/.well-known/openid-configuration":
            server.answers["/.well-known/oauth-authorization-server"] = HttpResponse(404, {}, b"")
        walk(make_site, server, clock, identity=identity, userinfo="always", protect="/private")
    is_usable()


@pytest.mark.parametrize("path", FIELDS)
def test_no_field_breaks_a_flow(make_site, server, clock, is_usable, path, monkeypatch):
    answer = type(server).answer

    def remember(request):
        server.last = request
        return answer(server, request)

    monkeypatch.setattr(server, "answer", remember)
    for number, change in enumerate(bent_answers(server, path)):
        server.reset()
        server.answers = Bent(server, path, change)
        identity = ("id_token", "introspection")[number % 2]
        walk(make_site, server, clock, identity=identity, userinfo="always", protect="/private")
    monkeypatch.undo()
    is_usable()


CLAIMS = (
    "sub", "aud", "azp", "exp", "iat", "nbf", "auth_time", "nonce", "at_hash", "email",
    "email_verified", "permissions", "sid", "x",
)  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_no_claim_breaks_a_flow(make_site, server, clock, is_usable, name):
    for value in VALUES:
        if value == "\ud800":
            continue
        server.reset()
        server.claims[name] = value
        walk(make_site, server, clock, userinfo="never", protect="/private")
    is_usable()


def test_a_deep_claim_is_refused_by_name(make_site, server):
    deep = []
    for _ in range(300):
        deep = [deep]
    server.claims["deep"] = deep
    site = make_site()
    assert cause(site.sign_in()) == "token_too_deep"
