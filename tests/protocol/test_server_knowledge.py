"""Metadata and keys: found, believed, kept, and kept again when the server is away."""

from __future__ import annotations

import pytest
from jwt.algorithms import ECAlgorithm

from auth_agent import ServerUnavailable
from auth_agent.flow.effects import Join
from auth_agent.flow.exchange import HttpResponse, cache_seconds
from auth_agent.testing import FakeServer
from auth_agent.testing.issuer import ABSENT
from auth_agent.testing.provider import json_response
from tests.website.browser import ValueVisit, cause, drive

WELL_KNOWN = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"


class TestMetadata:
    def test_is_fetched_once(self, browser, server):
        for _ in range(5):
            browser.sign_in()
        assert (server.count(WELL_KNOWN), server.count(JWKS)) == (1, 1)

    def test_is_looked_for_in_the_second_place_too(self, browser, server):
        document = server.answer(_get(server.issuer + WELL_KNOWN))
        server.answers[WELL_KNOWN] = json_response(404, {})
        server.answers[OPENID] = document
        assert browser.sign_in().status == 303

    def test_of_an_issuer_with_a_path(self, make_site, server):
        """Puts the path behind the well-known part (RFC 8414 3.1)."""
        server.issuer = "https://auth.example/tenant"
        server.answers[f"{WELL_KNOWN}/tenant"] = server._metadata(None)
        site = make_site()
        site.begin()
        assert server.count(f"{WELL_KNOWN}/tenant") == 1

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("issuer", "https://auth.example/", "issuer_mismatch"),
            ("issuer", "https://AUTH.example", "issuer_mismatch"),
            ("issuer", ABSENT, "issuer_mismatch"),
            ("authorization_endpoint", ABSENT, "metadata_invalid"),
            ("authorization_endpoint", "javascript:alert(1)", "metadata_invalid"),
            ("token_endpoint", "http://auth.example/token", "metadata_invalid"),
            ("token_endpoint", "http://127.0.0.1/token", "metadata_invalid"),
            ("token_endpoint", 7, "metadata_invalid"),
            ("token_endpoint", "", "metadata_invalid"),
            ("token_endpoint", ["https://auth.example/token"], "metadata_invalid"),
            ("authorization_endpoint", "https://evil.example\\.auth.example/", "metadata_invalid"),
            ("authorization_endpoint", "https://auth.example@evil.example/", "metadata_invalid"),
            ("authorization_endpoint", "https://auth.example/#x", "metadata_invalid"),
            ("jwks_uri", ABSENT, "metadata_invalid"),
            ("revocation_endpoint", "http://auth.example/revoke", "metadata_invalid"),
            ("authorization_response_iss_parameter_supported", "true", "metadata_invalid"),
            ("authorization_response_iss_parameter_supported", 1, "metadata_invalid"),
            ("jwks_uri", "http://auth.example/jwks", "metadata_invalid"),
            ("userinfo_endpoint", "http://auth.example/userinfo", "metadata_invalid"),
        ],
    )
    def test_a_wrong_field_is_refused(self, browser, server, field, value, code):
        server.metadata[field] = value
        reply = browser.request("/auth-agent/login")
        assert (cause(reply), reply.status) == (code, 502)

    @pytest.mark.parametrize(
        "answer",
        [
            HttpResponse(404, {}, b""),
            HttpResponse(200, {"content-type": "text/html"}, b"<html>"),
            HttpResponse(200, {"content-type": "application/json"}, b"[]"),
            HttpResponse(200, {"content-type": "application/json"}, b"{"),
            HttpResponse(301, {"location": "https://evil.example"}, b""),
        ],
    )
    def test_no_metadata_is_said(self, browser, server, answer):
        server.answers[WELL_KNOWN] = server.answers[OPENID] = answer
        assert browser.request("/auth-agent/login").status == 502

    @pytest.mark.parametrize(
        ("status", "content_type"),
        [(404, "application/json"), (301, "application/json"), (206, "application/json")],
    )
    def test_a_true_document_in_a_wrong_answer_is_none(self, browser, server, status, content_type):
        document = server.answer(_get(server.issuer + WELL_KNOWN)).body
        answer = HttpResponse(status, {"content-type": content_type}, document)
        server.answers[WELL_KNOWN] = server.answers[OPENID] = answer
        reply = browser.request("/auth-agent/login")
        assert (reply.status, cause(reply)) == (502, "metadata_missing")

    @pytest.mark.parametrize("content_type", ["text/html", "text/plain", "", "application/json"])
    @pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
    def test_a_json_object_counts_whatever_its_type(self, browser, server, content_type, start):
        document = server.answer(_get(server.issuer + WELL_KNOWN)).body
        answer = HttpResponse(200, {"content-type": content_type}, start + document)
        server.answers[WELL_KNOWN] = answer
        assert browser.sign_in().status == 303

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("userinfo_endpoint", ""),
            ("introspection_endpoint", "ftp://auth.example"),
            ("revocation_endpoint", 7),
            ("token_endpoint_auth_methods_supported", {"none": True}),
            ("token_endpoint_auth_methods_supported", "client_secret_basic"),
            ("id_token_signing_alg_values_supported", [7]),
        ],
    )
    def test_an_optional_field_of_a_wrong_form_is_ignored(
        self, browser, server, caplog, field, value
    ):
        server.metadata[field] = value
        assert browser.sign_in().status == 303
        assert sum(field in record.getMessage() for record in caplog.records) == 1

    def test_on_a_loopback_host_http_is_enough(self, make_site, server):
        server.issuer = "http://localhost:8420"
        assert make_site().sign_in().status == 303

    def test_a_server_that_is_down_is_503_until_it_is_up(self, browser, server):
        server.answers[WELL_KNOWN] = ServerUnavailable("connection refused")
        reply = browser.request("/auth-agent/login")
        assert reply.status == 503
        assert int(dict(reply.headers)["Retry-After"]) > 0
        assert browser.request("/").agent is None, "the site itself is up"
        del server.answers[WELL_KNOWN]
        assert browser.sign_in().status == 303

    @pytest.mark.parametrize("status", [429, 500, 503])
    @pytest.mark.parametrize("second", [404, 429, 502])
    def test_a_server_in_trouble_is_503(self, browser, server, status, second):
        """Reports the first URL's outage as an outage, whatever the second URL answers."""
        server.answers[WELL_KNOWN] = HttpResponse(status, {}, b"")
        server.answers[OPENID] = HttpResponse(second, {}, b"")
        assert browser.request("/auth-agent/login").status == 503

    def test_the_second_place_counts_although_the_first_is_in_trouble(self, browser, server):
        document = server.answer(_get(server.issuer + WELL_KNOWN))
        server.answers[WELL_KNOWN] = HttpResponse(500, {}, b"")
        server.answers[OPENID] = document
        assert browser.sign_in().status == 303

    def test_is_kept_when_the_server_goes_away(self, browser, server, clock):
        browser.sign_in()
        server.answers[WELL_KNOWN] = ServerUnavailable("connection refused")
        clock.advance(3_700)
        assert browser.sign_in().status == 303
        asked = server.count(WELL_KNOWN)
        browser.sign_in()
        assert server.count(WELL_KNOWN) == asked, "not asked again at every request"
        clock.advance(90_000)
        assert browser.request("/auth-agent/login").status == 503

    def test_is_fetched_again_after_its_lifetime(self, browser, server, clock):
        browser.sign_in()
        clock.advance(3_601)
        browser.sign_in()
        assert server.count(WELL_KNOWN) == 2

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("max-age=600", 600),
            ("public, max-age=7200", 7_200),
            ("max-age=0", 300),
            ("no-store", 3_600),
            ("max-age=99999999", 86_400),
            ("max-age=-1", 3_600),
            ("s-maxage=9", 3_600),
            ("", 3_600),
        ],
    )
    def test_cache_control_counts_within_bounds(self, header, seconds):
        assert cache_seconds({"cache-control": header}) == seconds


class TestKeys:
    def test_a_rotated_key_costs_one_fetch(self, browser, server):
        browser.sign_in()
        server.rotate()
        for _ in range(3):
            assert browser.sign_in().status == 303
        assert server.count(JWKS) == 2

    def test_a_flood_of_unknown_names_costs_one_fetch_in_ten_seconds(self, browser, server, clock):
        browser.sign_in()
        for number in range(200):
            server.header["kid"] = f"unknown-{number}"
            assert cause(browser.sign_in()) == "key_unknown"
        assert server.count(JWKS) == 2
        clock.advance(10)
        browser.sign_in()
        assert server.count(JWKS) == 3

    def test_whoever_comes_with_a_new_key_meanwhile_waits_for_the_one_fetch(self, browser, server):
        browser.request("/", headers={"authorization": f"Bearer {server.access_token()}"})
        server.rotate()
        tokens = [server.access_token() for _ in range(3)]
        visits = [ValueVisit("GET", "/", {"authorization": f"Bearer {t}"}) for t in tokens]
        flows = [browser.relying_party.enter(visit) for visit in visits]
        joins = [next(next(flow).start()) for flow in flows]  # each in one of the few places
        assert len({join.key for join in joins if isinstance(join, Join)}) == 1
        result = drive(joins[0].start(), server)
        for flow in flows:
            with pytest.raises(StopIteration) as ended:
                flow.send(result)
            assert ended.value.value.agent.id == "agent_7"

    def test_a_rotated_key_is_accepted_within_ten_seconds_of_a_flood(self, browser, server, clock):
        browser.sign_in()
        server.header["kid"] = "unknown"
        browser.sign_in()
        del server.header["kid"]
        server.rotate()
        clock.advance(10)
        assert browser.sign_in().status == 303

    def test_only_unknown_names_open_the_window(self, browser, server, clock):
        browser.sign_in()
        clock.advance(3_601)
        browser.sign_in()  # an ordinary refresh
        server.rotate()
        assert browser.sign_in().status == 303

    @pytest.mark.parametrize(
        "answer",
        [
            HttpResponse(500, {}, b""),
            ServerUnavailable("connection refused"),
            json_response(200, {"keys": []}),
            json_response(404, {}),
        ],
    )
    def test_a_failed_fetch_keeps_the_old_keys_for_a_day(self, browser, server, clock, answer):
        browser.sign_in()
        server.answers[JWKS] = answer
        clock.advance(80_000)
        for _ in range(5):
            assert browser.sign_in().status == 303
        assert server.count(JWKS) == 2, "not asked again at every request"
        clock.advance(10_000)
        assert browser.sign_in().status in (502, 503)

    def test_an_outage_at_the_start_is_not_for_ever(self, browser, server):
        server.answers[JWKS] = ServerUnavailable("connection refused")
        assert browser.sign_in().status == 503
        del server.answers[JWKS]
        assert browser.sign_in().status == 303

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (HttpResponse(500, {}, b""), 503),
            (HttpResponse(429, {}, b""), 503),
            (HttpResponse(404, {}, b""), 502),
            (json_response(200, {"keys": []}), 502),
        ],
    )
    def test_none_at_the_start_is_said(self, browser, server, answer, status):
        server.answers[JWKS] = answer
        assert browser.sign_in().status == status

    def test_a_token_without_a_name_makes_us_look_again(self, browser, server):
        other = ECAlgorithm.to_jwk(_new_key().public_key(), as_dict=True)
        server.extra_keys = [{**other, "kid": "another"}]
        assert browser.sign_in().status == 303
        server.extra_keys = []
        server.header["kid"] = ABSENT
        assert browser.sign_in().status == 303
        assert server.count(JWKS) == 2

    def test_a_known_name_with_another_algorithm_makes_nobody_look(self, browser, server):
        server.metadata["id_token_signing_alg_values_supported"] = ["ES256", "ES384"]
        browser.sign_in()
        server.header["alg"] = "ES384"
        assert cause(browser.sign_in()) == "key_unknown"
        assert server.count(JWKS) == 1

    def test_an_address_that_metadata_lack_is_said(self, make_site, server):
        server.metadata["jwks_uri"] = ABSENT
        site = make_site(identity="introspection", protect="/api/*")
        headers = {"authorization": f"Bearer {server.access_token()}"}
        reply = site.request("/api/x", headers=headers)
        assert (reply.status, cause(reply)) == (502, "jwks_empty")

    def test_unusable_keys_beside_a_good_one_are_skipped(self, browser, server):
        server.extra_keys = [
            {}, {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256"},
            {"kty": ["EC"]}, {"kty": "RSA", "n": "AQ", "e": "AQAB"},
            {"kty": "EC", "crv": ["P-256"]},
            {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, 7, None,
        ]  # fmt: skip
        assert browser.sign_in().status == 303

    def test_a_token_without_a_name_is_accepted_where_one_key_fits(self, browser, server):
        server.header["kid"] = ABSENT
        for _ in range(3):
            assert browser.sign_in().status == 303
        assert server.count(JWKS) == 1

    def test_a_token_without_a_name_is_refused_where_two_keys_fit(self, browser, server):
        other = ECAlgorithm.to_jwk(_new_key().public_key(), as_dict=True)
        server.extra_keys = [{**other, "kid": "another"}]
        server.header["kid"] = ABSENT
        assert cause(browser.sign_in()) == "key_unknown"


def _new_key():
    """Gives the server a key of its own: fake servers share one at first."""
    other = FakeServer()
    other.rotate()
    return other.key


def _get(url):
    from auth_agent.flow.exchange import HttpRequest

    return HttpRequest("GET", url)


class TestBackgroundRefresh:
    def test_keys_and_metadata_are_fetched_before_they_end(self, browser, server, clock):
        browser.sign_in()
        clock.advance(3_550)
        browser.sign_in()
        assert (server.count(WELL_KNOWN), server.count(JWKS)) == (2, 2)
        clock.advance(100)
        browser.sign_in()
        assert (server.count(WELL_KNOWN), server.count(JWKS)) == (2, 2), "nobody had to wait"

    def test_a_failure_is_not_repeated_at_every_request(self, browser, server, clock):
        browser.sign_in()
        server.answers[JWKS] = server.answers[WELL_KNOWN] = HttpResponse(500, {}, b"")
        clock.advance(3_550)
        for _ in range(5):
            assert browser.sign_in().status == 303
        assert server.count(JWKS) == 2
