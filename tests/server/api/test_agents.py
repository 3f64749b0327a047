"""The older generation: registration, agents as clients, profile, events, challenge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from auth_agent.secret import Secret
from auth_agent.server import ServerSettings
from auth_agent.server.registry import agents, clients
from auth_agent.server.storage.tables.records import event
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.world import (
    CHALLENGE,
    ISSUER,
    ORIGIN,
    REDIRECT,
    UPSTREAM_PATTERN,
    VERIFIER,
    World,
)

LOOPBACK = "http://localhost:3000/callback"
NEW = {
    "agent_id": "my-ai-agent",
    "agent_secret": "secure-random-secret-key",
    "model_name": "gpt-4",
    "owner_name": "John Doe",
    "owner_email": "john@example.com",
}


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _own_code(world: World, agent: Any = None, **changes: Any) -> str:
    """Signs the agent in as its own client."""
    agent = agent or world.agent
    browser = world.browser()
    request = {"client_id": agent.agent_id, "redirect_uri": LOOPBACK, **changes}
    answer = browser.get("/oauth2/authorize", params=world.request(**request))
    assert answer.status_code == 200, answer.text
    found = UPSTREAM_PATTERN.search(answer.text)
    assert found
    assert world.answer(found[1], agent).status_code == 200
    return str(world.poll(browser, found[1])["code"])


def _own_tokens(world: World, agent: Any = None) -> dict[str, Any]:
    agent = agent or world.agent
    form = {
        "grant_type": "authorization_code",
        "code": _own_code(world, agent),
        "redirect_uri": LOOPBACK,
        "code_verifier": VERIFIER,
        "client_id": agent.agent_id,
    }
    answer = world.browser().post("/oauth2/token", data=form)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


# Registration


def test_an_agent_registers_itself_and_signs_in(own_world: World) -> None:
    answer = own_world.browser().post("/api/register-agent", json=NEW)
    assert answer.status_code == 201, answer.text
    assert answer.json()["success"] is True
    assert answer.json()["agent_id"] == "my-ai-agent"
    assert answer.headers["x-ratelimit-remaining"] == "4"
    (row,) = [r for r in agents.list_agents(own_world.database) if r["agent_id"] == "my-ai-agent"]
    assert row["email_verified"] is False
    agent = agents.AgentCredentials("my-ai-agent", Secret(NEW["agent_secret"]))
    assert "email" not in own_world.userinfo(_own_tokens(own_world, agent)["access_token"]).json()


@pytest.mark.parametrize("taken", ["agent", "shop"])
def test_an_id_is_taken_for_ever(own_world: World, taken: str) -> None:
    taken_id = own_world.agent.agent_id if taken == "agent" else own_world.shop.client_id
    if taken == "agent":
        endings.disable_agent(own_world.database, taken_id, own_world.context.now())
    else:
        endings.remove_client(own_world.database, taken_id, own_world.context.now())
    answer = own_world.browser().post("/api/register-agent", json={**NEW, "agent_id": taken_id})
    assert (answer.status_code, answer.json()["error"]) == (409, "agent_exists")


@pytest.mark.parametrize(
    "changes",
    [
        {"agent_id": None},
        {"agent_id": "a b"},
        {"agent_id": "x" * 65},
        {"agent_id": "https://evil.example"},
        {"agent_secret": "short"},
        {"agent_secret": "x" * 73},
        {"owner_email": "nobody"},
        {"owner_email": None},
        {"owner_name": 5},
        {"model_name": "a\nb"},
    ],
)
def test_a_wrong_registration_is_refused(world: World, changes: dict[str, Any]) -> None:
    world.clock.forward(3_600)
    answer = world.browser().post("/api/register-agent", json={**NEW, **changes})
    assert answer.status_code == 400


def test_registering_is_off_gated_or_open(build: Build) -> None:
    token = "registration-token-1"
    off, gated = (
        build(agent_registration="off"),
        build(agent_registration="token", registration_token=Secret(token)),
    )
    assert off.browser().post("/api/register-agent", json=NEW).status_code == 403
    assert gated.browser().post("/api/register-agent", json=NEW).status_code == 401
    wrong = gated.browser().post("/api/register-agent", json=NEW, headers=_bearer("x"))
    assert wrong.status_code == 401
    right = gated.browser().post("/api/register-agent", json=NEW, headers=_bearer(token))
    assert right.status_code == 201
    public = ServerSettings(issuer="https://id.example", secrets=(Secret("s" * 32),))
    assert public.registers_agents == "off"
    assert off.context.settings.registers_agents == "off"


def test_a_registration_token_cannot_be_guessed(build: Build) -> None:
    world = build(agent_registration="token", registration_token=Secret("registration-token-1"))
    browser = world.browser()
    statuses = [
        browser.post("/api/register-agent", json=NEW, headers=_bearer("wrong")).status_code
        for _ in range(6)
    ]
    assert statuses == [401] * 5 + [429]


def test_five_registrations_an_hour(own_world: World) -> None:
    for number in range(6):
        body = {**NEW, "agent_id": f"agent-{number}"}
        answer = own_world.browser().post("/api/register-agent", json=body)
        assert answer.status_code == (201 if number < 5 else 429)


# Agents as clients


def test_an_agent_is_its_own_client(world: World) -> None:
    tokens = _own_tokens(world)
    claims = world.verified(tokens["access_token"], ISSUER)
    assert claims["aud"] == ISSUER
    assert claims["client_id"] == claims["sub"] == world.agent.agent_id
    found = world.browser().get("/oauth2/userinfo", headers=_bearer(tokens["access_token"]))
    assert found.json()["agent_id"] == world.agent.agent_id
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    again = world.browser().post("/token", data={**form, "client_id": world.agent.agent_id})
    assert again.status_code == 200
    form = {"token": again.json()["refresh_token"], "client_id": world.agent.agent_id}
    assert world.browser().post("/revoke", data=form).status_code == 200


def test_an_agents_secret_is_optional_but_not_ignored(world: World) -> None:
    form = {
        "grant_type": "authorization_code",
        "code": _own_code(world),
        "redirect_uri": LOOPBACK,
        "code_verifier": VERIFIER,
        "client_id": world.agent.agent_id,
    }
    wrong = world.browser().post("/token", data={**form, "client_secret": "wrong"})
    assert wrong.status_code == 401
    right = {**form, "client_secret": world.agent.agent_secret.reveal()}
    assert world.browser().post("/token", data=right).status_code == 200


def test_only_that_agent_may_approve(world: World) -> None:
    browser = world.browser()
    request = world.request(client_id=world.agent.agent_id, redirect_uri=LOOPBACK)
    found = UPSTREAM_PATTERN.search(browser.get("/authorize", params=request).text)
    assert found
    answer = world.answer(found[1], world.rival)
    assert (answer.status_code, answer.json()["error"]) == (409, "another_agent")
    assert world.answer(found[1]).status_code == 200


@pytest.mark.parametrize(
    "uri", ["https://shop.example/callback", "http://shop.example/", "http://localhost@x.example/"]
)
def test_an_agent_has_loopback_addresses_only(world: World, uri: str) -> None:
    request = world.request(client_id=world.agent.agent_id, redirect_uri=uri)
    assert world.browser().get("/authorize", params=request).status_code == 400


def test_an_agent_as_client_gets_no_websites_resource(world: World) -> None:
    request = {"client_id": world.agent.agent_id, "redirect_uri": LOOPBACK}
    for resource in ("https://shop.example", "https://api.shop.example"):
        answer = world.browser().get(
            "/authorize", params=world.request(**request, resource=resource)
        )
        assert "error=invalid_target" in answer.headers["location"]
    code = _own_code(world, resource=ISSUER)
    assert code


def test_a_disabled_agent_is_no_client_either(own_world: World) -> None:
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    request = own_world.request(client_id=own_world.agent.agent_id, redirect_uri=LOOPBACK)
    assert own_world.browser().get("/authorize", params=request).status_code == 400


# A request that the agent opens


def _agent_auth(world: World, **changes: Any) -> Any:
    body = {
        "agent_id": world.agent.agent_id,
        "agent_secret": world.agent.agent_secret.reveal(),
        "model_name": "gpt-4",
        "client_id": world.agent.agent_id,
        "redirect_uri": LOOPBACK,
        "state": "s",
        "scope": "openid profile",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    body = {name: value for name, value in body.items() if value is not None}
    return world.browser().post("/api/agent-auth", json=body)


def test_agent_auth_opens_and_never_approves(world: World) -> None:
    told = _agent_auth(world).json()
    assert set(told) == {"session_id", "challenge_url", "expires_in", "next_step"}
    request_id = told["session_id"]
    browser, second = world.browser(), world.browser()
    assert world.poll(browser, request_id) == {"status": "pending"}
    address = told["challenge_url"].removeprefix(ISSUER)
    page = browser.get(address)
    assert UPSTREAM_PATTERN.search(page.text)
    assert browser.get(address).status_code == 200
    assert second.get(address).status_code == 409
    assert world.answer(request_id, world.rival).status_code == 409
    assert world.answer(request_id).status_code == 200
    assert world.poll(second, request_id) == {"status": "completed"}
    assert world.poll(browser, request_id)["status"] == "authenticated"
    assert world.browser().get(address).status_code == 404


def test_who_only_checks_the_link_does_not_become_its_browser(world: World) -> None:
    address = _agent_auth(world).json()["challenge_url"].removeprefix(ISSUER)
    answer = world.browser().head(address)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert world.browser().get(address).status_code == 200


def test_nobody_is_told_the_code_before_a_browser_came(world: World) -> None:
    request_id = _agent_auth(world).json()["session_id"]
    assert world.answer(request_id).status_code == 200
    assert world.poll(world.browser(), request_id) == {"status": "completed"}


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"agent_secret": "wrong"}, 401, "invalid_credentials"),
        ({"agent_id": "agent_unknown"}, 401, "invalid_credentials"),
        ({"agent_secret": "x" * 73}, 400, "invalid_request"),
        ({"client_id": "client_unknown"}, 400, "invalid_request"),
        ({"redirect_uri": "https://evil.example/"}, 400, "invalid_request"),
        ({"redirect_uri": 5}, 400, "invalid_request"),
        ({"scope": "admin"}, 400, "invalid_scope"),
        ({"code_challenge": None}, 400, "invalid_request"),
        ({"code_challenge": "short"}, 400, "invalid_request"),
        ({"code_challenge_method": "plain"}, 400, "invalid_request"),
    ],
)
def test_a_wrong_agent_auth_is_refused(
    world: World, changes: dict[str, Any], status: int, error: str
) -> None:
    world.clock.forward(60)
    answer = _agent_auth(world, **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_agent_auth_for_another_agent_or_a_website(world: World) -> None:
    assert _agent_auth(world, client_id=world.rival.agent_id).status_code == 400
    website = _agent_auth(world, client_id=world.shop.client_id, redirect_uri=REDIRECT)
    assert website.status_code == 200


def test_agent_auth_is_for_agents_that_may_sign_in(own_world: World) -> None:
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    assert _agent_auth(own_world).status_code == 401


def test_agent_auth_opens_no_more_requests_than_a_browser_may(build: Build) -> None:
    world = build(limit_pending=1)
    assert _agent_auth(world).status_code == 200
    answer = _agent_auth(world)
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many_requests")
    assert answer.headers["retry-after"] == "600"


# Profile


def test_the_profile_is_read_and_changed(own_world: World) -> None:
    headers = _bearer(_own_tokens(own_world)["access_token"])
    answer = own_world.browser().get("/api/agents/profile", headers=headers)
    found = answer.json()
    assert answer.headers["x-ratelimit-remaining"] == "999"
    assert {**found, "created_at": 0, "updated_at": 0} == {
        "agent_id": own_world.agent.agent_id,
        "model_name": "registered-model",
        "owner_name": "Ann",
        "owner_email": "ann@owner.example",
        "owner_email_verified": True,
        "permissions": ["read"],
        "disabled": False,
        "created_at": 0,
        "updated_at": 0,
    }
    assert found["created_at"].endswith("Z")
    changes = {"owner_name": "Jane Doe", "model_name": "gpt-4-turbo"}
    changed = own_world.browser().put("/api/agents/profile", json=changes, headers=headers)
    assert changed.json()["owner_name"] == "Jane Doe"
    assert changed.json()["model_name"] == "gpt-4-turbo"
    found = {row["agent_id"]: row for row in agents.list_agents(own_world.database)}
    assert found[own_world.agent.agent_id]["model"] == "gpt-4-turbo"
    assert found[own_world.rival.agent_id]["model"] == ""
    assert found[own_world.careful.agent_id]["name"] == ""


@pytest.mark.parametrize(
    "changes",
    [
        *({}, {"owner_email": "x@y.example"}, {"permissions": []}, {"owner_name": 5}),
        *({"model_name": "x" * 201}, {"owner_name": "a\nb"}),
    ],
)
def test_nothing_else_can_be_changed(world: World, changes: dict[str, Any]) -> None:
    headers = _bearer(_own_tokens(world)["access_token"])
    answer = world.browser().put("/api/agents/profile", json=changes, headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/agents/profile"),
        ("PUT", "/api/agents/profile"),
        ("POST", "/api/events"),
        ("POST", "/api/verify/confirm"),
        ("GET", "/api/verify/status"),
        ("POST", "/api/verify/challenge"),
    ],
)
def test_a_websites_token_opens_nothing_of_the_agents(world: World, method: str, path: str) -> None:
    browser, token = world.browser(), world.tokens()["access_token"]
    body = {"json": {"event": "x"}} if method != "GET" else {}
    refused = browser.request(method, path, headers=_bearer(token), **body)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    for headers in ({}, _bearer("x"), {"authorization": "Bearer"}):
        assert browser.request(method, path, headers=headers, **body).status_code == 401


def test_an_apis_token_opens_nothing_of_the_agents(world: World) -> None:
    form = {"grant_type": "client_credentials", "resource": "https://api.anywhere.example"}
    auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
    token = world.browser().post("/token", data=form, auth=auth).json()["access_token"]
    answer = world.browser().get("/api/agents/profile", headers=_bearer(token))
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


def test_a_websites_token_for_this_server_opens_nothing_either(own_world: World) -> None:
    odd = clients.add_client(
        own_world.database, "Odd", [REDIRECT], resources=[ISSUER], now=own_world.context.now()
    )
    code = own_world.code(client_id=odd.client_id, resource=ISSUER)
    token = own_world.redeem(code, auth=own_world.basic(odd)).json()["access_token"]
    answer = own_world.browser().get("/api/agents/profile", headers=_bearer(token))
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


def test_a_token_for_this_server_is_enough(world: World) -> None:
    form = {"grant_type": "client_credentials", "resource": ISSUER}
    auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
    token = world.browser().post("/token", data=form, auth=auth).json()["access_token"]
    answer = world.browser().get("/api/agents/profile", headers=_bearer(token))
    assert answer.status_code == 200


def test_a_thousand_calls_an_hour(build: Build) -> None:
    """Counts per agent, however many tokens it gets; another agent goes on."""
    world = build(limit_calls=3)
    tokens = [_bearer(_own_tokens(world)["access_token"]) for _ in range(2)]
    rival = _bearer(_own_tokens(world, world.rival)["access_token"])
    codes = [
        world.browser().get("/api/agents/profile", headers=headers).status_code
        for headers in (*tokens, *tokens)
    ]
    assert codes == [200, 200, 200, 429]
    assert world.browser().get("/api/agents/profile", headers=rival).status_code == 200


# Events


def test_events_are_kept_one_by_one_and_in_batches(own_world: World) -> None:
    headers = _bearer(_own_tokens(own_world)["access_token"])
    one = {"event": "verified_click", "selector": "#b", "site": "x.example", "more": {"a": [1]}}
    answer = own_world.browser().post("/api/events", json=one, headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"ok": True, "accepted": 1})
    batch = {"events": [{"event": "post_run", "result": "r" * 3_000}, {"event": "x"}]}
    answer = own_world.browser().post("/api/events", json=batch, headers=headers)
    assert answer.json()["accepted"] == 2
    with own_world.database.read() as connection:
        rows = connection.execute(select(event).order_by(event.c.id)).all()
    assert [row.kind for row in rows] == ["verified_click", "post_run", "x"]
    assert json.loads(rows[0].data) == {"selector": "#b", "more": {"a": [1]}}
    assert len(json.loads(rows[1].data)["result"]) == 2_000
    assert {row.agent_id for row in rows} == {own_world.agent.agent_id}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event": ""},
        {"event": 5},
        {"event": "x" * 201},
        {"event": "x", "site": 5},
        {"event": "x", "more": ["y" * 5_000, "y" * 5_000]},
        {"events": []},
        {"events": 5},
        {"events": {"event": "x"}},
        {"events": ["x"]},
        {"events": [{"event": "x"}] * 101},
    ],
)
def test_a_wrong_event_is_refused(world: World, body: Any) -> None:
    headers = _bearer(_own_tokens(world)["access_token"])
    assert world.browser().post("/api/events", json=body, headers=headers).status_code == 400


def test_events_are_bounded_in_age_and_number(build: Build) -> None:
    world = build(max_events=100, limit_calls=10)
    headers = _bearer(_own_tokens(world)["access_token"])
    for _ in range(2):
        batch = {"events": [{"event": "x"}] * 100}
        assert world.browser().post("/api/events", json=batch, headers=headers).status_code == 202
    count = select(func.count()).select_from(event)
    world.context.sweeper.sweep(world.context.now())
    with world.database.read() as connection:
        assert connection.execute(count).scalar() == 100
    world.context.sweeper.sweep(world.context.now() + 31 * 86_400)
    with world.database.read() as connection:
        assert connection.execute(count).scalar() == 0


def test_an_agent_evicts_no_events_but_its_own(build: Build) -> None:
    world = build(max_agent_events=100)
    mine = _bearer(_own_tokens(world)["access_token"])
    rival = _bearer(_own_tokens(world, world.rival)["access_token"])
    send = world.browser().post
    send("/api/events", json={"event": "of the rival"}, headers=rival)
    for number in range(3):
        batch = {"events": [{"event": f"{number}"}] * 60}
        assert send("/api/events", json=batch, headers=mine).status_code == 202
    with world.database.read() as connection:
        kinds = list(connection.execute(select(event.c.kind).order_by(event.c.id)).scalars())
    assert kinds == ["of the rival", *["1"] * 40, *["2"] * 60]


# The challenge


def _challenge(world: World, headers: dict[str, str]) -> dict[str, Any]:
    answer = world.browser().post("/api/verify/challenge", json={}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _confirm(world: World, headers: dict[str, str], challenge: dict[str, Any]) -> Any:
    names = ("challenge", "expires", "sig", "verify_ctx_id")
    body = {name: challenge[name] for name in names}
    return world.browser().post("/api/verify/confirm", json=body, headers=headers)


def _status(world: World, headers: dict[str, str], context: str | None = None) -> dict[str, Any]:
    params = {"verify_ctx_id": context} if context else {}
    answer = world.browser().get("/api/verify/status", params=params, headers=headers)
    found: dict[str, Any] = answer.json()
    return found


def test_an_agent_proves_that_it_is_alive(world: World) -> None:
    headers = _bearer(_own_tokens(world)["access_token"])
    challenge = _challenge(world, headers)
    assert challenge["ok"] is True
    context = challenge["verify_ctx_id"]
    assert _status(world, headers, context)["pending"]["challenge"] == challenge["challenge"]
    answer = _confirm(world, headers, challenge)
    assert answer.json()["verified"] is True
    status = _status(world, headers, context)
    assert (status["ok"], status["verified"]) == (True, True)
    assert status["verified_at"].endswith("Z")
    assert "pending" not in status
    assert _status(world, headers)["verified"] is True


@pytest.mark.parametrize(
    "change",
    [
        {"challenge": "other"},
        {"sig": "0" * 64},
        {"sig": "\u00e9"},
        {"expires": 9_999_999_999},
        {"expires": "soon"},
        {"expires": True},
        {"verify_ctx_id": "vctx_other"},
    ],
)
def test_a_changed_challenge_is_refused(world: World, change: dict[str, Any]) -> None:
    headers = _bearer(_own_tokens(world)["access_token"])
    challenge = _challenge(world, headers)
    answer = _confirm(world, headers, {**challenge, **change})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_challenge")
    assert _confirm(world, headers, challenge).status_code == 200


def test_a_challenge_is_single_use_of_one_agent_and_ends(world: World) -> None:
    headers = _bearer(_own_tokens(world)["access_token"])
    rival = _bearer(_own_tokens(world, world.rival)["access_token"])
    challenge = _challenge(world, headers)
    assert _confirm(world, rival, challenge).status_code == 400
    assert _confirm(world, headers, challenge).status_code == 200
    assert _confirm(world, headers, challenge).status_code == 400
    late = _challenge(world, headers)
    world.clock.forward(300)
    assert _confirm(world, headers, late).status_code == 400
    assert "pending" not in _status(world, headers, late["verify_ctx_id"])
    assert _status(world, rival, late["verify_ctx_id"])["error"] == "context_not_found"


def test_what_was_never_asked_is_not_known(own_world: World) -> None:
    headers = _bearer(_own_tokens(own_world)["access_token"])
    assert _status(own_world, headers, "vctx_unknown")["error"] == "context_not_found"
    rival = _bearer(_own_tokens(own_world, own_world.rival)["access_token"])
    _confirm(own_world, rival, _challenge(own_world, rival))
    client_id, secret = own_world.basic()
    body = {"agent_id": own_world.agent.agent_id, "client_id": client_id, "client_secret": secret}
    opened = own_world.browser().post("/api/verify/challenge", json=body)
    assert opened.status_code == 200
    # Neither what another agent has proved nor what a website asks is the agent's own.
    assert _status(own_world, rival)["verified"] is True
    assert _status(own_world, headers) == {"ok": True, "verified": False}
    for params in ({}, {"verify_ctx_id": "vctx_unknown"}):
        answer = own_world.browser().get(
            "/api/verify/status", params=params, auth=own_world.basic()
        )
        assert (answer.status_code, answer.json()["error"]) == (404, "context_not_found")


def test_a_disabled_agent_is_not_asked(own_world: World) -> None:
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    body = {"agent_id": own_world.agent.agent_id}
    answer = own_world.browser().post("/api/verify/challenge", json=body, auth=own_world.basic())
    assert (answer.status_code, answer.json()["error"]) == (404, "agent_not_found")


def test_a_website_asks_whether_its_agent_is_alive(world: World) -> None:
    world.clock.forward(60)
    browser, body = world.browser(), {"agent_id": world.agent.agent_id}
    answer = browser.post("/api/verify/challenge", json=body, auth=world.basic())
    opened = answer.json()
    assert set(opened) == {"ok", "verify_ctx_id", "expires", "message"}
    params = {"verify_ctx_id": opened["verify_ctx_id"]}

    def seen() -> Any:
        return browser.get("/api/verify/status", params=params, auth=world.basic()).json()

    assert seen() == {"ok": True, "verified": False}
    headers = _bearer(_own_tokens(world)["access_token"])
    pending = _status(world, headers, opened["verify_ctx_id"])["pending"]
    assert _confirm(world, headers, pending).status_code == 200
    assert seen()["verified"] is True
    other = browser.get("/api/verify/status", params=params, auth=world.basic(world.other))
    assert other.status_code == 404
    for wrong, status in (
        ({"auth": (world.shop.client_id, "wrong"), "json": body}, 401),
        ({"json": body}, 401),
        ({"auth": world.basic(), "json": {"agent_id": "agent_unknown"}}, 404),
        ({"auth": world.basic(), "json": {}}, 400),
    ):
        assert browser.post("/api/verify/challenge", **wrong).status_code == status


def _relayed(world: World, agent: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
    """Returns the agent's header, and what it sees of a verification that the shop has opened."""
    agent = agent or world.agent
    body = {"agent_id": agent.agent_id}
    opened = world.browser().post("/api/verify/challenge", json=body, auth=world.basic()).json()
    form = {"grant_type": "client_credentials", "resource": ISSUER, "model": "m"}
    auth = (agent.agent_id, agent.agent_secret.reveal())
    token = world.browser().post("/token", data=form, auth=auth).json()["access_token"]
    headers = _bearer(token)
    return headers, _status(world, headers, opened["verify_ctx_id"])["pending"]


def _confirmed(world: World, headers: dict[str, str], pending: Any, **more: Any) -> Any:
    names = ("challenge", "expires", "sig", "verify_ctx_id")
    body = {**{name: pending[name] for name in names}, **more}
    return world.browser().post("/api/verify/confirm", json=body, headers=headers)


def test_a_verification_names_the_website_that_asks(world: World) -> None:
    headers, pending = _relayed(world)
    assert pending["client_id"] == world.shop.client_id
    assert pending["client_name"] == "The Shop"
    assert (pending["origin"], pending["origins"]) == (ORIGIN, [ORIGIN])
    for wrong in ("https://other.example", ORIGIN + "/", 5, [ORIGIN]):
        answer = _confirmed(world, headers, pending, expected_origin=wrong)
        assert (answer.status_code, answer.json()["error"]) == (409, "origin_mismatch")
    answer = _confirmed(world, headers, pending, expected_origin=ORIGIN)
    assert answer.json()["verified"] is True


def test_a_careful_agent_always_says_which_website_it_means(world: World) -> None:
    headers, pending = _relayed(world, world.careful)
    answer = _confirmed(world, headers, pending)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert _confirmed(world, headers, pending, expected_origin=ORIGIN).status_code == 200
    own = _challenge(world, headers)  # no website has asked for this one
    assert _confirmed(world, headers, own, expected_origin=ORIGIN).status_code == 409
    assert _confirmed(world, headers, own).status_code == 200
