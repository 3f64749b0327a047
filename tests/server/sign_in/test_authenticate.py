"""POST /api/agent/authenticate and the look at a request before it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auth_agent.server.registry import agents
from auth_agent.server.sign_in.agent import endpoints as agent_endpoints
from auth_agent.server.tokens import endings
from auth_agent.server.web.at_once import or_wait
from tests.server.world import ORIGIN, REAL_ROUNDS, World


def test_an_agent_answers_and_may_repeat_itself(world: World) -> None:
    request_id = world.open(world.browser())
    for _ in range(2):
        answer = world.answer(request_id)
        assert answer.status_code == 200
        assert answer.json()["success"] is True
        assert answer.json()["status"] == "authenticated"
    assert "code" not in answer.json()


def test_another_agent_comes_too_late(world: World) -> None:
    request_id = world.open(world.browser())
    assert world.answer(request_id).status_code == 200
    answer = world.answer(request_id, world.rival)
    assert (answer.status_code, answer.json()["error"]) == (409, "already_answered")


@pytest.mark.parametrize(
    ("quicker", "error"), [("agent", "already_answered"), ("visitor", "request_denied")]
)
def test_who_is_overtaken_while_proving_itself_is_told(
    own_world: World, monkeypatch: pytest.MonkeyPatch, quicker: str, error: str
) -> None:
    browser = own_world.browser()
    request_id = own_world.open(browser)

    def slow(*values: Any) -> str:
        or_wait()  # not on the event loop
        how = prove(*values)
        monkeypatch.undo()
        if quicker == "agent":
            assert own_world.answer(request_id).status_code == 200
        else:
            browser.post("/authorize/cancel", data={"request_id": request_id})
        return how

    prove = agent_endpoints.prove
    monkeypatch.setattr(agent_endpoints, "prove", slow)
    answer = own_world.answer(request_id, own_world.rival)
    assert (answer.status_code, answer.json()["error"]) == (409, error)


@pytest.mark.parametrize("missing", ["request_id", "agent_id", "agent_secret"])
@pytest.mark.parametrize("value", [None, "", 5, ["x"]])
def test_a_missing_parameter_is_named(world: World, missing: str, value: Any) -> None:
    answer = world.answer("req_x", **{missing: value})
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert missing in answer.json()["error_description"]


def test_an_unknown_request_is_404(world: World) -> None:
    answer = world.answer("req_unknown")
    assert (answer.status_code, answer.json()["error"]) == (404, "request_not_found")


def test_an_expired_request_is_404(world: World) -> None:
    request_id = world.open(world.browser())
    world.clock.forward(600)
    assert world.answer(request_id).status_code == 404


def test_unknown_agent_and_wrong_secret_look_alike(world: World) -> None:
    request_id = world.open(world.browser())
    wrong = world.answer(request_id, agent_secret="ags_wrong")
    unknown = world.answer(request_id, agent_id="agent_unknown")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    assert dict(wrong.headers) == dict(unknown.headers)
    assert "www-authenticate" in wrong.headers
    assert world.poll(world.browser(), request_id) == {"status": "pending"}


def test_both_cost_one_bcrypt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import bcrypt

    calls = []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *a: calls.append(a[1][:7]) or real(*a))
    request_id = world.open(world.browser())
    world.answer(request_id, agent_secret="ags_wrong")
    world.answer(request_id, agent_id="agent_unknown", agent_secret="ags_wrong")
    assert calls == [b"$2b$04$", b"$2b$04$"]
    assert REAL_ROUNDS == 10


def test_a_secret_longer_than_bcrypt_sees_is_refused(world: World) -> None:
    right = world.agent.agent_secret.reveal()
    request_id = world.open(world.browser())
    answer = world.answer(request_id, agent_secret=right + "x" * 72)
    assert answer.status_code == 400
    assert "72" in answer.json()["error_description"]


def test_a_new_secret_counts_at_once_and_the_old_one_no_more(own_world: World) -> None:
    assert own_world.answer(own_world.open(own_world.browser())).status_code == 200
    fresh = agents.rotate_agent_secret(
        own_world.database, own_world.agent.agent_id, own_world.context.now()
    )
    assert fresh
    request_id = own_world.open(own_world.browser())
    assert own_world.answer(request_id).status_code == 401
    assert own_world.answer(request_id, agent_secret=fresh.reveal()).status_code == 200


def test_a_disabled_agent_is_refused_like_a_wrong_secret(own_world: World) -> None:
    request_id = own_world.open(own_world.browser())
    wrong = own_world.answer(request_id, agent_secret="ags_wrong")
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    answer = own_world.answer(request_id)
    assert answer.status_code == 401
    assert answer.content == wrong.content


@pytest.mark.parametrize("model", ["", "  ", "x" * 201, 7, ["m"], "a\nb"])
def test_a_model_is_a_short_line(world: World, model: Any) -> None:
    answer = world.answer(world.open(world.browser()), model=model)
    assert answer.status_code == 400
    assert "model" in answer.json()["error_description"]


def test_the_registered_model_is_the_default(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    assert world.answer(request_id, model=None).status_code == 200
    tokens = world.redeem(world.poll(browser, request_id)["code"]).json()
    assert world.userinfo(tokens["access_token"]).json()["model"] == "registered-model"
    assert world.answer(world.open(browser), world.rival, model=None).status_code == 400


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", ORIGIN + "/", ORIGIN + ":443", "http://shop.example", "", 5],
)
def test_an_approval_for_another_website_is_not_given(world: World, origin: Any) -> None:
    answer = world.answer(world.open(world.browser()), expected_origin=origin)
    assert (answer.status_code, answer.json()["error"]) == (409, "origin_mismatch")


def test_the_expected_website_is_accepted(world: World) -> None:
    answer = world.answer(world.open(world.browser()), expected_origin=ORIGIN)
    assert answer.status_code == 200


def test_a_careful_agent_has_to_name_the_website(world: World) -> None:
    request_id = world.open(world.browser())
    answer = world.answer(request_id, world.careful)
    assert answer.status_code == 400
    assert "expected_origin" in answer.json()["error_description"]
    assert world.answer(request_id, world.careful, expected_origin=ORIGIN).status_code == 200


def test_an_agent_gives_only_its_own_scopes(own_world: World) -> None:
    narrow = agents.add_agent(
        own_world.database,
        "n@owner.example",
        model="m",
        scopes=["profile"],
        now=own_world.context.now(),
    )
    browser = own_world.browser()
    request_id = own_world.open(browser)
    assert own_world.answer(request_id, narrow).status_code == 200
    tokens = own_world.redeem(own_world.poll(browser, request_id)["code"]).json()
    assert tokens["scope"] == "openid profile"


def test_an_agent_can_look_before_it_answers(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser, scope="openid email")
    answer = world.browser().get(f"/api/auth-requests/{request_id}")
    assert answer.json() == {
        "request_id": request_id,
        "client_id": world.shop.client_id,
        "client_name": "The Shop",
        "redirect_host": "shop.example",
        "redirect_origin": ORIGIN,
        "scope": "openid email",
        "expires_in": 600,
        "status": "pending",
    }
    world.answer(request_id)
    assert world.browser().get(f"/api/auth-requests/{request_id}").json()["status"] == (
        "authenticated"
    )
    assert world.browser().get("/api/auth-requests/req_unknown").status_code == 404
    world.clock.forward(601)
    assert world.browser().get(f"/api/auth-requests/{request_id}").status_code == 404


def test_only_json_is_taken(world: World) -> None:
    answer = world.browser().post("/api/agent/authenticate", data={"request_id": "x"})
    assert answer.status_code == 415
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"request_id": NaN}',
        b'{"request_id": "a", "request_id": "b"}',
        b'{"request_id": "\\u0000"}',
        b'{"request_id": "\\ud800"}',
        b'{"request_id": "\xff"}',
        b"[" * 60_000,
        json.dumps({"request_id": "x" * 9_000}).encode(),
    ],
)
def test_garbage_is_400(world: World, body: bytes) -> None:
    answer = world.browser().post(
        "/api/agent/authenticate", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
