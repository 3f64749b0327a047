"""POST /bc-authorize and its grant (CIBA Core 1.0, poll mode): an agent asks its own owner."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from sqlalchemy import select

from auth_agent.protocol.details import GOOD_FOR
from auth_agent.protocol.dpop.making import make_proof, new_proof_key
from auth_agent.server.approval import questions, state
from auth_agent.server.oauth.backchannel import INTERVAL
from auth_agent.server.registry import agents
from auth_agent.server.registry.client import CIBA
from auth_agent.server.security.credentials import digest
from auth_agent.server.sign_in.owner import approve_question, deny_question
from auth_agent.server.storage.tables.approvals import backchannel_request, owner_question
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.world import ISSUER, World

ANN = "ann@owner.example"
SHOP = "https://shop.example"
ACT = {"type": "payment", "title": "Pay 45.00 EUR to Corner Shop", "amount": "45.00"}


@pytest.fixture
def own(build: Build) -> World:
    return build()


def ask(world: World, who: Any = None, /, proof: str | None = None, **changes: Any) -> Any:
    good = {
        "scope": "openid agent",
        "resource": SHOP,
        "binding_message": "order 7",
        "authorization_details": json.dumps([ACT]),
    }
    form = {name: value for name, value in {**good, **changes}.items() if value is not None}
    headers = {} if proof is None else {"dpop": proof}
    auth = _basic(who or world.agent)
    return world.browser().post("/bc-authorize", data=form, auth=auth, headers=headers)


def asked(world: World, who: Any = None, /, **changes: Any) -> str:
    answer = ask(world, who, **changes)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["auth_req_id"])


def poll(world: World, auth_req_id: str, who: Any = None, **changes: Any) -> Any:
    form = {"grant_type": CIBA, "auth_req_id": auth_req_id, **changes}
    return world.browser().post("/token", data=form, auth=_basic(who or world.agent))


def error_of(answer: Any) -> str:
    assert answer.status_code == 400, answer.text
    assert "access_token" not in answer.text
    return str(answer.json()["error"])


def question_of(world: World, auth_req_id: str) -> Any:
    with world.database.read() as connection:
        return questions.find_of_request(connection, digest(auth_req_id))


def approve(world: World, auth_req_id: str, how: str = "passkey") -> None:
    with world.database.begin() as connection:
        by = state.Answered(by=ANN, how=how)
        approve_question(world.context, connection, question_of(world, auth_req_id), by)


def deny(world: World, auth_req_id: str) -> None:
    with world.database.begin() as connection:
        deny_question(world.context, connection, question_of(world, auth_req_id), ANN)


def _basic(who: Any) -> tuple[str, str]:
    if hasattr(who, "agent_id"):
        return who.agent_id, who.agent_secret.reveal()
    return who.client_id, who.client_secret.reveal()


def test_the_owner_approves_and_the_agent_gets_its_token_once(own: World) -> None:
    answer = ask(own)
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert (told["expires_in"], told["interval"]) == (600, INTERVAL)
    auth_req_id = told["auth_req_id"]
    assert error_of(poll(own, auth_req_id)) == "authorization_pending"
    question = question_of(own, auth_req_id)
    assert (question.kind, question.owner, question.message) == ("ciba", ANN, "order 7")
    assert (question.website, question.origin) == ("shop.example", SHOP)
    assert json.loads(question.act) == [ACT]
    approve(own, auth_req_id)
    own.clock.forward(3)
    tokens = poll(own, auth_req_id)
    assert tokens.status_code == 200, tokens.text
    body = tokens.json()
    assert "refresh_token" not in body
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == GOOD_FOR
    (granted,) = body["authorization_details"]
    now = own.context.now()
    assert granted == {**ACT, "approval_id": question.id, "approved_at": now - 3}
    access = own.verified(body["access_token"], SHOP)
    identity = own.verified(body["id_token"], own.agent.agent_id)
    for claims in (access, identity):
        assert claims["sub"] == own.agent.agent_id
        assert claims["acr"] == "urn:auth-agent:owner"
        assert claims["auth_time"] == now - 3
        assert claims["amr"] == ["pwd", "user", "mfa"]
        assert claims["authorization_details"] == [granted]
    shown = own.introspect(body["access_token"])
    assert shown["active"] is True
    assert shown["authorization_details"] == [granted]
    assert (shown["acr"], shown["auth_time"]) == ("urn:auth-agent:owner", now - 3)
    assert error_of(poll(own, auth_req_id)) == "invalid_grant"


def test_two_polls_race_for_one_token(own: World) -> None:
    auth_req_id = asked(own)
    approve(own, auth_req_id)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: poll(own, auth_req_id), range(6)))
    errors = sorted(answer.json().get("error", "") for answer in answers)
    assert errors == ["", *["invalid_grant"] * 5]


def test_who_polls_too_fast_has_to_wait_longer(own: World) -> None:
    auth_req_id = asked(own)
    assert error_of(poll(own, auth_req_id)) == "authorization_pending"
    assert error_of(poll(own, auth_req_id)) == "slow_down"
    own.clock.forward(INTERVAL)
    assert error_of(poll(own, auth_req_id)) == "slow_down"  # ten seconds by now
    own.clock.forward(INTERVAL + 10)
    assert error_of(poll(own, auth_req_id)) == "authorization_pending"
    approve(own, auth_req_id)
    assert poll(own, auth_req_id).status_code == 200  # an answer waits for no interval


def test_denied_unanswered_and_late(own: World) -> None:
    denied, late, unanswered = asked(own), asked(own), asked(own, requested_expiry="60")
    deny(own, denied)
    assert error_of(poll(own, denied)) == "access_denied"
    own.clock.forward(60)
    assert error_of(poll(own, unanswered)) == "expired_token"
    approve(own, late)
    own.clock.forward(state.TAKE_WITHIN)
    assert error_of(poll(own, late)) == "expired_token"


def test_an_agent_that_is_disabled_gets_nothing(own: World) -> None:
    waiting, approved = asked(own), asked(own)
    approve(own, approved)
    endings.disable_agent(own.database, own.agent.agent_id, own.context.now())
    for auth_req_id in (waiting, approved):
        answer = poll(own, auth_req_id)
        assert answer.status_code == 401
        assert answer.json()["error"] == "invalid_client"
    agents.change_agent(own.database, own.agent.agent_id, own.context.now())
    assert question_of(own, waiting).answer == "withdrawn"


def test_another_agents_request_is_unknown(own: World) -> None:
    auth_req_id = asked(own)
    approve(own, auth_req_id)
    for who in (own.careful, own.rival):
        assert error_of(poll(own, auth_req_id, who)) == "invalid_grant"
    assert error_of(poll(own, "bcr_unknown")) == "invalid_grant"
    assert error_of(poll(own, auth_req_id, own.shop)) == "unauthorized_client"
    assert poll(own, auth_req_id).status_code == 200


def test_the_secret_of_a_request_is_not_stored(own: World) -> None:
    auth_req_id = asked(own)
    with own.database.read() as connection:
        for table in (owner_question, backchannel_request, audit):
            assert auth_req_id not in str(connection.execute(select(table)).all())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": None}, "invalid_scope"),
        ({"scope": "agent"}, "invalid_scope"),
        ({"login_hint": "bob@owner.example"}, "unknown_user_id"),
        ({"login_hint": "nobody@owner.example"}, "unknown_user_id"),
        ({"id_token_hint": "e30.e30.e30"}, "unknown_user_id"),
        ({"login_hint": ANN, "id_token_hint": "x"}, "invalid_request"),
        ({"login_hint": ANN, "login_hint_token": "x"}, "invalid_request"),
        ({"login_hint_token": "x"}, "invalid_request"),
        ({"request": "e30.e30."}, "invalid_request"),
        ({"user_code": "1"}, "invalid_request"),
        ({"binding_message": "x" * 61}, "invalid_binding_message"),
        ({"binding_message": "two\nlines"}, "invalid_binding_message"),
        ({"binding_message": "\u202eabc"}, "invalid_binding_message"),
        ({"requested_expiry": "0"}, "invalid_request"),
        ({"requested_expiry": "-5"}, "invalid_request"),
        ({"requested_expiry": "soon"}, "invalid_request"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type":"x"}]'}, "invalid_authorization_details"),
        ({"resource": "http://shop.example"}, "invalid_target"),
        ({"resource": [SHOP, "https://other.example"]}, "invalid_target"),
        ({"model": "a\nb"}, "invalid_request"),
    ],
)
def test_a_wrong_request_is_refused(own: World, changes: dict[str, Any], error: str) -> None:
    assert error_of(ask(own, **changes)) == error
    with own.database.read() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM owner_question").scalar()
    assert count == 0


def test_the_owner_may_be_named_and_nobody_else(own: World) -> None:
    assert ask(own, login_hint="Ann@Owner.Example").status_code == 200
    first = asked(own)
    approve(own, first)
    token = poll(own, first).json()["id_token"]
    assert ask(own, id_token_hint=token).status_code == 200
    refused = ask(own, own.careful, id_token_hint=token)
    assert error_of(refused) == "unknown_user_id"


def test_only_agents_that_prove_themselves_ask(own: World) -> None:
    assert error_of(ask(own, own.shop)) == "unauthorized_client"
    browser = own.browser()
    public = browser.post("/bc-authorize", data={"scope": "openid", "client_id": "x"})
    assert (public.status_code, public.json()["error"]) == (401, "invalid_client")
    wrong = browser.post(
        "/bc-authorize", data={"scope": "openid"}, auth=(own.agent.agent_id, "ags_wrong")
    )
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    alone = browser.post("/bc-authorize", data={"scope": "openid", "client_id": own.agent.agent_id})
    assert (alone.status_code, alone.json()["error"]) == (401, "invalid_client")


def test_an_agent_without_a_confirmed_owner_cannot_ask(own: World) -> None:
    answer = ask(own, own.rival)
    assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")


def test_no_owner_is_asked_in_vain_for_an_agent_that_cannot_take_the_token(own: World) -> None:
    now = own.context.now()
    assert agents.change_agent(own.database, own.agent.agent_id, now, dpop_bound=True)
    key, at = new_proof_key(), f"{ISSUER}/bc-authorize"

    def proof(url: str = at, method: str = "POST", jti: str = "one", **more: Any) -> str:
        return make_proof(key, method=method, url=url, now=now, jti=jti, **more)

    bad = [None, "x", proof(f"{ISSUER}/token"), proof(method="GET"), proof()[:-2] + "AA"]
    for one in [*bad, f"{proof()}, {proof(jti='two')}"]:
        assert error_of(ask(own, proof=one)) == "invalid_dpop_proof", one
    with own.database.read() as connection:
        assert questions.list_waiting(connection, ANN, now) == []
    auth_req_id = asked(own, proof=proof())
    assert error_of(ask(own, proof=proof())) == "invalid_dpop_proof", "it counts once"
    approve(own, auth_req_id)
    assert error_of(poll(own, auth_req_id)) == "invalid_dpop_proof"


def test_a_question_is_repeated_with_the_nonce(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.context.proofs, "_keys", [b"k" * 32])
    key, now, at = new_proof_key(), own.context.now(), f"{ISSUER}/bc-authorize"
    first = ask(own, proof=make_proof(key, method="POST", url=at, now=now, jti="1"))
    assert error_of(first) == "use_dpop_nonce"
    nonce = first.headers["dpop-nonce"]
    proof = make_proof(key, method="POST", url=at, now=now, jti="2", nonce=nonce)
    second = ask(own, proof=proof)
    assert (second.status_code, second.headers["dpop-nonce"]) == (200, nonce)
    assert second.headers["cache-control"] == "no-store"


def test_a_flood_of_questions_is_stopped(own: World) -> None:
    for _ in range(state.MOST_OPEN):
        asked(own)
    answer = ask(own)
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_requests")
    assert int(answer.headers["retry-after"]) > 0
    assert ask(own, own.careful).status_code == 200


def test_the_time_that_is_asked_for_is_bounded(own: World) -> None:
    for asked_for, given in (("1", 30), ("31", 31), ("999999999", 3_600)):
        assert ask(own, own.careful, requested_expiry=asked_for).json()["expires_in"] == given


def test_a_sign_in_without_an_act_lives_as_long_as_others(own: World) -> None:
    auth_req_id = asked(own, authorization_details=None, binding_message=None, resource=None)
    approve(own, auth_req_id, how="mail")
    body = poll(own, auth_req_id).json()
    assert "authorization_details" not in body
    assert body["expires_in"] == own.context.settings.access_token_lifetime
    claims = own.verified(body["access_token"], ISSUER)
    assert claims["acr"] == "urn:auth-agent:owner"
    assert claims["amr"] == ["pwd", "user", "otp"]


def test_scopes_are_narrowed_to_what_the_agent_may_have(own: World) -> None:
    now = own.context.now()
    assert agents.change_agent(own.database, own.agent.agent_id, now, scopes=["profile"])
    auth_req_id = asked(own, scope="openid profile email offline_access unknown")
    approve(own, auth_req_id)
    assert poll(own, auth_req_id).json()["scope"] == "openid profile"


def test_the_token_of_an_act_ends_with_its_use(own: World) -> None:
    auth_req_id = asked(own)
    approve(own, auth_req_id)
    token = poll(own, auth_req_id).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == GOOD_FOR
    own.clock.forward(GOOD_FOR)
    assert own.introspect(token) == {"active": False}


def test_finished_requests_are_forgotten(own: World) -> None:
    asked(own)
    own.clock.forward(3 * 86_400)
    own.context.sweeper.sweep(own.context.now())
    with own.database.read() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM backchannel_request").scalar()
    assert count == 0


def test_the_metadata_says_so(world: World) -> None:
    found = world.browser().get("/.well-known/openid-configuration").json()
    assert found["backchannel_authentication_endpoint"] == f"{ISSUER}/bc-authorize"
    assert found["backchannel_token_delivery_modes_supported"] == ["poll"]
    assert found["backchannel_user_code_parameter_supported"] is False
    assert CIBA in found["grant_types_supported"]


def test_a_poll_is_no_refusal_and_a_wrong_one_is(own: World) -> None:
    auth_req_id = asked(own)
    for _ in range(2):
        poll(own, auth_req_id)
    refused = select(audit.c.id).where(audit.c.outcome == "refused")
    with own.database.read() as connection:
        assert connection.execute(refused).all() == []
    poll(own, "bcr_unknown")
    with own.database.read() as connection:
        assert len(connection.execute(refused).all()) == 1


def own_token(world: World, scope: str = "agent", resource: str = SHOP) -> Any:
    """Returns the agent's own token, by client credentials."""
    form = {"grant_type": "client_credentials", "scope": scope, "resource": resource}
    return world.browser().post("/token", data=form, auth=_basic(world.agent))


@pytest.mark.parametrize(("approval", "always"), [("first", False), ("always", True)])
def test_client_credentials_do_not_get_round_the_owner(
    own: World, approval: str, always: bool
) -> None:
    agent_id, now = own.agent.agent_id, own.context.now()
    assert own_token(own).status_code == 200
    assert agents.change_agent(own.database, agent_id, now, approval=approval)
    refused = own_token(own)
    assert error_of(refused) == "unauthorized_client"
    assert "/bc-authorize" in refused.json()["error_description"]
    first = asked(own)  # an act says nothing about others
    approve(own, first)
    assert error_of(own_token(own)) == "unauthorized_client"
    auth_req_id = asked(own, authorization_details=None)
    with own.database.begin() as connection:
        by = state.Answered(by=ANN, how="passkey")
        question = question_of(own, auth_req_id)
        approve_question(own.context, connection, question, by, always=always)
    assert own_token(own).status_code == 200
    assert error_of(own_token(own, resource=f"{SHOP}/other")) == "unauthorized_client"
    assert error_of(own_token(own, scope="agent email")) == "unauthorized_client"


def test_an_approval_of_once_is_none_for_client_credentials_under_always(own: World) -> None:
    agent_id, now = own.agent.agent_id, own.context.now()
    assert agents.change_agent(own.database, agent_id, now, approval="always")
    approve(own, asked(own, authorization_details=None))
    assert error_of(own_token(own)) == "unauthorized_client"
