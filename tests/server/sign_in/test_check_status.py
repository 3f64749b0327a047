"""The poll, the way on without JavaScript, and the cancel button: who is told the code."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from auth_agent.server.registry import clients
from tests.server.conftest import Build
from tests.server.world import ISSUER, REDIRECT, World


def test_the_code_is_told_to_the_browser_that_asked_until_it_is_redeemed(world: World) -> None:
    browser, stranger = world.browser(), world.browser()
    request_id = world.open(browser)
    world.open(stranger)
    assert world.poll(browser, request_id) == {"status": "pending"}
    world.answer(request_id)
    told = world.poll(browser, request_id)
    assert told["status"] == "authenticated"
    assert told["state"] == "st+ate é&=~"
    assert told["redirect_uri"] == REDIRECT
    assert told == world.poll(browser, request_id)
    assert world.poll(stranger, request_id) == {"status": "completed"}
    assert world.poll(world.browser(), request_id) == {"status": "completed"}
    assert world.redeem(told["code"]).status_code == 200
    assert world.poll(browser, request_id) == {"status": "completed"}


def test_the_way_back_keeps_query_and_state_and_names_the_issuer(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    world.answer(request_id)
    told = world.poll(browser, request_id)
    assert told["location"].startswith(REDIRECT + "&code=")
    found = parse_qs(urlsplit(told["location"]).query)
    assert found["code"] == [told["code"]]
    assert found["state"] == ["st+ate é&=~"]
    assert found["iss"] == [ISSUER]


def test_unknown_and_expired_requests_are_errors(world: World) -> None:
    browser = world.browser()
    assert world.poll(browser, "req_unknown")["error"] == "request_not_found"
    request_id = world.open(browser)
    world.clock.forward(600)
    assert world.poll(browser, request_id)["error"] == "request_expired"


def test_a_code_ends_after_a_minute(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    world.answer(request_id)
    code = world.poll(browser, request_id)["code"]
    world.clock.forward(60)
    assert world.poll(browser, request_id)["error"] == "request_expired"
    late = world.redeem(code).json()
    assert late == {"error": "invalid_grant", "error_description": "The code has expired"}


def test_a_missing_request_id_is_400(world: World) -> None:
    assert world.browser().get("/api/check-status").status_code == 400


def test_a_client_of_the_original_kind_is_told_without_a_cookie(own_world: World) -> None:
    old = clients.add_client(
        own_world.database,
        "Old",
        ["https://old.example/cb"],
        upstream_compat=True,
        now=own_world.context.now(),
    )
    request_id = own_world.open(
        own_world.browser(), client_id=old.client_id, redirect_uri="https://old.example/cb"
    )
    own_world.answer(request_id)
    assert own_world.poll(own_world.browser(), request_id)["status"] == "authenticated"


def test_the_whole_server_can_be_of_the_original_kind(build: Build) -> None:
    world = build(upstream_compat=True)
    request_id = world.open(world.browser())
    world.answer(request_id)
    assert world.poll(world.browser(), request_id)["status"] == "authenticated"


def test_a_browser_without_javascript_goes_on_by_a_link(world: World) -> None:
    browser, stranger = world.browser(), world.browser()
    request_id = world.open(browser)
    link = f"/authorize/continue?request_id={request_id}"
    assert f'href="{link}"' in browser.get(link).text
    assert stranger.get(link).status_code == 400
    for unknown in (link + "x", "/authorize/continue?request_id=req_x", "/authorize/continue"):
        assert browser.get(unknown).status_code == 400
    world.answer(request_id)
    assert stranger.get(link).status_code == 400
    answer = browser.get(link)
    assert answer.status_code == 303
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    assert world.redeem(code).status_code == 200
    assert browser.get(link).status_code == 410


def test_the_visitor_can_cancel(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    answer = browser.post("/authorize/cancel", data={"request_id": request_id})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(REDIRECT + "&error=access_denied")
    found = parse_qs(urlsplit(answer.headers["location"]).query)
    assert found["state"] == ["st+ate é&=~"]
    assert found["iss"] == [ISSUER]
    assert world.poll(browser, request_id)["error"] == "access_denied"
    late = world.answer(request_id)
    assert (late.status_code, late.json()["error"]) == (409, "request_denied")
    again = browser.post("/authorize/cancel", data={"request_id": request_id})
    assert again.headers["location"] == answer.headers["location"]
    link = f"/authorize/continue?request_id={request_id}"
    assert browser.get(link).headers["location"] == answer.headers["location"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_website_cannot_cancel(world: World, site: str) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    answer = browser.post(
        "/authorize/cancel", data={"request_id": request_id}, headers={"sec-fetch-site": site}
    )
    assert answer.status_code == 400
    assert world.poll(browser, request_id) == {"status": "pending"}


def test_another_browser_cannot_cancel(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    answer = world.browser().post("/authorize/cancel", data={"request_id": request_id})
    assert answer.status_code == 404
    assert world.poll(browser, request_id) == {"status": "pending"}


def test_cancelling_an_answered_request_just_goes_on(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    world.answer(request_id)
    answer = browser.post("/authorize/cancel", data={"request_id": request_id})
    assert answer.headers["location"] == f"/authorize/continue?request_id={request_id}"
