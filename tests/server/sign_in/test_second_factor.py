"""The second factor: a code mailed to the owner."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from auth_agent.secret import Secret
from auth_agent.server.registry import agents
from auth_agent.server.storage.tables.people import second_step
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.console.test_owners import Postbox, owner
from tests.server.people import administrator, signed_in
from tests.server.world import ORIGIN, World


@pytest.fixture
def box() -> Postbox:
    return Postbox()


@pytest.fixture
def own_world(build: Build, box: Postbox) -> World:
    """Starts a server on which Ann's agent has a second factor; its mail goes into the box."""
    world = build(outbox=box)
    switch(world)
    return world


def switch(world: World, agent_id: str | None = None, *, needed: bool = True) -> bool:
    agent_id = agent_id or world.agent.agent_id
    return agents.set_second_factor(world.database, agent_id, 1, needed=needed)


def verify(world: World, request_id: str, code: str, **changes: Any) -> Any:
    body = {"request_id": request_id, "code": code, "model": "claude-test", **changes}
    return world.browser().post("/api/agent/verify-2fa", json=body)


def wrong(box: Postbox) -> str:
    return f"{(int(box.code) + 1) % 100_000_000:08d}"


def test_a_sign_in_with_a_mailed_code(own_world: World, box: Postbox) -> None:
    browser = own_world.browser()
    request_id = own_world.open(browser)
    answer = own_world.answer(request_id)
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "requires_2fa": True, "expires_in": 300}
    assert own_world.poll(browser, request_id) == {"status": "pending"}
    assert box.mails[-1].to == "ann@owner.example"
    assert "shop.example" in box.mails[-1].text
    answer = verify(own_world, request_id, box.code)
    assert answer.status_code == 200
    assert (answer.json()["success"], answer.json()["status"]) == (True, "authenticated")
    tokens = own_world.redeem(own_world.poll(browser, request_id)["code"]).json()
    claims = own_world.verified(tokens["id_token"], own_world.shop.client_id)
    assert claims["amr"] == ["pwd", "otp", "mfa"]
    assert claims["model"] == "claude-test"


def test_without_it_amr_says_so(world: World) -> None:
    claims = world.verified(world.tokens()["id_token"], world.shop.client_id)
    assert claims["amr"] == ["pwd"]


def test_both_steps_may_be_repeated(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    own_world.clock.forward(10)
    assert own_world.answer(request_id).json()["expires_in"] == 290
    assert len(box.mails) == 1
    for _ in range(2):
        assert verify(own_world, request_id, box.code).json()["status"] == "authenticated"
    assert own_world.answer(request_id).json()["status"] == "authenticated"
    assert verify(own_world, request_id, wrong(box)).status_code == 429


def test_five_guesses_for_a_request_however_many_codes(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    for _ in range(3):
        answer = verify(own_world, request_id, wrong(box))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_code")
        assert answer.json()["success"] is False
    own_world.clock.forward(30)
    own_world.answer(request_id)
    assert len(box.mails) == 2
    for _ in range(2):
        assert verify(own_world, request_id, wrong(box)).status_code == 401
    answer = verify(own_world, request_id, box.code)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    own_world.clock.forward(30)
    assert own_world.answer(request_id).status_code == 200
    assert len(box.mails) == 3
    assert verify(own_world, request_id, box.code).status_code == 429


def proven(world: World, **changes: Any) -> dict[str, Any]:
    """Returns what an agent sends beside the code, so that its guesses count as its own."""
    secret = world.agent.agent_secret.reveal()
    return {"agent_id": world.agent.agent_id, "agent_secret": secret, **changes}


def test_a_stranger_uses_up_no_guess_of_the_agents(own_world: World, box: Postbox) -> None:
    for _ in range(5):
        request_id = own_world.open(own_world.browser())
        own_world.answer(request_id)
        for _ in range(6):
            assert verify(own_world, request_id, wrong(box)).status_code in (401, 429)
    assert verify(own_world, request_id, box.code).status_code == 429
    assert verify(own_world, request_id, box.code, **proven(own_world)).status_code == 200


def test_a_stranger_keeps_no_agent_from_another_code(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    for _ in range(6):
        verify(own_world, request_id, wrong(box))
    own_world.clock.forward(300)
    assert own_world.answer(request_id).status_code == 200
    assert len(box.mails) == 2
    assert verify(own_world, request_id, box.code, **proven(own_world)).status_code == 200


def test_an_agent_has_five_guesses_for_a_request_as_well(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    for _ in range(5):
        answer = verify(own_world, request_id, wrong(box), **proven(own_world))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_code")
    assert verify(own_world, request_id, box.code, **proven(own_world)).status_code == 429


def test_an_agent_has_twenty_guesses_in_an_hour_as_well(own_world: World, box: Postbox) -> None:
    for _ in range(4):
        request_id = own_world.open(own_world.browser())
        own_world.answer(request_id)
        for _ in range(5):
            answer = verify(own_world, request_id, wrong(box), **proven(own_world))
            assert answer.status_code == 401
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    assert verify(own_world, request_id, box.code, **proven(own_world)).status_code == 429


def test_a_wrong_proof_is_refused_whatever_the_code(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    for changes in ({"agent_secret": "wrong"}, {"agent_id": "agent_none"}):
        answer = verify(own_world, request_id, box.code, **proven(own_world, **changes))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_credentials")
    rival = own_world.rival
    secret = rival.agent_secret.reveal()  # right, and of another agent
    other = {"agent_id": rival.agent_id, "agent_secret": secret}
    assert verify(own_world, request_id, box.code, **other).status_code == 409
    two = proven(own_world, agent_assertion="x")
    assert verify(own_world, request_id, box.code, **two).status_code == 400
    assert own_world.poll(own_world.browser(), request_id).get("status") != "authenticated"
    assert verify(own_world, request_id, box.code, **proven(own_world)).status_code == 200


def test_guesses_at_the_same_moment_are_five_as_well(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: verify(own_world, request_id, wrong(box)), range(12)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(401) == 5, statuses
    assert statuses.count(429) == 7


def test_twenty_guesses_an_hour_for_an_agent(own_world: World, box: Postbox) -> None:
    for _ in range(4):
        request_id = own_world.open(own_world.browser())
        own_world.answer(request_id)
        for _ in range(5):
            assert verify(own_world, request_id, wrong(box)).status_code == 401
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    assert verify(own_world, request_id, box.code).status_code == 429
    own_world.clock.forward(3_601)
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    assert verify(own_world, request_id, box.code).status_code == 200


def test_right_codes_are_not_counted(own_world: World, box: Postbox) -> None:
    for _ in range(21):
        request_id = own_world.open(own_world.browser())
        own_world.answer(request_id)
        assert verify(own_world, request_id, box.code).status_code == 200


def test_a_code_expires_and_is_mailed_again(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    first = box.code
    own_world.clock.forward(300)
    answer = verify(own_world, request_id, first)
    assert (answer.status_code, answer.json()["error"]) == (404, "code_expired")
    own_world.answer(request_id)
    assert len(box.mails) == 2
    assert verify(own_world, request_id, box.code).status_code == 200


def test_three_mails_for_a_request(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    for _ in range(6):
        assert own_world.answer(request_id).status_code == 200
        own_world.clock.forward(30)
    assert len(box.mails) == 3


def test_a_code_is_for_one_request(own_world: World, box: Postbox) -> None:
    one, other = (own_world.open(own_world.browser()) for _ in range(2))
    own_world.answer(one)
    code = box.code
    own_world.answer(other)
    if code != box.code:
        assert verify(own_world, other, code).status_code == 401
    assert verify(own_world, one, code).status_code == 200


def test_another_agent_does_not_come_between(own_world: World, box: Postbox) -> None:
    switch(own_world, own_world.careful.agent_id)
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    answer = own_world.answer(request_id, own_world.careful, expected_origin=ORIGIN)
    assert (answer.status_code, answer.json()["error"]) == (409, "already_answered")
    assert own_world.answer(request_id, own_world.rival).status_code == 200
    assert verify(own_world, request_id, box.code).status_code == 409


def test_the_secret_comes_first(own_world: World, box: Postbox) -> None:
    request_id = own_world.open(own_world.browser())
    assert own_world.answer(request_id, agent_secret="wrong").status_code == 401
    assert box.mails == []
    answer = verify(own_world, request_id, "12345678")
    assert (answer.status_code, answer.json()["success"]) == (404, False)


@pytest.mark.parametrize("body", [{}, {"request_id": "r"}, {"code": "1"}, {"code": 5}])
def test_a_missing_parameter_is_named(world: World, body: dict[str, Any]) -> None:
    answer = world.browser().post("/api/agent/verify-2fa", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_disabled_agent_does_not_finish(own_world: World, box: Postbox) -> None:

    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    assert verify(own_world, request_id, box.code).status_code == 401


def test_the_code_is_not_stored(own_world: World, box: Postbox) -> None:
    import hashlib

    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id)
    with own_world.database.read() as connection:
        row = connection.execute(select(second_step)).one()
    assert row.code_hash not in {
        hashlib.sha256(text.encode()).hexdigest() for text in (box.code, request_id + box.code)
    }
    assert box.code not in row.code_hash


def test_no_token_goes_round_the_second_factor(own_world: World, box: Postbox) -> None:
    form = {"grant_type": "client_credentials", "resource": "https://api.example", "model": "m"}
    auth = (own_world.agent.agent_id, own_world.agent.agent_secret.reveal())
    answer = own_world.browser().post("/token", data=form, auth=auth)
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    switch(own_world, needed=False)
    assert own_world.browser().post("/token", data=form, auth=auth).status_code == 200
    assert box.mails == []


def test_only_a_proved_address_gets_codes(own_world: World) -> None:
    assert not switch(own_world, own_world.rival.agent_id)


def test_a_server_without_mail_says_so(build: Build) -> None:
    world = build(issuer="https://id.example", secrets=(Secret("s" * 32),))
    switch(world)
    answer = world.answer(world.open(world.browser()))
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


def test_owner_and_administrator_switch_it(build: Build) -> None:
    box = Postbox()
    own_world = build(outbox=box)
    administrator(own_world)
    ada, ann = signed_in(own_world), owner(own_world, box)
    agent_id = own_world.agent.agent_id
    for person, area in ((ann, "owner"), (ada, "console")):
        where = f"/{area}/agent?id={agent_id}"
        for needed, shown in (("yes", "a code by mail"), ("", "off")):
            person.send(where, f"/{area}/agent/second-factor", id=agent_id, needed=needed)
            assert f"<dd>{shown}</dd>" in person.http.get(where).text
    where = f"/console/agent?id={own_world.rival.agent_id}"
    answer = ada.send(
        where, "/console/agent/second-factor", id=own_world.rival.agent_id, needed="yes"
    )
    assert answer.status_code == 409
