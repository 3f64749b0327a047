"""POST /par (RFC 9126), and what /authorize makes of a request that was pushed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from auth_agent.server.sign_in.authorization.pushed import LIFETIME, PREFIX
from tests.server.conftest import Build
from tests.server.world import ISSUER, REDIRECT, UPSTREAM_PATTERN, World

ACT = {"type": "payment", "title": "Pay 45.00 EUR to Corner Shop", "amount": "45.00"}


def _push(world: World, auth: Any = None, /, **changes: Any) -> Any:
    form = world.request(**changes)
    return world.browser().post("/par", data=form, auth=auth or world.basic())


def _uri(world: World, **changes: Any) -> str:
    answer = _push(world, **changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["request_uri"])


def _open(world: World, uri: str, browser: Any = None, **more: str) -> Any:
    parameters = {"client_id": world.shop.client_id, "request_uri": uri, **more}
    return (browser or world.browser()).get("/authorize", params=parameters)


def test_a_pushed_request_ends_in_tokens(world: World) -> None:
    answer = _push(world)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-cache, no-store"
    told = answer.json()
    assert set(told) == {"request_uri", "expires_in"}
    assert told["request_uri"].startswith(PREFIX)
    assert len(told["request_uri"]) >= len(PREFIX) + 22  # 128 bits
    assert told["expires_in"] == LIFETIME
    browser = world.browser()
    page = _open(world, told["request_uri"], browser)
    assert page.status_code == 200, page.text
    found = UPSTREAM_PATTERN.search(page.text)
    assert found
    assert world.answer(found[1]).status_code == 200
    done = world.poll(browser, found[1])
    assert done["state"] == world.request()["state"]
    assert world.redeem(done["code"]).status_code == 200


def test_what_stands_in_the_url_beside_it_is_ignored(world: World) -> None:
    uri = _uri(world, scope="openid")
    page = _open(world, uri, scope="openid email", redirect_uri="https://evil.example/", state="x")
    assert page.status_code == 200
    found = UPSTREAM_PATTERN.search(page.text)
    assert found
    told = world.browser().get(f"/api/auth-requests/{found[1]}").json()
    assert told["scope"] == "openid"
    assert told["redirect_origin"] == "https://shop.example"


def test_another_clients_request_cannot_be_opened(world: World) -> None:
    uri = _uri(world)
    answer = world.browser().get(
        "/authorize", params={"client_id": world.other.client_id, "request_uri": uri}
    )
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert _open(world, uri).status_code == 200


def test_a_request_opens_one_sign_in_in_one_browser(world: World) -> None:
    uri, browser = _uri(world), world.browser()
    first, again = _open(world, uri, browser), _open(world, uri, browser)
    ids = [UPSTREAM_PATTERN.search(page.text) for page in (first, again)]
    assert ids[0]
    assert ids[1]
    assert ids[0][1] == ids[1][1]
    stranger = _open(world, uri)
    assert stranger.status_code == 400
    assert "location" not in stranger.headers
    assert "req_" not in stranger.text
    world.answer(ids[0][1])
    over = _open(world, uri, browser)
    assert over.status_code == 303
    assert over.headers["location"].startswith("/authorize/continue?")


def test_a_request_lives_for_a_minute(world: World) -> None:
    uri = _uri(world)
    world.clock.forward(LIFETIME)
    answer = _open(world, uri)
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("uri", [PREFIX, PREFIX + "x", PREFIX + "A" * 43, PREFIX + "A" * 5_000])
def test_an_unknown_request_is_shown_as_a_mistake(world: World, uri: str) -> None:
    answer = _open(world, uri)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_repeated_parameter_is_shown_as_a_mistake(world: World) -> None:
    uri = _uri(world)
    answer = world.browser().get(
        "/authorize", params={"client_id": world.shop.client_id, "request_uri": [uri, uri]}
    )
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_guesses_are_limited(build: Build) -> None:
    world = build(limit_unknown_requests=3)
    answers = [_open(world, PREFIX + "A" * 43).status_code for _ in range(5)]
    assert answers == [400, 400, 400, 429, 429]


def test_two_browsers_that_are_equally_quick_open_one_sign_in(build: Build) -> None:
    world = build()
    uri = _uri(world)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda browser: _open(world, uri, browser), _browsers(world, 6)))
    assert sorted(answer.status_code for answer in answers) == [200, *[400] * 5]


def _browsers(world: World, count: int) -> list[Any]:
    return [world.browser() for _ in range(count)]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"request_uri": PREFIX + "x"}, "invalid_request"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"prompt": "none"}, "interaction_required"),
        ({"resource": "https://api.other.example"}, "invalid_target"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "\u0661"}, "invalid_request"),
        ({"state": ["a", "b"]}, "invalid_request"),
        ({"authorization_details": "x"}, "invalid_authorization_details"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"authorization_details": '[{"type":"payment"}]'}, "invalid_authorization_details"),
        (
            {
                "authorization_details": json.dumps([ACT]),
                "resource": ["https://api.shop.example", "https://shop.example"],
            },
            "invalid_target",
        ),
    ],
)
def test_a_wrong_request_is_an_error_in_json(
    world: World, changes: dict[str, Any], error: str
) -> None:
    answer = _push(world, **changes)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == error
    assert "location" not in answer.headers


def test_a_client_proves_itself_as_at_the_token_endpoint(world: World) -> None:
    wrong = world.browser().post(
        "/par", data=world.request(), auth=(world.shop.client_id, "cs_wrong")
    )
    assert wrong.status_code == 401
    assert wrong.json()["error"] == "invalid_client"
    assert "www-authenticate" in wrong.headers
    for changes in ({}, {"client_id": "client_unknown"}):
        alone = world.browser().post("/par", data=world.request(**changes))
        assert (alone.status_code, alone.json()["error"]) == (401, "invalid_client")
    other = _push(world, world.basic(world.other))
    assert other.status_code in (400, 401)
    secret = world.basic()[1]
    posted = world.browser().post("/par", data={**world.request(), "client_secret": secret})
    assert posted.status_code == 201
    twice = world.browser().post(
        "/par", data={**world.request(), "client_secret": secret}, auth=world.basic()
    )
    assert (twice.status_code, twice.json()["error"]) == (400, "invalid_request")


def test_no_secret_is_stored(build: Build) -> None:
    world = build()
    secret = world.basic()[1]
    form = {**world.request(), "client_secret": secret}
    uri = world.browser().post("/par", data=form).json()["request_uri"]
    with world.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT id, parameters FROM pushed_request").all()
    (row,) = rows
    assert secret not in str(row)
    assert uri.removeprefix(PREFIX) not in str(row)


def test_a_public_client_pushes_with_its_id_alone(world: World) -> None:
    form = world.request(client_id=world.phone.client_id, redirect_uri="http://127.0.0.1:5/cb")
    answer = world.browser().post("/par", data=form)
    assert answer.status_code == 201, answer.text
    page = world.browser().get(
        "/authorize",
        params={
            "client_id": world.phone.client_id,
            "request_uri": answer.json()["request_uri"],
        },
    )
    assert page.status_code == 200


def test_only_post_is_served(world: World) -> None:
    assert world.browser().get("/par").status_code == 405
    large = world.browser().post(
        "/par", data={**world.request(), "x": "y" * 70_000}, auth=world.basic()
    )
    assert large.status_code == 413


def test_too_many_pushed_requests_are_refused_and_forgotten(build: Build) -> None:
    world = build(limit_pending=2)
    answers = [_push(world) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["retry-after"] == str(LIFETIME)
    world.clock.forward(LIFETIME)
    assert _push(world).status_code == 201
    world.clock.forward(7_200)
    world.context.sweeper.sweep(world.context.now())
    with world.database.read() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM pushed_request").scalar()
    assert count == 0


def test_browser_clients_may_push(world: World) -> None:
    answer = world.browser().options(
        "/par",
        headers={"origin": "https://shop.example", "access-control-request-method": "POST"},
    )
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"


def test_the_metadata_says_so(world: World) -> None:
    found = world.browser().get("/.well-known/oauth-authorization-server").json()
    assert found["pushed_authorization_request_endpoint"] == f"{ISSUER}/par"
    assert found["require_pushed_authorization_requests"] is False
    assert found["request_uri_parameter_supported"] is False
    assert found["acr_values_supported"] == ["urn:auth-agent:owner"]
    assert found["authorization_details_types_supported"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"acr_values": "urn:x urn:auth-agent:owner"}, {"needs_owner": True}),
        ({"acr_values": "urn:x"}, {}),
        ({"prompt": "login consent"}, {"needs_owner": True}),
        ({"prompt": "login"}, {}),
        (
            {"authorization_details": json.dumps([ACT])},
            {"needs_owner": True, "authorization_details": [ACT]},
        ),
    ],
)
@pytest.mark.parametrize("is_pushed", [False, True])
def test_an_agent_sees_what_is_asked(
    world: World, changes: dict[str, Any], expected: dict[str, Any], is_pushed: bool
) -> None:
    page = (
        _open(world, _uri(world, **changes))
        if is_pushed
        else world.browser().get("/authorize", params=world.request(**changes))
    )
    found = UPSTREAM_PATTERN.search(page.text)
    assert found
    told = world.browser().get(f"/api/auth-requests/{found[1]}").json()
    names = ("needs_owner", "authorization_details")
    assert {name: told[name] for name in names if name in told} == expected


def test_wrong_details_go_back_to_the_website_from_authorize(world: World) -> None:
    answer = world.browser().get(
        "/authorize", params=world.request(authorization_details='[{"type":"x"}]')
    )
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(REDIRECT)
    found = parse_qs(urlsplit(answer.headers["location"]).query)
    assert found["error"] == ["invalid_authorization_details"]


def test_a_server_that_is_told_types_refuses_others(build: Build) -> None:
    world = build(authorization_details_types=("payment",))
    found = world.browser().get("/.well-known/openid-configuration").json()
    assert found["authorization_details_types_supported"] == ["payment"]
    assert _push(world, authorization_details=json.dumps([ACT])).status_code == 201
    other = _push(world, authorization_details=json.dumps([{**ACT, "type": "refund"}]))
    assert other.json()["error"] == "invalid_authorization_details"


def test_an_agent_alone_grants_no_act_with_client_credentials(world: World) -> None:
    form = {
        "grant_type": "client_credentials",
        "resource": "https://api.shop.example",
        "authorization_details": json.dumps([ACT]),
    }
    auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
    answer = world.browser().post("/token", data=form, auth=auth)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_authorization_details")
