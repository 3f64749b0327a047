"""Access tokens: what is believed, what is remembered, and for how long."""

from __future__ import annotations

import json

import pytest

from auth_agent import Requirement, ServerUnavailable
from auth_agent.protocol.jose.base64url import decode
from auth_agent.testing.issuer import ABSENT, encode
from auth_agent.testing.provider import json_response
from auth_agent.website.recognition import bearer
from auth_agent.website.recognition.known import Known
from auth_agent.website.web.outcome import NOBODY, Pass
from tests.website.browser import ValueVisit, cause, drive, entry

KNOWN = Known(NOBODY, 0, 0, None)


@pytest.fixture
def api(make_site):
    return make_site(protect="/api/*")


def call(site, token, path="/api/orders", scheme="Bearer"):
    return site.request(path, headers={"authorization": f"{scheme} {token}"})


def test_an_access_token_carries_the_same_agent_as_a_session(api, server):
    agent = call(api, server.access_token()).agent
    api.sign_in()
    signed_in = api.agent
    assert (agent.id, agent.model, agent.email) == (
        signed_in.id,
        signed_in.model,
        signed_in.email,
    )
    assert (agent.via, signed_in.via) == ("bearer", "session")
    assert agent.scopes == ("openid", "email")


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize(
    ("claims", "seen"),
    [
        ({"email_verified": True}, ("owner@example.com", True)),
        ({"email_verified": "true"}, ("owner@example.com", True)),
        ({"email_verified": "false"}, ("owner@example.com", False)),
        ({"email_verified": "TRUE"}, ("owner@example.com", False)),
        ({"email_verified": 1}, ("owner@example.com", False)),
        ({"email_verified": ABSENT}, ("owner@example.com", False)),
        ({"email": ABSENT}, (None, False)),
        ({"email": ""}, (None, False)),
        ({"email": ["owner@example.com"]}, (None, False)),
    ],
)
def test_an_address_is_verified_only_where_the_token_says_so(api, server, claims, seen, opaque):
    agent = call(api, token_with(server, claims, opaque)).agent
    assert (agent.email, agent.email_verified) == seen


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize(
    ("claims", "field", "value"),
    [
        ({"model": ABSENT}, "model", "claude-opus-4"),
        ({"model_name": ABSENT}, "model", "claude-opus-4"),
        ({"model": "a", "model_name": "b"}, "model", "a"),
        ({"model": 7, "model_name": None}, "model", None),
        ({"permissions": ["refund", 7]}, "permissions", ("refund",)),
        ({"permissions": "refund"}, "permissions", ()),
        ({"scope": " a  b "}, "scopes", ("a", "b")),
        ({"client_id": "client_shop"}, "client_id", "client_shop"),
    ],
)
def test_of_a_strange_claim_nothing_is_made(api, server, claims, field, value, opaque):
    assert getattr(call(api, token_with(server, claims, opaque)).agent, field) == value


def token_with(server, claims, opaque):
    if not opaque:
        return server.access_token(**claims)
    server.active.add("opaque-token")
    server.introspection.update(claims)
    return "opaque-token"


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        (["a", "b c"], ("a", "b", "c")),
        ("a b", ("a", "b")),
        (["a", 5], ()),
        ({"a": 1}, ()),
        ([], ()),
        (None, ()),
    ],
)
def test_a_list_of_words_is_a_scope(api, server, scope, scopes, opaque):
    """Reads it as the token endpoint's answer is read; of anything else no scope is made."""
    token = token_with(server, {"scope": scope}, opaque)
    assert call(api, token).agent.scopes == scopes


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_has_no_case(api, server, scheme):
    assert isinstance(call(api, server.access_token(), scheme=scheme), Pass)


@pytest.mark.parametrize(
    ("claim", "value", "code"),
    [
        ("iss", "https://evil.example", "issuer_mismatch"),
        ("iss", ABSENT, "issuer_mismatch"),
        ("aud", "https://other.example", "audience_mismatch"),
        ("aud", ["https://other.example"], "audience_mismatch"),
        ("aud", "client_shop", "audience_mismatch"),
        ("aud", ABSENT, "audience_mismatch"),
        ("exp", ABSENT, "time_missing"),
        ("exp", 1_800_000_000 - 60, "token_expired"),
        ("iat", 1_800_000_000 + 61, "iat_ahead"),
        ("nbf", 1_800_000_000 + 61, "nbf_ahead"),
        ("sub", ABSENT, "sub_missing"),
        ("client_id", ABSENT, "client_id_missing"),
        ("client_id", 7, "client_id_missing"),
        ("exp", 10**400, "time_missing"),
        ("exp", 1e308, "time_missing"),
        ("iat", -1, "time_missing"),
        ("cnf", {"jkt": "a thumbprint"}, "token_bound"),
    ],
)
def test_a_wrong_claim_is_refused(api, server, claim, value, code):
    assert_invalid(call(api, server.access_token(**{claim: value})), code)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("typ", "JWT", "typ_mismatch"),
        ("typ", ABSENT, "typ_mismatch"),
        ("typ", "logout+jwt", "typ_mismatch"),
        ("alg", "none", "token_malformed"),
        ("alg", "HS256", "algorithm_refused"),
        ("kid", "unknown", "key_unknown"),
        ("jku", "https://evil.example", "header_forbidden"),
        ("crit", ["x"], "header_forbidden"),
    ],
)
def test_a_wrong_header_is_refused(api, server, field, value, code):
    assert_invalid(call(api, server.access_token(header={field: value})), code)


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT"])
def test_the_type_of_access_tokens_is_accepted(api, server, typ):
    assert isinstance(call(api, server.access_token(header={"typ": typ})), Pass)


def test_an_audience_among_others_is_enough(api, server):
    token = server.access_token(aud=["https://other.example", "https://shop.example"])
    assert isinstance(call(api, token), Pass)


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize(
    ("audience", "of_the_token", "is_ours"),
    [
        (None, "https://shop.example/", True),
        ("https://shop.example/", "https://shop.example", True),
        ("https://shop.example/", "https://shop.example/", True),
        ("https://shop.example/mcp", "https://shop.example/mcp/", False),
        ("https://shop.example/mcp/", "https://shop.example/mcp", False),
        ("https://shop.example/mcp", "https://shop.example/", False),
        ("https://shop.example", "https://shop.example//", False),
        ("https://shop.example", "https://shop.example/mcp", False),
        ("https://shop.example", "https://", False),
    ],
)
def test_an_origin_is_one_audience_with_and_without_its_slash(
    make_site, server, audience, of_the_token, is_ours, opaque
):
    site = make_site(protect="/api/*", audience=audience)
    token = token_with(server, {"aud": of_the_token, "client_id": "client_other"}, opaque)
    assert isinstance(call(site, token), Pass) is is_ours


def test_the_audience_can_be_set(make_site, server):
    site = make_site(protect="/api/*", audience="https://api.shop.example")
    assert call(site, server.access_token()).status == 401
    token = server.access_token(aud="https://api.shop.example")
    assert isinstance(call(site, token), Pass)


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b", "Bearer ä", "Bearer " + "a" * 40_000,
     'Bearer token="a"', "bearer\ta"],
)  # fmt: skip
def test_a_malformed_header_is_400(api, server, header):
    reply = api.request("/api/orders", headers={"authorization": header})
    assert (reply.status, cause(reply)) == (400, "invalid_request")
    assert 'error="invalid_request"' in dict(reply.headers)["WWW-Authenticate"]
    assert server.requests == []


@pytest.mark.parametrize("header", ["Basic YTpi", "Digest x", "", "Bearerx y", "Token abc"])
def test_other_schemes_are_the_websites_own(api, header):
    reply = api.request("/api/orders", headers={"authorization": header})
    assert (reply.status, cause(reply)) == (401, "login_required")


def test_a_browser_with_a_bad_token_sees_a_page(api):
    headers = {"authorization": "Bearer not.a.token", "accept": "text/html"}
    reply = api.request("/api/orders", headers=headers)
    assert (reply.status, cause(reply)) == (401, "token_malformed")


def test_a_bad_token_matters_only_where_an_agent_is_needed(api, server):
    outcome = call(api, "not.a.token", path="/public")
    assert outcome == Pass(None)
    visit = ValueVisit("GET", "/page", {"authorization": "Bearer not.a.token"})
    drive(api.relying_party.enter(visit), server)
    reply = api.relying_party.require(visit, None)
    assert (reply.status, cause(reply)) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("claims", "refused"),
    [
        ({"auth_time": 1_800_000_000 - 61}, True),
        ({"auth_time": 1_800_000_000 - 60}, False),
        ({"auth_time": 1_900_000_000}, False),
        ({"auth_time": "now"}, True),
        ({"auth_time": True}, True),
        ({"iat": 1_800_000_000 - 61}, True),
    ],
)
def test_the_age_of_a_sign_in_counts_for_tokens_too(api, server, clock, claims, refused):
    visit = ValueVisit("GET", "/", {"authorization": f"Bearer {server.access_token(**claims)}"})
    agent = drive(api.relying_party.enter(visit), server).agent
    assert agent.authenticated_at <= clock.now, "nobody has signed in in the future"
    reply = api.relying_party.require(visit, agent, Requirement(max_age=60))
    assert (reply is not None) is refused


def test_lacking_scope_is_403(api, server):
    visit = ValueVisit("GET", "/page", {"authorization": f"Bearer {server.access_token()}"})
    agent = drive(api.relying_party.enter(visit), server).agent
    reply = api.relying_party.require(visit, agent, Requirement(scopes="admin"))
    assert (reply.status, cause(reply)) == (403, "insufficient_scope")


def test_the_website_says_where_tokens_come_from(api, server):
    reply = api.request("/.well-known/oauth-protected-resource")
    document = json.loads(reply.body)
    assert document["resource"] == "https://shop.example"
    assert document["authorization_servers"] == [server.issuer]
    assert document["bearer_methods_supported"] == ["header"]
    refused = call(api, "not.a.token")
    url = "https://shop.example/.well-known/oauth-protected-resource"
    assert f'resource_metadata="{url}"' in dict(refused.headers)["WWW-Authenticate"]
    posted = api.request("/.well-known/oauth-protected-resource", method="POST")
    assert (posted.status, dict(posted.headers)["Allow"]) == (405, "GET, HEAD, OPTIONS")


class TestMemory:
    def test_a_token_seen_before_costs_no_question(self, api, server):
        token = server.access_token()
        call(api, token)
        asked = len(server.requests)
        headers = {"authorization": f"Bearer {token}"}
        outcome = api.relying_party.enter(ValueVisit("GET", "/api/x", headers))
        assert isinstance(outcome, Pass), "no flow at all"
        assert len(server.requests) == asked

    def test_is_not_written_to_by_a_request(self, api, server):
        token = server.access_token(team="a", groups=[{"name": "x"}])
        for _ in range(3):
            claims = entry(api, call(api, token)).agent.claims
            assert (claims["team"], claims["groups"]) == ("a", [{"name": "x"}])
            claims["team"] = "b"
            claims["groups"][0]["name"] = "y"

    def test_never_outlives_the_token(self, make_site, server, clock):
        site = make_site(protect="/api/*", bearer_recheck=0)
        token = server.access_token(exp=int(clock.now) + 100)
        assert isinstance(call(site, token), Pass)
        clock.advance(161)
        assert_invalid(call(site, token), "token_expired")

    def test_ends_with_the_key_that_is_found_to_be_withdrawn(self, make_site, server, clock):
        """Ends all tokens of the key, whichever token made the website look."""
        site = make_site(protect="/api/*", bearer_recheck=0)
        token = server.access_token()
        assert isinstance(call(site, token), Pass)
        server.rotate()
        assert isinstance(call(site, server.access_token()), Pass)
        clock.advance(10)
        assert_invalid(call(site, token), "key_unknown")

    def test_ends_when_the_signing_key_is_withdrawn(self, make_site, server, clock):
        site = make_site(protect="/api/*", bearer_recheck=0)
        token = server.access_token(exp=int(clock.now) + 90_000)
        assert isinstance(call(site, token), Pass)
        server.rotate()
        clock.advance(3_601)
        assert_invalid(call(site, token), "key_unknown")

    def test_is_bounded(self, make_site, server):
        site = make_site(protect="/api/*")
        bearers = site.relying_party._recogniser.bearers
        for number in range(bearer.MAX_REMEMBERED + 100):
            bearers._remember(number.to_bytes(4, "big"), KNOWN)
            bearers._refuse(number.to_bytes(5, "big"), until=0)
        assert len(bearers._known) == len(bearers._refused) == bearer.MAX_REMEMBERED

    def test_forgets_what_it_has_not_heard_of_for_longest(self, api, server):
        bearers = api.relying_party._recogniser.bearers
        for number in range(bearer.MAX_REMEMBERED):
            bearers._remember(number.to_bytes(4, "big"), KNOWN)
        bearers._remember((0).to_bytes(4, "big"), KNOWN)
        bearers._remember(b"another", KNOWN)
        assert (0).to_bytes(4, "big") in bearers._known
        assert (1).to_bytes(4, "big") not in bearers._known

    @pytest.mark.parametrize("opaque", [False, True])
    def test_is_one_for_a_token_however_it_is_spelt(self, api, server, opaque):
        token = token_with(server, {}, opaque)
        for number in range(50):
            assert isinstance(call(api, token, scheme="bEaReR" + " " * number), Pass)
        assert len(api.relying_party._recogniser.bearers._known) == 1
        assert server.count("/introspect") == opaque

    def test_of_good_tokens_is_not_crowded_by_garbage(self, api, server):
        server.active.add("good")
        call(api, "good")
        for number in range(5_000):
            call(api, f"garbage-{number}")
        asked = server.count("/introspect")
        assert isinstance(call(api, "good"), Pass)
        assert server.count("/introspect") == asked


class TestRevocation:
    def test_bites_within_a_minute(self, api, server, clock):
        token = server.access_token()
        call(api, token)
        server.active.clear()
        clock.advance(59)
        assert isinstance(call(api, token), Pass)
        clock.advance(1)
        assert_invalid(call(api, token), "token_inactive")

    def test_is_for_good(self, api, server, clock):
        """Holds however often it is tried, and whatever happens to the server, memory or keys."""
        token = server.access_token()
        call(api, token)
        server.active.clear()
        clock.advance(60)
        for _ in range(5):
            assert_invalid(call(api, token), "token_inactive")
        clock.advance(600)
        assert_invalid(call(api, token), "token_inactive")
        server.answers["/introspect"] = ServerUnavailable("connection refused")
        clock.advance(2_000)
        assert_invalid(call(api, token), "token_inactive")

    def test_is_asked_after_once_a_minute(self, api, server, clock):
        token = server.access_token()
        for asked in range(4):
            for _ in range(5):
                assert isinstance(call(api, token), Pass)
            assert server.count("/introspect") == asked, "not while it is younger than a minute"
            clock.advance(60)

    def test_counts_where_the_token_was_never_seen_before(self, api, server, clock):
        """Asks at first sight: another worker, or this one before a restart, may have seen it."""
        token = server.access_token()
        server.active.clear()
        clock.advance(60)
        assert_invalid(call(api, token), "token_inactive")

    def test_counts_although_the_keys_cannot_be_fetched_again(self, api, server, clock):
        token = server.access_token(exp=int(clock.now) + 9_000)
        call(api, token)
        server.answers["/.well-known/jwks.json"] = ServerUnavailable("connection refused")
        clock.advance(3_700)
        assert isinstance(call(api, token), Pass)
        server.active.clear()
        clock.advance(60)
        assert_invalid(call(api, token), "token_inactive")

    def test_can_be_left_to_the_end_of_the_token(self, make_site, server, clock):
        site = make_site(protect="/api/*", bearer_recheck=0)
        token = server.access_token()
        call(site, token)
        server.active.clear()
        clock.advance(3_000)
        assert isinstance(call(site, token), Pass)
        assert server.count("/introspect") == 0

    def test_cannot_be_heard_of_where_the_server_has_no_place_to_ask(self, api, server, clock):
        server.metadata["introspection_endpoint"] = ABSENT
        token = server.access_token()
        clock.advance(120)
        assert isinstance(call(api, token), Pass)
        assert call(api, "opaque").status == 503

    def test_a_server_that_is_away_takes_nothing_away(self, api, server, clock):
        token = server.access_token()
        call(api, token)
        server.answers["/introspect"] = ServerUnavailable("connection refused")
        clock.advance(120)
        assert isinstance(call(api, token), Pass)
        clock.advance(30)
        call(api, token)
        assert server.count("/introspect") == 1, "not asked again at every request"


class TestOpaque:
    @pytest.fixture
    def token(self, server):
        server.active.add("opaque-token")
        return "opaque-token"

    def test_is_introspected(self, api, server, token):
        server.introspection.update(scope="a b", exp=int(server.clock()) + 600)
        agent = call(api, token).agent
        assert (agent.id, agent.scopes, agent.via) == ("agent_7", ("a", "b"), "bearer")

    def test_is_asked_after_once_a_minute(self, api, server, clock, token):
        for _ in range(5):
            call(api, token)
        assert server.count("/introspect") == 1
        clock.advance(60)
        call(api, token)
        assert server.count("/introspect") == 2

    def test_is_never_remembered_past_its_end(self, api, server, clock, token):
        server.introspection["exp"] = int(clock.now) + 5
        assert isinstance(call(api, token), Pass)
        clock.advance(5)
        assert call(api, token).status == 401

    @pytest.mark.parametrize(
        ("claim", "value", "code"),
        [
            ("aud", "https://other.example", "audience_mismatch"),
            ("aud", [5], "audience_mismatch"),
            ("aud", {"https://shop.example": True}, "audience_mismatch"),
            ("aud", True, "audience_mismatch"),
            ("client_id", "client_other", "audience_mismatch"),
            ("client_id", ABSENT, "audience_mismatch"),
            ("iss", "https://evil.example", "issuer_mismatch"),
            ("token_type", "refresh_token", "typ_mismatch"),
            ("exp", 1_700_000_000, "token_expired"),
            ("sub", ABSENT, "sub_missing"),
            ("exp", "1800003600", "time_missing"),
            ("exp", 1e308, "time_missing"),
            ("cnf", {"jkt": "a thumbprint"}, "token_bound"),
            ("active", "true", "token_inactive"),
            ("active", 1, "token_inactive"),
        ],
    )
    def test_of_somebody_else_is_refused(self, api, server, token, claim, value, code):
        server.introspection[claim] = value
        assert_invalid(call(api, token), code)

    @pytest.mark.parametrize("aud", ["https://shop.example", "client_shop", ["x", "client_shop"]])
    def test_for_us_is_accepted_whoever_asked_for_it(self, api, server, token, aud):
        server.introspection.update(aud=aud, client_id="client_other")
        assert isinstance(call(api, token), Pass)

    @pytest.mark.parametrize("aud", [None, "", []])
    def test_without_an_audience_is_its_clients(self, api, server, token, aud):
        server.introspection["aud"] = aud
        assert isinstance(call(api, token), Pass)

    @pytest.mark.parametrize("kind", ["Bearer", "bearer", "access_token", ABSENT, None])
    def test_that_is_an_access_token_is_accepted(self, api, server, token, kind):
        server.introspection["token_type"] = kind
        assert isinstance(call(api, token), Pass)

    def test_without_an_owner_of_its_own_has_no_client(self, api, server, token):
        server.introspection.update(client_id=ABSENT, aud="client_shop")
        assert call(api, token).agent.client_id == ""

    def test_that_is_not_active_is_refused_and_remembered_for_a_moment(self, api, server, clock):
        for _ in range(5):
            assert_invalid(call(api, "unknown"), "token_inactive")
        assert server.count("/introspect") == 1
        clock.advance(10)
        call(api, "unknown")
        assert server.count("/introspect") == 2

    def test_is_503_while_nobody_can_be_asked(self, api, server, token):
        server.answers["/introspect"] = json_response(500, {})
        reply = call(api, token)
        assert reply.status == 503
        assert "Retry-After" in dict(reply.headers)
        assert call(api, token, path="/public") == Pass(None)


def test_ten_thousand_garbage_tokens_ask_nobody_and_leave_nothing(api, server):
    for number in range(10_000):
        call(api, f"eyJ{number}.eyJ{number}.x{number}", path="/public")
    assert server.requests == []
    assert api.relying_party._recogniser.bearers._known == {}


def test_ten_thousand_unknown_key_names_cost_one_fetch(api, server):
    good = server.access_token()
    assert isinstance(call(api, good), Pass)
    _, claims, signature = good.split(".")
    for number in range(10_000):
        header = {"alg": "ES256", "typ": "at+jwt", "kid": f"unknown-{number}"}
        forged = f"{encode(json.dumps(header).encode())}.{claims}.{signature}"
        assert call(api, forged, path="/public") == Pass(None)
    assert server.count("/.well-known/jwks.json") == 2
    assert len(api.relying_party._recogniser.bearers._known) == 1
    assert api.relying_party._recogniser.bearers._refused == {}


def test_a_token_outweighs_a_session(api, server):
    api.sign_in()
    headers = {
        "authorization": f"Bearer {server.access_token(sub='agent_8')}",
        "cookie": "; ".join(f"{n}={v}" for n, v in api.cookies.items()),
    }
    outcome = drive(api.relying_party.enter(ValueVisit("GET", "/", headers)), server)
    assert outcome.agent.id == "agent_8"


def assert_invalid(reply, code):
    document = json.loads(reply.body)
    assert (reply.status, document["error"], document["cause"]) == (401, "invalid_token", code)
    assert 'error="invalid_token"' in dict(reply.headers)["WWW-Authenticate"]


class TestRevoked:
    """What the server has revoked stays refused, whoever cannot be asked meanwhile."""

    def revoke(self, api, server, clock, token):
        assert isinstance(call(api, token), Pass)
        clock.advance(61)
        server.active.discard(token)
        assert_invalid(call(api, token), "token_inactive")
        server.answers["/introspect"] = json_response(500, {})

    def other_signature(self, token):
        """Returns the other valid ECDSA signature: (r, n - s) for (r, s)."""
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        content, _, signature = token.rpartition(".")
        raw = decode(signature)
        s = order - int.from_bytes(raw[32:], "big")
        return f"{content}.{encode(raw[:32] + s.to_bytes(32, 'big'))}"

    def test_with_its_other_signature(self, api, server, clock):
        token = server.access_token()
        other = self.other_signature(token)
        assert isinstance(call(api, other), Pass), "it is a good one"
        self.revoke(api, server, clock, token)
        assert_invalid(call(api, other), "token_inactive")
        assert_invalid(call(api, token), "token_inactive")

    def test_after_a_flood_of_garbage(self, api, server, clock):
        token = server.access_token()
        self.revoke(api, server, clock, token)
        bearers = api.relying_party._recogniser.bearers
        for number in range(bearer.MAX_REMEMBERED + 10):
            bearers._refuse(number.to_bytes(8, "big"), until=clock() + 1_000)
        assert_invalid(call(api, token), "token_inactive")


@pytest.mark.parametrize(("recheck", "seconds"), [(5, 5), (60, 60), (600, 60), (0, 60)])
def test_an_opaque_token_is_asked_about_when_the_setting_says(
    make_site, server, clock, recheck, seconds
):
    site = make_site(protect="/api/*", bearer_recheck=recheck)
    token = token_with(server, {}, True)
    assert isinstance(call(site, token), Pass)
    server.active.discard(token)
    clock.advance(seconds - 0.5)
    assert isinstance(call(site, token), Pass)
    clock.advance(0.5)
    assert_invalid(call(site, token), "token_inactive")
