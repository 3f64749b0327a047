"""What the doctor says of an API where no browser signs in."""

from __future__ import annotations

import pytest

from auth_agent import RelyingParty, ServerUnavailable, Settings
from auth_agent.doctor import examine
from auth_agent.flow.exchange import HttpResponse
from auth_agent.website.web.outcome import Pass
from tests.website.browser import ValueVisit, drive

API = {"base_url": "https://shop.example", "sign_in": False, "audience": "https://shop.example/mcp"}


@pytest.fixture
def settings(server):
    return Settings(issuer=server.issuer, **API)


class Internet:
    """The server, and the API, which answers at once or is replaced."""

    def __init__(self, server, website, bent):
        self.server, self.website, self.bent = server, website, bent

    def answer(self, request):
        if not request.url.startswith("https://shop.example"):
            return self.server.answer(request)
        if isinstance(self.bent, Exception):
            raise self.bent
        if self.bent is not None:
            return self.bent
        path = request.url.removeprefix("https://shop.example")
        reply = self.website.enter(ValueVisit("GET", path, {}))
        if isinstance(reply, Pass):
            return HttpResponse(404, {}, b"")
        return HttpResponse(reply.status, dict(reply.headers), reply.body)


def find(settings, server, https=None, website=None):
    internet = Internet(server, RelyingParty(website or settings, clock=server.clock), https)
    found = drive(examine(settings, clock=server.clock), internet)
    return {(finding.check, finding.level): finding for finding in found}


def test_it_looks_at_the_metadata_and_not_at_a_sign_in(settings, server):
    found = find(settings, server)
    assert ("api.metadata", "ok") in found
    checks = {check for check, _ in found}
    assert not any(check.startswith(("client.", "website.", "sessions.")) for check in checks)
    assert not any(level == "failure" for _, level in found)


@pytest.mark.parametrize(
    ("algorithms", "level"),
    [
        (["ES256", "EdDSA"], "ok"),
        (["Ed25519"], "ok"),
        (["RS256"], "failure"),
        ([], "failure"),
        (None, "failure"),
    ],
)
def test_a_server_that_binds_no_tokens_is_told_where_no_others_are_accepted(
    settings, server, algorithms, level
):
    server.metadata["dpop_signing_alg_values_supported"] = algorithms
    assert all(check != "server.dpop" for check, _ in find(settings, server))
    found = find(Settings(issuer=server.issuer, dpop="require", **API), server)
    assert ("server.dpop", level) in found


def test_it_says_what_missing_credentials_mean_for_revocation(settings, server):
    assert (
        "revoked token works until it expires"
        in find(settings, server)["api.revocation", "note"].message
    )
    known = {"client_id": server.client_id, "client_secret": server.client_secret}
    with_client = Settings(issuer=server.issuer, **API, **known)
    assert "api.revocation" not in {check for check, _ in find(with_client, server)}


@pytest.mark.parametrize(
    "answer",
    [
        ServerUnavailable("nobody"),
        HttpResponse(404, {}, b"not found"),
        HttpResponse(200, {}, b"<html>"),
        HttpResponse(200, {}, b"[]"),
        HttpResponse(200, {}, b"{}"),
        HttpResponse(200, {}, b'{"resource": "https://other.example"}'),
    ],
)
def test_metadata_that_clients_cannot_use_is_a_failure(settings, server, answer):
    found = [key for key in find(settings, server, https=answer) if key[0] == "api.metadata"]
    assert found == [("api.metadata", found[0][1])]
    assert found[0][1] != "ok"


def test_another_audience_is_found(settings, server):
    website = Settings(issuer=server.issuer, **{**API, "audience": "https://shop.example/other"})
    assert ("api.metadata", "ok") not in find(settings, server, website=website)
