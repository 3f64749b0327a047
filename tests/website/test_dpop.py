"""Tokens that are bound to a key (RFC 9449 7): what is accepted, and what counts once."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from auth_agent import RelyingParty, Requirement, ServerUnavailable, Settings
from auth_agent.errors import ProofRefused
from auth_agent.protocol.dpop.proof import check_proof
from auth_agent.testing import FakeServer
from auth_agent.testing.provider import json_response
from auth_agent.website.mcp.token import enter_with_token
from auth_agent.website.policy.resource import WELL_KNOWN
from auth_agent.website.recognition.dpop import BUCKET_SECONDS, UsedProofs
from auth_agent.website.web.outcome import Pass, Reply
from tests.proofs import EdHolder, Holder
from tests.website.browser import ValueVisit, cause, drive

ORIGIN = "https://shop.example"
PATH = "/api/orders"
METADATA = f'resource_metadata="{ORIGIN}{WELL_KNOWN}"'
OFFER = 'DPoP algs="ES256 EdDSA"'


@pytest.fixture
def api(make_site):
    return make_site(protect="/api/*")


@pytest.fixture
def holder():
    return Holder()


@pytest.fixture(params=["signed", "opaque"])
def token(request, server, holder):
    """Returns a token that is bound to the holder's key, of each kind."""
    return bound_token(server, holder, opaque=request.param == "opaque")


def bound_token(server, holder, *, opaque=False, **claims):
    claims = {"cnf": {"jkt": holder.jkt}, **claims}
    if not opaque:
        return server.access_token(**claims)
    server.active.add("opaque-token")
    server.introspection.update(claims, token_type="DPoP")
    return "opaque-token"


def call(site, token, proof, *, path=PATH, scheme="DPoP", method="GET", **headers):
    sent = {"authorization": f"{scheme} {token}", **headers}
    if proof is not None:
        sent["dpop"] = proof
    return site.request(path, method=method, headers=sent)


def challenge(reply):
    return dict(reply.headers)["WWW-Authenticate"]


def assert_refused(reply, error, code):
    document = json.loads(reply.body)
    assert (reply.status, document["error"], document["cause"]) == (401, error, code)
    found = challenge(reply)
    assert found.startswith(f'DPoP error="{error}", error_description="')
    assert found.endswith(f'algs="ES256 EdDSA", {METADATA}')


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("holder", [Holder(), EdHolder()])
def test_a_bound_token_beside_its_proof_is_the_same_agent(api, server, clock, holder, opaque):
    token = bound_token(server, holder, opaque=opaque)
    agent = call(api, token, holder.proof("GET", ORIGIN + PATH, clock(), token)).agent
    api.sign_in()
    assert (agent.issuer, agent.id, agent.email) == (
        api.agent.issuer,
        api.agent.id,
        api.agent.email,
    )
    assert agent.via == "dpop"
    assert "cnf" not in agent.claims


@pytest.mark.parametrize("scheme", ["dpop", "DPOP", "DPoP "])
def test_the_scheme_has_no_case(api, token, holder, clock, scheme):
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    assert isinstance(call(api, token, proof, scheme=scheme), Pass)


@pytest.mark.parametrize("with_proof", [False, True])
def test_a_bound_token_is_worth_nothing_as_bearer(api, token, holder, clock, with_proof):
    """Refuses it whether known or new, with or without a proof beside it (RFC 9449 7.2)."""
    for _ in range(2):
        proof = holder.proof("GET", ORIGIN + PATH, clock(), token) if with_proof else None
        reply = call(api, token, proof, scheme="Bearer")
        document = json.loads(reply.body)
        assert (reply.status, document["error"]) == (401, "invalid_token")
        assert document["cause"] == "token_bound"
        found = challenge(reply)
        assert found.startswith('Bearer error="invalid_token"')
        assert found.endswith(f", {METADATA}, {OFFER}")
        good = holder.proof("GET", ORIGIN + PATH, clock(), token)
        assert isinstance(call(api, token, good), Pass), "it is known from here on"


@pytest.mark.parametrize("opaque", [False, True])
def test_an_unbound_token_is_worth_nothing_as_dpop(api, server, holder, clock, opaque):
    token = server.access_token()
    if opaque:
        server.active.add(token := "opaque-token")
    for scheme_before in (None, "Bearer"):
        if scheme_before:
            assert isinstance(call(api, token, None, scheme="Bearer"), Pass)
        proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
        assert_refused(call(api, token, proof), "invalid_token", "token_unbound")


def test_another_key_opens_nothing(api, token, clock):
    proof = Holder().proof("GET", ORIGIN + PATH, clock(), token)
    assert_refused(call(api, token, proof), "invalid_token", "token_key_mismatch")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"htm": "POST"}, "proof_method"),
        ({"htu": f"{ORIGIN}/api/other"}, "proof_target"),
        ({"htu": f"https://any{PATH}"}, "proof_target"),
        ({"ath": "another"}, "proof_token"),
        ({"iat": 1}, "proof_time"),
        ({"jti": ""}, "proof_jti"),
        ({"header": {"typ": "JWT"}}, "proof_type"),
        ({"header": {"alg": "none"}}, "proof_algorithm"),
        ({"sign": lambda data: b"0" * 64}, "proof_signature"),
    ],
)
def test_a_proof_is_checked_each_time(api, token, holder, clock, changes, code):
    first = holder.proof("GET", ORIGIN + PATH, clock(), token)
    assert isinstance(call(api, token, first), Pass), "the token is known from here on"
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token, **changes)
    assert_refused(call(api, token, proof), "invalid_dpop_proof", code)


def test_no_proof_two_proofs(api, token, holder, clock):
    assert_refused(call(api, token, None), "invalid_dpop_proof", "proof_missing")
    two = ", ".join(holder.proof("GET", ORIGIN + PATH, clock(), token) for _ in range(2))
    assert_refused(call(api, token, two), "invalid_dpop_proof", "proof_repeated")


def test_the_address_comes_from_the_settings_alone(api, token, holder, clock):
    elsewhere = {"host": "evil.example", "x-forwarded-host": "evil.example",
                 "x-forwarded-proto": "http", "forwarded": "host=evil.example"}  # fmt: skip
    proof = holder.proof("GET", f"https://evil.example{PATH}", clock(), token)
    assert_refused(call(api, token, proof, **elsewhere), "invalid_dpop_proof", "proof_target")
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    assert isinstance(call(api, token, proof, **elsewhere), Pass)


def test_the_query_is_not_a_part_of_the_target(api, token, holder, clock):
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    assert isinstance(call(api, token, proof, path=f"{PATH}?page=2"), Pass)


def test_a_proof_header_without_a_token_is_nothing(api, holder, clock):
    proof = holder.proof("GET", f"{ORIGIN}/", clock())
    assert api.request("/", headers={"dpop": proof}).agent is None
    api.sign_in()
    assert api.request("/", headers={"dpop": proof}).agent.via == "session"


def test_the_token_wins_over_the_session(api, token, holder, clock):
    api.sign_in()
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    assert call(api, token, proof).agent.via == "dpop"
    assert_refused(call(api, token, None), "invalid_dpop_proof", "proof_missing")


@pytest.mark.parametrize(
    "authorization",
    [
        "DPoP", "DPoP ", "DPoP a b", "DPoP a, DPoP b", "DPoP a, Bearer a", "Bearer a, DPoP a",
        "Basic eA==, DPoP a", "Basic eA==, Bearer a", "DPoP a,", "DPoP \ta", f"DPoP {'x' * 40_000}",
    ],
)  # fmt: skip
def test_anything_but_one_credential_is_400(api, holder, clock, authorization):
    proof = holder.proof("GET", ORIGIN + PATH, clock(), "a")
    reply = api.request(PATH, headers={"authorization": authorization, "dpop": proof})
    assert (reply.status, cause(reply)) == (400, "invalid_request")


def test_other_schemes_belong_to_the_website(api):
    basic = {"authorization": 'Digest username="a", realm="b", uri="/bearer"'}
    assert isinstance(api.request("/", headers=basic), Pass)
    assert api.relying_party.enter(ValueVisit("GET", "/", basic)).agent is None


def test_a_proof_counts_once(api, token, holder, clock):
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    assert isinstance(call(api, token, proof), Pass)
    assert_refused(call(api, token, proof), "invalid_dpop_proof", "proof_used")
    clock.advance(300)
    assert_refused(call(api, token, proof), "invalid_dpop_proof", "proof_used")
    clock.advance(1)
    assert_refused(call(api, token, proof), "invalid_dpop_proof", "proof_time")


def test_the_name_of_a_proof_is_its_key_s_and_its_target_s_own(api, server, clock, holder):
    token = bound_token(server, holder)
    for path in ("/api/a", "/api/b"):
        proof = holder.proof("GET", ORIGIN + path, clock(), token, jti="the same")
        assert isinstance(call(api, token, proof, path=path), Pass)
    proof = holder.proof("GET", f"{ORIGIN}/api/a", clock() + 1, token, jti="the same")
    reply = call(api, token, proof, path="/api/a")
    assert_refused(reply, "invalid_dpop_proof", "proof_used")
    other = Holder()
    its = bound_token(server, other)
    proof = other.proof("GET", f"{ORIGIN}/api/a", clock(), its, jti="the same")
    assert isinstance(call(api, its, proof, path="/api/a"), Pass)


def test_a_refused_request_uses_no_proof_up(api, server, holder, clock):
    token = bound_token(server, holder)
    answer = server.answers["/.well-known/jwks.json"] = ServerUnavailable("down")
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    reply = call(api, token, proof)
    assert reply.status == 503, answer
    assert dict(reply.headers)["Retry-After"]
    server.answers.clear()
    clock.advance(20)
    assert isinstance(call(api, token, proof), Pass)


def test_a_known_token_needs_no_flow(api, token, holder, clock, server):
    assert isinstance(call(api, token, holder.proof("GET", ORIGIN + PATH, clock(), token)), Pass)
    asked = len(server.requests)
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    headers = {"authorization": f"DPoP {token}", "dpop": proof}
    assert isinstance(api.relying_party.enter(ValueVisit("GET", PATH, headers)), Pass)
    assert len(server.requests) == asked


def test_the_proof_is_not_sent_to_the_server(api, server, holder, clock):
    token = bound_token(server, holder, opaque=True)
    call(api, token, holder.proof("GET", ORIGIN + PATH, clock(), token))
    introspected = next(one for one in server.requests if one.url.endswith("/introspect"))
    assert "dpop" not in {name.lower() for name, _ in introspected.headers}


@pytest.mark.parametrize("code_path", ["revoked", "expired"])
def test_a_token_that_is_no_longer_good(api, server, holder, clock, code_path):
    token = bound_token(server, holder)
    assert isinstance(call(api, token, holder.proof("GET", ORIGIN + PATH, clock(), token)), Pass)
    server.active.clear()
    clock.advance(61 if code_path == "revoked" else 4_000)
    proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
    code = {"revoked": "token_inactive", "expired": "token_expired"}[code_path]
    assert_refused(call(api, token, proof), "invalid_token", code)


def test_an_answer_that_names_no_key_is_refused(api, server, holder, clock):
    server.active.add("opaque-token")
    server.introspection["token_type"] = "DPoP"
    proof = holder.proof("GET", ORIGIN + PATH, clock(), "opaque-token")
    assert_refused(call(api, "opaque-token", proof), "invalid_token", "token_bound")
    reply = call(api, "opaque-token", None, scheme="Bearer")
    assert json.loads(reply.body)["cause"] == "token_bound"


def test_introspection_that_is_down_is_503(api, server, holder, clock):
    token = bound_token(server, holder, opaque=True)
    server.answers["/introspect"] = json_response(500, {})
    reply = call(api, token, holder.proof("GET", ORIGIN + PATH, clock(), token))
    assert (reply.status, dict(reply.headers)["Retry-After"]) == (503, "5")


def test_a_lacking_scope_is_told_in_the_scheme_of_the_credential(api, token, holder, clock, server):
    headers = {
        "authorization": f"DPoP {token}",
        "dpop": holder.proof("GET", f"{ORIGIN}/page", clock(), token),
    }
    visit = ValueVisit("GET", "/page", headers)
    agent = drive(api.relying_party.enter(visit), server).agent
    reply = api.relying_party.require(visit, agent, Requirement(scopes="admin"))
    assert (reply.status, cause(reply)) == (403, "insufficient_scope")
    assert challenge(reply).startswith('DPoP error="insufficient_scope", scope="admin"')
    older = api.relying_party.require(visit, agent, Requirement(max_age=0))
    assert older is None or challenge(older).startswith("DPoP ")


def test_without_credentials_both_schemes_are_offered(api):
    for headers in ({}, {"authorization": "Basic eA=="}):
        reply = api.request(PATH, headers=headers)
        assert challenge(reply) == f"Bearer {METADATA}, {OFFER}"


def test_a_bearer_token_is_refused_in_its_own_scheme(api, server):
    reply = call(api, "not.a.token", None, scheme="Bearer")
    assert challenge(reply).startswith("Bearer error=")
    assert "DPoP" not in challenge(reply)


class TestRequire:
    @pytest.fixture
    def api(self, make_site):
        return make_site(protect="/api/*", dpop="require")

    def test_a_bearer_token_is_refused(self, api, server):
        for _ in range(2):
            reply = call(api, server.access_token(), None, scheme="Bearer")
            document = json.loads(reply.body)
            assert (reply.status, document["cause"]) == (401, "token_unbound")
            assert challenge(reply).endswith(OFFER)

    def test_a_bound_token_is_good(self, api, token, holder, clock):
        proof = holder.proof("GET", ORIGIN + PATH, clock(), token)
        assert isinstance(call(api, token, proof), Pass)

    def test_only_dpop_is_offered(self, api):
        reply = api.request(PATH, headers={})
        assert challenge(reply) == f'DPoP algs="ES256 EdDSA", {METADATA}'

    def test_sessions_are_not_tokens(self, api):
        api.sign_in()
        assert api.agent.via == "session"


@pytest.mark.parametrize("mode", ["accept", "require"])
def test_the_metadata_say_what_is_accepted(make_site, mode):
    document = json.loads(make_site(dpop=mode).request(WELL_KNOWN).body)
    assert document["dpop_signing_alg_values_supported"] == ["ES256", "EdDSA"]
    assert document.get("dpop_bound_access_tokens_required") == (
        True if mode == "require" else None
    )


def test_a_handshake_is_a_get_of_the_website(api, token, holder, clock, server):
    """Uses the http scheme: RFC 9449 has no ws scheme; the handshake is an HTTP request."""
    for scheme, good in (("https", True), ("wss", False)):
        proof = holder.proof("GET", f"{scheme}://shop.example/live", clock(), token)
        visit = ValueVisit("GET", "/live", {"authorization": f"DPoP {token}", "dpop": proof})
        outcome = api.relying_party.enter_socket(visit)
        if not isinstance(outcome, Pass):
            outcome = drive(outcome, server)
        assert (outcome.agent is not None) is good


def test_a_verifier_that_sees_the_token_alone_refuses_it(api, token, server, holder, clock):
    assert drive(enter_with_token(api.relying_party, token), server) is None
    call(api, token, holder.proof("GET", ORIGIN + PATH, clock(), token))
    assert drive(enter_with_token(api.relying_party, token), server) is None


def test_a_bound_token_that_was_revoked_is_no_longer_active(api, server, holder, clock):
    token = bound_token(server, holder)
    agent = call(api, token, holder.proof("GET", ORIGIN + PATH, clock(), token)).agent
    visit = ValueVisit("GET", PATH, {"authorization": f"DPoP {token}"})
    party = api.relying_party
    assert drive(party.is_still_active(visit, agent), server) is True
    server.active.clear()
    clock.advance(61)
    assert drive(party.is_still_active(visit, agent), server) is False


def test_credentials_of_other_schemes_are_shown_to_no_server(api, server):
    api.sign_in()
    asked = len(server.requests)
    visit = ValueVisit("GET", PATH, {"authorization": "Basic c2hvcDpzZWNyZXQ="})
    assert drive(api.relying_party.is_still_active(visit, api.agent), server) is False
    assert len(server.requests) == asked


def test_a_denied_agent_is_denied_here_too(make_site, server, holder, clock):
    site = make_site(protect="/api/*", deny_agents="agent_7")
    token = bound_token(server, holder)
    proof = holder.proof("GET", f"{ORIGIN}/", clock(), token)
    assert call(site, token, proof, path="/").agent is None


@examples(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=60), st.none() | st.text(max_size=200))
def test_no_header_does_more_than_be_refused(authorization, proof):
    server = FakeServer()
    settings = Settings(
        issuer=server.issuer, base_url=ORIGIN, sign_in=False, protect="/api/*", audience=ORIGIN
    )
    headers = {"authorization": f"DPoP {authorization}"}
    if proof is not None:
        headers["dpop"] = proof
    outcome = RelyingParty(settings).enter(ValueVisit("GET", PATH, headers))
    reply = outcome if isinstance(outcome, Reply) else drive(outcome, server)
    assert reply.status in (400, 401)
    for _, value in reply.headers:
        assert value.isprintable()


class TestUsedProofs:
    NOW = 1_800_000_000

    def proof(self, jti, iat=NOW):
        text = Holder.proof(self.holder, "GET", ORIGIN, iat, jti=jti)
        return check_proof(text, method="GET", url=ORIGIN, now=iat)

    @pytest.fixture(autouse=True)
    def _holder(self):
        self.holder = Holder()

    def test_a_full_memory_forgets_nothing_and_refuses(self):
        used = UsedProofs(limit=2)
        for jti in ("a", "b"):
            used.add(self.proof(jti), self.NOW, "a")
        with pytest.raises(ServerUnavailable) as full:
            used.add(self.proof("c"), self.NOW, "a")
        assert full.value.code == "proofs_full"
        with pytest.raises(ProofRefused):
            used.add(self.proof("a"), self.NOW, "a")

    def test_there_is_room_again_once_proofs_have_expired(self):
        used = UsedProofs(limit=2)
        for jti in ("a", "b"):
            used.add(self.proof(jti), self.NOW, "a")
        used.add(self.proof("c", self.NOW + 400), self.NOW + 300 + BUCKET_SECONDS, "a")
        assert sum(map(len, used._buckets.values())) == used._counts["a"] == 1

    def test_one_agent_does_not_fill_the_memory_of_the_others(self):
        used = UsedProofs(limit_of_one=2)
        for jti in ("a", "b"):
            used.add(self.proof(jti), self.NOW, "busy")
        with pytest.raises(ServerUnavailable) as full:
            used.add(self.proof("c"), self.NOW, "busy")
        assert full.value.code == "proofs_full"
        used.add(self.proof("d"), self.NOW, "other")
        later = self.NOW + 300 + BUCKET_SECONDS
        used.add(self.proof("e", self.NOW + 400), later, "busy")

    def test_the_same_proof_at_once_counts_once(self):
        used, proof, counted = UsedProofs(), self.proof("a"), []
        start = threading.Barrier(8)

        def send():
            start.wait(5)
            try:
                used.add(proof, self.NOW, "a")
            except ProofRefused:
                return
            counted.append(1)

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert counted == [1]
