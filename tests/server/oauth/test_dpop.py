"""Tokens that are bound to a key (RFC 9449), at the server: each check is broken alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from sqlalchemy import func, select

from auth_agent.secret import Secret
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.client import Client
from auth_agent.server.registry.rules import client_columns
from auth_agent.server.registry.self_registered.metadata import client_metadata
from auth_agent.server.security.dpop import Proofs
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family, used_assertion
from tests.proofs import ABSENT, EdHolder, Holder
from tests.server.conftest import Build
from tests.server.world import ISSUER, NOW, ORIGIN, REDIRECT, VERIFIER, World

PHONE = "http://127.0.0.1:5000/cb"
TOKEN = f"{ISSUER}/token"
OFFER = 'DPoP algs="ES256 EdDSA"'
OTHER_SECRET, NEW_SECRET = Secret("o" * 32), Secret("n" * 32)


@pytest.fixture
def holder() -> Holder:
    return Holder()


def proof(world: World, holder: Holder, url: str = TOKEN, method: str = "POST", **more: Any) -> str:
    token = more.pop("token", None)
    return holder.proof(method, url, world.clock(), token, **more)


def own_token(world: World, holder: Holder | None, text: str | None = None, **form: Any) -> Any:
    """Returns the agent's own token, by client credentials."""
    if text is None and holder is not None:
        text = proof(world, holder)
    body = {"grant_type": "client_credentials", "resource": ISSUER, "scope": "agent profile"}
    auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
    headers = {} if text is None else {"dpop": text}
    return world.browser().post("/token", data={**body, **form}, auth=auth, headers=headers)


def phone_code(world: World, **changes: Any) -> str:
    return world.code(client_id=world.phone.client_id, redirect_uri=PHONE, **changes)


def redeem_phone(world: World, code: str, text: str | None) -> Any:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": PHONE,
        "code_verifier": VERIFIER,
        "client_id": world.phone.client_id,
    }
    return world.browser().post("/token", data=form, headers=_sent(text))


def refresh(world: World, token: str, text: str | None, **more: Any) -> Any:
    auth = more.pop("auth", None)
    form = {"grant_type": "refresh_token", "refresh_token": token}
    if auth is None:
        form["client_id"] = world.phone.client_id
    return world.browser().post("/token", data=form, auth=auth, headers=_sent(text))


def _sent(text: str | None) -> dict[str, str]:
    return {} if text is None else {"dpop": text}


def _refused(answer: Any, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["cache-control"] == "no-store"


def _key_of(token: str) -> Any:
    return jwt.decode(token, options={"verify_signature": False}).get("cnf")


def call_api(world: World, token: str, text: str | None, **more: Any) -> Any:
    scheme = more.get("scheme", "DPoP")
    path, method = more.get("path", "/api/agents/profile"), more.get("method", "GET")
    headers = {"authorization": f"{scheme} {token}", **_sent(text)}
    return world.browser().request(method, path, headers=headers, json=more.get("json"))


class TestTokens:
    @pytest.mark.parametrize("holder", [Holder(), EdHolder()])
    def test_an_agent_s_own_token_is_bound(self, world: World, holder: Holder) -> None:
        answer = own_token(world, holder)
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "DPoP"
        assert _key_of(answer.json()["access_token"]) == {"jkt": holder.jkt}

    def test_a_website_s_token_is_bound_and_its_refresh_token_is_not(
        self, world: World, holder: Holder
    ) -> None:
        answer = world.redeem(world.code(), headers={"dpop": proof(world, holder)})
        tokens = answer.json()
        assert tokens["token_type"] == "DPoP"
        assert _key_of(tokens["access_token"]) == {"jkt": holder.jkt}
        assert _key_of(tokens["id_token"]) is None, "an ID token is never bound"
        other = Holder()
        fresh = refresh(
            world, tokens["refresh_token"], proof(world, other), auth=world.basic()
        ).json()
        assert _key_of(fresh["access_token"]) == {"jkt": other.jkt}
        plain = refresh(world, fresh["refresh_token"], None, auth=world.basic()).json()
        assert (plain["token_type"], _key_of(plain["access_token"])) == ("Bearer", None)

    def test_without_a_proof_all_is_as_before(self, world: World) -> None:
        tokens = world.tokens()
        assert (tokens["token_type"], _key_of(tokens["access_token"])) == ("Bearer", None)
        answer = own_token(world, None).json()
        assert (answer["token_type"], _key_of(answer["access_token"])) == ("Bearer", None)

    @pytest.mark.parametrize(
        "changes",
        [
            {"htm": "GET"},
            {"htu": f"{ISSUER}/oauth2/token"},
            {"htu": "https://other.example/token"},
            {"iat": 1},
            {"jti": ABSENT},
            {"header": {"typ": "JWT"}},
            {"header": {"alg": "none"}},
            {"sign": lambda data: b"0" * 64},
        ],
    )
    def test_a_bad_proof_costs_nothing(
        self, world: World, holder: Holder, changes: dict[str, Any]
    ) -> None:
        code = world.code()
        bad = proof(world, holder, **changes)
        _refused(world.redeem(code, headers={"dpop": bad}), "invalid_dpop_proof")
        assert world.redeem(code, headers={"dpop": proof(world, holder)}).status_code == 200

    def test_two_proofs_are_refused(self, world: World, holder: Holder) -> None:
        two = [("dpop", proof(world, holder)), ("dpop", proof(world, holder))]
        auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
        form = {"grant_type": "client_credentials", "resource": ISSUER}
        answer = world.browser().post("/token", data=form, auth=auth, headers=two)
        _refused(answer, "invalid_dpop_proof")

    def test_each_name_of_the_endpoint_is_an_address_of_its_own(
        self, world: World, holder: Holder
    ) -> None:
        form = {"grant_type": "client_credentials", "resource": ISSUER}
        auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
        for url, status in ((TOKEN, 400), (f"{ISSUER}/oauth2/token", 200)):
            answer = world.browser().post(
                "/oauth2/token", data=form, auth=auth, headers={"dpop": proof(world, holder, url)}
            )
            assert answer.status_code == status

    def test_the_address_is_the_issuer_s_whatever_headers_say(
        self, world: World, holder: Holder
    ) -> None:
        form = {"grant_type": "client_credentials", "resource": ISSUER}
        auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
        headers = {
            "x-forwarded-host": "evil.example",
            "x-forwarded-proto": "https",
            "dpop": proof(world, holder, "https://evil.example/token"),
        }
        answer = world.browser().post("/token", data=form, auth=auth, headers=headers)
        _refused(answer, "invalid_dpop_proof")

    def test_the_client_is_proved_before_the_proof(self, world: World) -> None:
        auth = (world.agent.agent_id, "wrong")
        answer = world.browser().post(
            "/token",
            data={"grant_type": "client_credentials", "resource": ISSUER},
            auth=auth,
            headers={"dpop": "x"},
        )
        _refused(answer, "invalid_client", 401)

    def test_below_a_path_the_prefix_belongs_to_the_address(
        self, build: Build, holder: Holder
    ) -> None:
        issuer = f"{ISSUER}/id"
        world = build(issuer=issuer)
        form = {"grant_type": "client_credentials", "resource": issuer}
        auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
        for path in ("/id/token", "/token"):  # as it comes, and as a proxy may pass it on
            for url, status in ((f"{issuer}/token", 200), (TOKEN, 400)):
                answer = world.browser().post(
                    path, data=form, auth=auth, headers={"dpop": proof(world, holder, url)}
                )
                assert answer.status_code == status, (path, url)


class TestReplay:
    def test_a_proof_counts_once(self, world: World, holder: Holder) -> None:
        text = proof(world, holder)
        assert own_token(world, holder, text).status_code == 200
        _refused(own_token(world, holder, text), "invalid_dpop_proof")

    def test_the_name_counts_for_its_key_alone(self, world: World, holder: Holder) -> None:
        assert own_token(world, holder, proof(world, holder, jti="j")).status_code == 200
        again = proof(world, holder, jti="j", iat=int(world.clock()) - 1)
        _refused(own_token(world, holder, again), "invalid_dpop_proof")
        assert own_token(world, holder, proof(world, Holder(), jti="j")).status_code == 200

    def test_a_refused_request_uses_no_proof_up(self, world: World, holder: Holder) -> None:
        text = proof(world, holder)
        _refused(own_token(world, holder, text, scope="unknown"), "invalid_scope")
        assert own_token(world, holder, text).status_code == 200

    def test_a_replayed_code_request_ends_no_family(self, world: World, holder: Holder) -> None:
        code, text = phone_code(world), proof(world, holder)
        tokens = redeem_phone(world, code, text).json()
        _refused(redeem_phone(world, code, text), "invalid_dpop_proof")
        answer = refresh(world, tokens["refresh_token"], proof(world, holder))
        assert answer.status_code == 200, answer.text

    def test_a_replayed_refresh_ends_no_family(self, world: World, holder: Holder) -> None:
        tokens = redeem_phone(world, phone_code(world), proof(world, holder)).json()
        text = proof(world, holder)
        fresh = refresh(world, tokens["refresh_token"], text).json()
        _refused(refresh(world, tokens["refresh_token"], text), "invalid_dpop_proof")
        assert refresh(world, fresh["refresh_token"], proof(world, holder)).status_code == 200

    def test_a_spent_token_with_a_new_proof_still_ends_the_family(
        self, world: World, holder: Holder
    ) -> None:
        tokens = redeem_phone(world, phone_code(world), proof(world, holder)).json()
        fresh = refresh(world, tokens["refresh_token"], proof(world, holder)).json()
        again = refresh(world, tokens["refresh_token"], proof(world, holder))
        _refused(again, "invalid_grant")
        last = refresh(world, fresh["refresh_token"], proof(world, holder))
        _refused(last, "invalid_grant")

    def test_the_same_proof_at_once_counts_once(self, own_world: World, holder: Holder) -> None:
        text, start = proof(own_world, holder), threading.Barrier(8)

        def send(_: int) -> int:
            start.wait(10)
            return int(own_token(own_world, holder, text).status_code)

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(send, range(8))) == [200] + [400] * 7

    def test_used_proofs_are_swept(self, own_world: World, holder: Holder) -> None:
        world = own_world
        own_token(world, holder)
        counted = select(func.count()).select_from(used_assertion)
        with world.database.read() as connection:
            assert connection.execute(counted).scalar_one() == 1
        world.clock.forward(300)
        world.context.sweeper.sweep(world.context.now())
        with world.database.read() as connection:
            assert connection.execute(counted).scalar_one() == 1, "it could still be sent"
        world.clock.forward(3)
        world.context.sweeper.sweep(world.context.now())
        with world.database.read() as connection:
            assert connection.execute(counted).scalar_one() == 0


class TestRefresh:
    def test_a_public_client_s_refresh_token_needs_its_key(
        self, world: World, holder: Holder
    ) -> None:
        tokens = redeem_phone(world, phone_code(world), proof(world, holder)).json()
        for _ in range(3):
            for text in (None, proof(world, Holder())):
                _refused(refresh(world, tokens["refresh_token"], text), "invalid_grant")
            answer = refresh(world, tokens["refresh_token"], proof(world, holder))
            assert answer.status_code == 200, "the family lives, and rotation keeps the key"
            tokens = answer.json()
            assert _key_of(tokens["access_token"]) == {"jkt": holder.jkt}

    def test_a_thief_without_the_key_ends_no_family(self, world: World, holder: Holder) -> None:
        tokens = redeem_phone(world, phone_code(world), proof(world, holder)).json()
        fresh = refresh(world, tokens["refresh_token"], proof(world, holder)).json()
        for text in (None, proof(world, Holder())):
            _refused(refresh(world, tokens["refresh_token"], text), "invalid_grant")
        assert refresh(world, fresh["refresh_token"], proof(world, holder)).status_code == 200

    def test_a_proof_binds_an_unbound_refresh_token_of_a_public_client(
        self, world: World, holder: Holder
    ) -> None:
        tokens = redeem_phone(world, phone_code(world), None).json()
        assert tokens["token_type"] == "Bearer"
        bound = refresh(world, tokens["refresh_token"], proof(world, holder)).json()
        _refused(refresh(world, bound["refresh_token"], None), "invalid_grant")
        assert refresh(world, bound["refresh_token"], proof(world, holder)).status_code == 200

    def test_an_agent_s_own_refresh_token_needs_its_key(self, world: World, holder: Holder) -> None:
        code = world.code(client_id=world.agent.agent_id, redirect_uri=PHONE)
        auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
        tokens = world.redeem(
            code, auth=auth, redirect_uri=PHONE, headers={"dpop": proof(world, holder)}
        ).json()
        for text in (None, proof(world, Holder())):
            answer = refresh(world, tokens["refresh_token"], text, auth=auth)
            _refused(answer, "invalid_grant")
        answer = refresh(world, tokens["refresh_token"], proof(world, holder), auth=auth)
        assert answer.json()["token_type"] == "DPoP"


class TestCode:
    def test_a_code_that_is_bound_needs_its_key(self, world: World, holder: Holder) -> None:
        code = phone_code(world, dpop_jkt=holder.jkt)
        for text in (None, proof(world, Holder())):
            _refused(redeem_phone(world, code, text), "invalid_grant")
        assert redeem_phone(world, code, proof(world, holder)).json()["token_type"] == "DPoP"

    @pytest.mark.parametrize("jkt", ["short", "x" * 44, "é" * 43, "x" * 42 + "="])
    def test_a_malformed_thumbprint_is_told_to_the_website(self, world: World, jkt: str) -> None:
        answer = world.browser().get("/authorize", params=world.request(dpop_jkt=jkt))
        assert answer.status_code == 303
        assert "error=invalid_request" in answer.headers["location"]

    def test_an_agent_that_opens_its_sign_in_binds_it_too(
        self, world: World, holder: Holder
    ) -> None:
        body = {
            "agent_id": world.agent.agent_id,
            "agent_secret": world.agent.agent_secret.reveal(),
            **world.request(dpop_jkt="short", state=None, response_type=None),
        }
        assert world.browser().post("/api/agent-auth", json=body).status_code == 400
        body["dpop_jkt"] = holder.jkt
        assert world.browser().post("/api/agent-auth", json=body).status_code == 200

    def test_a_proof_at_par_binds_the_code(self, world: World, holder: Holder) -> None:
        par = f"{ISSUER}/par"
        pushed = self._push(world, proof(world, holder, par))
        assert pushed.status_code == 201, pushed.text
        browser = world.browser()
        query = {"client_id": world.shop.client_id, "request_uri": pushed.json()["request_uri"]}
        page = browser.get("/authorize", params=query)
        request_id = page.text.split("request_id: '")[1].split("'")[0]
        assert world.answer(request_id).status_code == 200
        code = world.poll(browser, request_id)["code"]
        _refused(world.redeem(code), "invalid_grant")
        assert world.redeem(code, headers={"dpop": proof(world, holder)}).status_code == 200

    @pytest.mark.parametrize("given", ["none", "the same", "another"])
    def test_proof_and_thumbprint_have_to_agree(
        self, world: World, holder: Holder, given: str
    ) -> None:
        jkt = {"none": None, "the same": holder.jkt, "another": Holder().jkt}[given]
        answer = self._push(world, proof(world, holder, f"{ISSUER}/par"), dpop_jkt=jkt)
        if given == "another":
            _refused(answer, "invalid_dpop_proof")
        else:
            assert answer.status_code == 201

    def test_a_proof_at_par_is_checked_and_counts_once(self, world: World, holder: Holder) -> None:
        _refused(self._push(world, proof(world, holder)), "invalid_dpop_proof")
        text = proof(world, holder, f"{ISSUER}/par")
        assert self._push(world, text).status_code == 201
        _refused(self._push(world, text), "invalid_dpop_proof")

    def _push(self, world: World, text: str, **changes: Any) -> Any:
        form = world.request(**changes)
        return world.browser().post("/par", data=form, auth=world.basic(), headers={"dpop": text})


class TestMustProve:
    def test_a_client_that_promised_proofs_gets_nothing_without(
        self, own_world: World, holder: Holder
    ) -> None:
        world = own_world
        clients.change_client(world.database, world.shop.client_id, NOW, dpop_bound=True)
        code = world.code()
        _refused(world.redeem(code), "invalid_dpop_proof")
        tokens = world.redeem(code, headers={"dpop": proof(world, holder)}).json()
        assert tokens["token_type"] == "DPoP"
        plain = refresh(world, tokens["refresh_token"], None, auth=world.basic())
        _refused(plain, "invalid_dpop_proof")

    def test_an_agent_that_promised_proofs_gets_nothing_without(
        self, own_world: World, holder: Holder
    ) -> None:
        world = own_world
        agents.change_agent(world.database, world.agent.agent_id, NOW, dpop_bound=True)
        _refused(own_token(world, None), "invalid_dpop_proof")
        assert own_token(world, holder).status_code == 200
        assert world.tokens()["token_type"] == "Bearer", "a website's tokens are the website's"

    @pytest.mark.parametrize("value", [True, False, None])
    def test_a_registration_says_it(self, own_world: World, value: bool | None) -> None:
        body = {"redirect_uris": [REDIRECT], "dpop_bound_access_tokens": value}
        if value is None:
            del body["dpop_bound_access_tokens"]
        answer = own_world.browser().post("/register", json=body).json()
        assert answer.get("dpop_bound_access_tokens") == (True if value else None)
        found = own_world.context.clients.find(answer["client_id"])
        assert found.dpop_bound is bool(value)

    @pytest.mark.parametrize("value", ["true", 1, None, []])
    def test_a_registration_that_says_something_else(self, world: World, value: Any) -> None:
        body = {"redirect_uris": [REDIRECT], "dpop_bound_access_tokens": value}
        answer = world.browser().post("/register", json=body)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


class TestNonces:
    @pytest.fixture
    def world(self, build: Build) -> World:
        return build(dpop_nonce=True)

    def test_a_nonce_is_demanded_and_the_same_code_is_good_for_it(
        self, world: World, holder: Holder
    ) -> None:
        code = world.code()
        first = world.redeem(code, headers={"dpop": proof(world, holder)})
        _refused(first, "use_dpop_nonce")
        nonce = first.headers["dpop-nonce"]
        assert len(first.headers.get_list("dpop-nonce")) == 1
        second = world.redeem(code, headers={"dpop": proof(world, holder, nonce=nonce)})
        assert second.status_code == 200
        assert second.headers["dpop-nonce"] == nonce

    @pytest.mark.parametrize("nonce", ["", "x", "é", "x" * 24, ABSENT])
    def test_what_is_no_nonce_of_ours(self, world: World, holder: Holder, nonce: Any) -> None:
        answer = own_token(world, holder, proof(world, holder, nonce=nonce))
        _refused(answer, "use_dpop_nonce")

    def test_a_nonce_lives_for_a_minute_or_two(self, world: World, holder: Holder) -> None:
        nonce = own_token(world, holder).headers["dpop-nonce"]
        world.clock.forward(60)
        fresh = own_token(world, holder, proof(world, holder, nonce=nonce))
        assert fresh.status_code == 200
        assert fresh.headers["dpop-nonce"] != nonce
        world.clock.forward(60)
        stale = own_token(world, holder, proof(world, holder, nonce=nonce))
        _refused(stale, "use_dpop_nonce")
        assert stale.headers["dpop-nonce"] not in (nonce, fresh.headers["dpop-nonce"])

    def test_a_worker_s_clock_may_be_a_minute_ahead(
        self, world: World, build: Build, holder: Holder
    ) -> None:
        ahead = build(dpop_nonce=True)
        for is_good in (True, False):
            ahead.clock.forward(60)
            nonce = own_token(ahead, holder).headers["dpop-nonce"]
            answer = own_token(world, holder, proof(world, holder, nonce=nonce))
            assert (answer.status_code == 200) is is_good

    def test_all_workers_know_all_nonces(self, build: Build, holder: Holder) -> None:
        other = build(dpop_nonce=True, secrets=(OTHER_SECRET,))
        one = build(dpop_nonce=True, secrets=(NEW_SECRET, OTHER_SECRET))
        nonce = own_token(other, holder).headers["dpop-nonce"]
        assert own_token(one, holder, proof(one, holder, nonce=nonce)).status_code == 200

    def test_another_server_s_nonce_is_none(self, world: World, holder: Holder) -> None:
        stranger = Proofs(world.context.settings, (NEW_SECRET,), world.clock)
        ((_, nonce),) = stranger.nonce_header()
        answer = own_token(world, holder, proof(world, holder, nonce=nonce))
        _refused(answer, "use_dpop_nonce")
        assert answer.headers["dpop-nonce"] != nonce

    def test_garbage_is_told_its_own_fault_first(self, world: World, holder: Holder) -> None:
        bad = proof(world, holder, sign=lambda data: b"0" * 64)
        _refused(own_token(world, holder, bad), "invalid_dpop_proof")

    def test_the_server_s_own_api_demands_it_too(self, world: World, holder: Holder) -> None:
        nonce = own_token(world, holder).headers["dpop-nonce"]
        token = own_token(world, holder, proof(world, holder, nonce=nonce)).json()["access_token"]
        url = f"{ISSUER}/api/agents/profile"
        answer = call_api(world, token, proof(world, holder, url, "GET", token=token))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('DPoP error="use_dpop_nonce"')
        nonce = answer.headers["dpop-nonce"]
        text = proof(world, holder, url, "GET", token=token, nonce=nonce)
        answer = call_api(world, token, text)
        assert (answer.status_code, answer.headers["dpop-nonce"]) == (200, nonce)

    def test_a_round_for_a_nonce_is_no_refusal_of_the_audit(
        self, world: World, holder: Holder
    ) -> None:
        own_token(world, holder)
        with world.database.read() as connection:
            refused = select(func.count()).where(audit.c.outcome == "refused")
            assert connection.execute(refused).scalar_one() == 0

    def test_bearer_tokens_need_none(self, world: World) -> None:
        assert world.tokens()["token_type"] == "Bearer"


class TestOwnApi:
    URL = f"{ISSUER}/api/agents/profile"

    @pytest.fixture
    def token(self, world: World, holder: Holder) -> str:
        return str(own_token(world, holder).json()["access_token"])

    def test_a_bound_token_beside_its_proof(self, world: World, holder: Holder, token: str) -> None:
        text = proof(world, holder, self.URL, "GET", token=token)
        answer = call_api(world, token, text)
        assert answer.json()["agent_id"] == world.agent.agent_id
        again = call_api(world, token, text)
        assert again.status_code == 401
        assert again.headers["www-authenticate"].startswith('DPoP error="invalid_dpop_proof"')

    def test_as_bearer_it_is_worth_nothing(self, world: World, holder: Holder, token: str) -> None:
        for text in (None, proof(world, holder, self.URL, "GET", token=token)):
            answer = call_api(world, token, text, scheme="Bearer")
            assert answer.status_code == 401
            bearer, offer = answer.headers.get_list("www-authenticate")
            assert bearer.startswith('Bearer error="invalid_token"')
            assert offer == OFFER

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"htm": "POST"}, "invalid_dpop_proof"),
            ({"htu": TOKEN}, "invalid_dpop_proof"),
            ({"ath": ABSENT}, "invalid_dpop_proof"),
            ({"ath": "x"}, "invalid_dpop_proof"),
            ({"iat": 1}, "invalid_dpop_proof"),
        ],
    )
    def test_the_proof_is_checked(
        self, world: World, holder: Holder, token: str, changes: dict[str, Any], error: str
    ) -> None:
        text = proof(world, holder, self.URL, "GET", token=token, **changes)
        answer = call_api(world, token, text)
        assert (answer.status_code, answer.json()["error"]) == (401, error)
        found = answer.headers["www-authenticate"]
        assert found.startswith(f'DPoP error="{error}"')
        assert found.endswith('algs="ES256 EdDSA"')

    def test_no_proof_another_key_an_unbound_token(
        self, world: World, holder: Holder, token: str
    ) -> None:
        assert call_api(world, token, None).json()["error"] == "invalid_dpop_proof"
        stranger = proof(world, Holder(), self.URL, "GET", token=token)
        assert call_api(world, token, stranger).json()["error"] == "invalid_token"
        plain = own_token(world, None).json()["access_token"]
        text = proof(world, holder, self.URL, "GET", token=plain)
        assert call_api(world, plain, text).json()["error"] == "invalid_token"
        assert call_api(world, plain, None, scheme="Bearer").status_code == 200

    def test_userinfo_in_header_and_form(self, world: World, holder: Holder) -> None:
        answer = world.redeem(world.code(), headers={"dpop": proof(world, holder)})
        token = answer.json()["access_token"]
        text = proof(world, holder, f"{ISSUER}/userinfo", "GET", token=token)
        assert call_api(world, token, text, path="/userinfo").json()["sub"] == world.agent.agent_id
        text = proof(world, holder, f"{ISSUER}/userinfo", "POST", token=token)
        answer = world.browser().post(
            "/userinfo", data={"access_token": token}, headers={"dpop": text}
        )
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")

    def test_each_of_the_agent_s_addresses_takes_it(
        self, world: World, holder: Holder, token: str
    ) -> None:
        for method, path, body in (
            ("POST", "/api/events", {"event": "click"}),
            ("POST", "/api/verify/challenge", {}),
            ("GET", "/api/verify/status", None),
        ):
            text = proof(world, holder, ISSUER + path, method, token=token)
            answer = call_api(world, token, text, path=path, method=method, json=body)
            assert answer.is_success, (path, answer.text)
            bad = call_api(world, token, None, path=path, method=method, json=body)
            assert (bad.status_code, bad.json()["error"]) == (401, "invalid_dpop_proof")

    def test_without_a_token_both_schemes_are_offered(self, world: World) -> None:
        answer = world.browser().get("/userinfo")
        assert answer.headers.get_list("www-authenticate") == ["Bearer", OFFER]

    def test_the_same_proof_at_once_counts_once(self, own_world: World, holder: Holder) -> None:
        token = own_token(own_world, holder).json()["access_token"]
        text = proof(own_world, holder, self.URL, "GET", token=token)
        start = threading.Barrier(8)

        def send(_: int) -> int:
            start.wait(10)
            return int(call_api(own_world, token, text).status_code)

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(send, range(8))) == [200] + [401] * 7


def test_introspection_tells_the_key(world: World, holder: Holder) -> None:
    tokens = redeem_phone(world, phone_code(world, resource=None), proof(world, holder)).json()
    bound = world.redeem(world.code(), headers={"dpop": proof(world, holder)}).json()
    found = world.introspect(bound["access_token"])
    assert (found["token_type"], found["cnf"]) == ("DPoP", {"jkt": holder.jkt})
    assert "cnf" not in world.introspect(bound["refresh_token"]), "it is a website's own"
    plain = world.introspect(world.tokens()["access_token"])
    assert plain["token_type"] == "Bearer"
    assert "cnf" not in plain
    with world.database.read() as connection:
        sid = jwt.decode(tokens["access_token"], options={"verify_signature": False})["sid"]
        row = select(token_family.c.dpop_jkt).where(token_family.c.id == sid)
        assert connection.execute(row).scalar_one() == holder.jkt


def test_a_client_s_document_says_it() -> None:
    body = {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
    for value in (False, True):
        values = client_metadata({**body, "dpop_bound_access_tokens": value}, ("openid",))
        columns = client_columns(**values, origin="document")
        assert Client.of_document("https://app.example/client", columns).dpop_bound is value


def test_the_metadata_name_the_algorithms(world: World) -> None:
    document = world.browser().get("/.well-known/oauth-authorization-server").json()
    assert document["dpop_signing_alg_values_supported"] == ["ES256", "EdDSA"]


def test_scripts_of_a_website_may_send_proofs_and_read_nonces(build: Build, holder: Holder) -> None:
    world = build(dpop_nonce=True)
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    preflight = world.browser().options("/token", headers=asked)
    assert "dpop" in preflight.headers["access-control-allow-headers"].split(", ")
    answer = world.redeem(world.code(), headers={"origin": ORIGIN, "dpop": proof(world, holder)})
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"DPoP-Nonce", "WWW-Authenticate"} == set(exposed)
    assert answer.headers["dpop-nonce"]
