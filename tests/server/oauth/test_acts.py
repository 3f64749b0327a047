"""Tokens of approved acts: what a website's tokens say once the agent's owner has said yes."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from auth_agent.protocol.details import GOOD_FOR, bare
from auth_agent.server.approval import questions, state
from auth_agent.server.sign_in.owner import approve_question
from tests.server.conftest import Build
from tests.server.world import UPSTREAM_PATTERN, World

ANN = "ann@owner.example"
ACT = {"type": "payment", "title": "Pay 45.00 EUR to Corner Shop", "amount": "45.00"}
OTHER = {**ACT, "amount": "4.50"}


@pytest.fixture
def own(build: Build) -> World:
    return build()


def code_of(world: World, how: str = "device passkey", **changes: Any) -> tuple[str, Any]:
    """Returns the code of a pushed and approved request, and the question to the owner."""
    form = world.request(**{"authorization_details": json.dumps([ACT, OTHER]), **changes})
    pushed = world.browser().post("/par", data=form, auth=world.basic()).json()
    browser = world.browser()
    page = browser.get(
        "/authorize",
        params={"client_id": world.shop.client_id, "request_uri": pushed["request_uri"]},
    )
    found = UPSTREAM_PATTERN.search(page.text)
    assert found
    assert world.answer(found[1]).json()["status"] == "owner_approval_pending"
    world.clock.forward(20)
    with world.database.begin() as connection:
        question = questions.find_of_request(connection, found[1])
        by = state.Answered(by=ANN, how=how)
        approve_question(world.context, connection, question, by)
    return str(world.poll(browser, found[1])["code"]), question


def test_every_token_says_what_the_owner_approved(own: World) -> None:
    code, question = code_of(own)
    approved_at = own.context.now()
    own.clock.forward(5)
    answer = own.redeem(code)
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    added = {"approval_id": question.id, "approved_at": approved_at}
    granted = [{**ACT, **added}, {**OTHER, **added}]
    assert tokens["authorization_details"] == granted
    shown = own.introspect(tokens["access_token"])
    for claims in (
        own.verified(tokens["access_token"], "https://shop.example"),
        own.verified(tokens["id_token"], own.shop.client_id),
        shown,
    ):
        assert claims["authorization_details"] == granted
        assert claims["acr"] == "urn:auth-agent:owner"
        assert claims["auth_time"] == approved_at
        assert claims["amr"] == ["pwd", "user", "hwk", "mfa"]
    refreshed = own.refresh(tokens["refresh_token"]).json()
    assert refreshed["authorization_details"] == granted
    assert own.introspect(refreshed["refresh_token"])["authorization_details"] == granted


def test_a_token_request_takes_less_and_never_more(own: World) -> None:
    code, _ = code_of(own)
    more = own.redeem(code, authorization_details=json.dumps([{**ACT, "amount": "450.00"}]))
    assert (more.status_code, more.json()["error"]) == (400, "invalid_authorization_details")
    wrong = own.redeem(code, authorization_details="{}")
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_authorization_details")
    tokens = own.redeem(code, authorization_details=json.dumps([OTHER])).json()
    assert [act["amount"] for act in tokens["authorization_details"]] == ["4.50"]
    claims = own.verified(tokens["access_token"], "https://shop.example")
    assert claims["authorization_details"] == tokens["authorization_details"]
    widened = own.refresh(
        tokens["refresh_token"], authorization_details=json.dumps([{**ACT, "amount": "1"}])
    )
    assert widened.json()["error"] == "invalid_authorization_details"


def test_an_act_for_another_place_stays_out_of_the_token(own: World) -> None:
    here = {**ACT, "locations": ["https://shop.example"]}
    there = {**OTHER, "locations": ["https://api.shop.example"]}
    code, _ = code_of(own, authorization_details=json.dumps([here, there]))
    tokens = own.redeem(code).json()
    assert [act["amount"] for act in tokens["authorization_details"]] == ["45.00"]


def test_without_an_approval_no_token_speaks_of_one(world: World) -> None:
    tokens = world.tokens()
    assert "authorization_details" not in tokens
    for claims in (
        world.verified(tokens["access_token"], "https://shop.example"),
        world.introspect(tokens["access_token"]),
    ):
        assert not {"acr", "authorization_details"} & set(claims)
    asked = world.redeem(world.code(), authorization_details=json.dumps([ACT]))
    assert asked.json()["error"] == "invalid_authorization_details"


def test_an_approved_sign_in_without_an_act_says_so(own: World) -> None:
    code, _ = code_of(
        own, how="passkey", authorization_details=None, acr_values="urn:auth-agent:owner"
    )
    tokens = own.redeem(code).json()
    assert "authorization_details" not in tokens
    claims = own.verified(tokens["id_token"], own.shop.client_id)
    assert claims["acr"] == "urn:auth-agent:owner"


def test_a_refresh_token_outlives_the_acts(own: World) -> None:
    code, _ = code_of(own)
    tokens = own.redeem(code).json()
    own.clock.forward(GOOD_FOR - 1)
    tokens = own.refresh(tokens["refresh_token"]).json()
    assert len(tokens["authorization_details"]) > 0
    own.clock.forward(1)
    asked = json.dumps([bare(act) for act in tokens["authorization_details"]])
    answer = own.refresh(tokens["refresh_token"], authorization_details=asked)
    assert answer.json()["error"] == "invalid_authorization_details"
    tokens = own.refresh(tokens["refresh_token"]).json()
    assert "authorization_details" not in tokens
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert "authorization_details" not in claims
    assert claims["acr"] == "urn:auth-agent:owner"
    assert claims["auth_time"] == own.context.now() - GOOD_FOR
