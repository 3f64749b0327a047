"""What the OpenAPI document says of the answers is what the server answers, member by member."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auth_agent.server.api.openapi.answers import ANSWERS, OPEN, SHAPES
from auth_agent.server.api.openapi.document import OPERATIONS, document
from auth_agent.server.registry.people import admin_tokens
from tests.server.keys import Pair
from tests.server.world import ISSUER, REDIRECT, UPSTREAM_PATTERN, World

WHOLE = document(ISSUER)


def fits(method: str, path: str, answer: Any) -> Any:
    """Compares the answer with the document; returns its body."""
    described = WHOLE["paths"][path][method.lower()]["responses"]
    assert str(answer.status_code) in described, (method, path, answer.text)
    name = ANSWERS[method, path]
    body = answer.json() if answer.content else {}
    schema = {"$ref": f"#/components/schemas/{name}", "components": WHOLE["components"]}
    problems = [problem.message for problem in Draft202012Validator(schema).iter_errors(body)]
    assert problems == [], (method, path)
    if name not in OPEN:
        known = {member.rstrip("?") for member in SHAPES[name]}
        assert set(body) <= known, (method, path)
    return body


def test_every_answer_with_a_body_is_described() -> None:
    with_body = {(each.method, each.path) for each in OPERATIONS if each.success != 204}
    assert set(ANSWERS) == with_body
    assert set(ANSWERS.values()) == set(SHAPES) - {"Error"}


def test_the_answers_of_a_sign_in(own_world: World) -> None:
    world, browser = own_world, own_world.browser()
    request_id = world.open(browser)
    fits("GET", "/api/auth-requests/{request_id}", browser.get(f"/api/auth-requests/{request_id}"))
    status = "/api/check-status"
    fits("GET", status, browser.get(status, params={"request_id": request_id}))
    fits("POST", "/api/agent/authenticate", world.answer(request_id))
    code = fits("GET", status, browser.get(status, params={"request_id": request_id}))["code"]
    fits("GET", status, browser.get(status, params={"request_id": "req_unknown"}))
    tokens = fits("POST", "/token", world.redeem(code))
    fits("POST", "/token", world.refresh(tokens["refresh_token"]))
    form = {"response_type": "code", **world.request()}
    fits("POST", "/par", browser.post("/par", data=form, auth=world.basic()))


def test_the_answers_about_tokens(own_world: World) -> None:
    world, browser = own_world, own_world.browser()
    tokens = world.tokens()
    for token in (tokens["access_token"], tokens["refresh_token"], "unknown"):
        asked = browser.post("/introspect", data={"token": token}, auth=world.basic())
        fits("POST", "/introspect", asked)
    fits("GET", "/userinfo", world.userinfo(tokens["access_token"]))
    revoked = browser.post("/revoke", data={"token": tokens["access_token"]}, auth=world.basic())
    fits("POST", "/revoke", revoked)


def own_token(world: World) -> str:
    """Returns a token of an agent that signs in as its own client."""
    browser, agent, loopback = world.browser(), world.agent, "http://localhost:3000/callback"
    asked = world.request(client_id=agent.agent_id, redirect_uri=loopback)
    found = UPSTREAM_PATTERN.search(browser.get("/authorize", params=asked).text)
    assert found
    assert world.answer(found[1], agent).status_code == 200
    code = world.poll(browser, found[1])["code"]
    proof = (agent.agent_id, agent.agent_secret.reveal())
    return str(world.redeem(code, auth=proof, redirect_uri=loopback).json()["access_token"])


def test_the_answers_of_the_agents_own_api(own_world: World) -> None:
    world, browser = own_world, own_world.browser()
    token = own_token(world)
    own = {"authorization": f"Bearer {token}"}
    path = "/api/agents/profile"
    fits("GET", path, browser.get(path, headers=own))
    fits("PUT", path, browser.put(path, headers=own, json={"owner_name": "Ada"}))
    events = browser.post("/api/events", headers=own, json={"event": "click"})
    fits("POST", "/api/events", events)
    status = "/api/verify/status"
    fits("GET", status, browser.get(status, headers=own))
    path = "/api/verify/challenge"
    opened = fits("POST", path, browser.post(path, headers=own, json={}))
    fits("GET", status, browser.get(status, headers=own))
    known = {name: opened[name] for name in ("challenge", "sig", "verify_ctx_id", "expires")}
    path = "/api/verify/confirm"
    fits("POST", path, browser.post(path, headers=own, json=known))
    fits("GET", status, browser.get(status, headers=own))
    client = {"client_id": world.shop.client_id}
    assert world.shop.client_secret
    client["client_secret"] = world.shop.client_secret.reveal()
    asked = {"agent_id": world.agent.agent_id, **client}
    path = "/api/verify/challenge"
    fits("POST", path, browser.post(path, json=asked))


def test_the_answers_of_registrations(own_world: World) -> None:
    browser = own_world.browser()
    body = {"redirect_uris": ["https://new.example/callback"], "client_name": "New"}
    fits("POST", "/register", browser.post("/register", json=body))
    secret = "a secret of the agent, long enough"
    agent = {"agent_id": "agent-new", "agent_secret": secret, "owner_email": "new@owner.example"}
    path = "/api/register-agent"
    fits("POST", path, browser.post(path, json=agent))


def test_the_answers_of_the_administrators_api(own_world: World) -> None:
    world, browser = own_world, own_world.browser()
    token = admin_tokens.add_admin(world.database, "Root", world.context.now())
    admin = {"authorization": f"Bearer {token.reveal()}"}
    path = "/api/admin/agents"
    body = {"email": "new@owner.example", "public_key": Pair().pem}
    made = fits("POST", path, browser.post(path, json=body, headers=admin))
    fits("GET", path, browser.get(path, headers=admin))
    one = f"{path}/{made['agent_id']}"
    fits("GET", f"{path}/{{id}}", browser.get(one, headers=admin))
    fits("PATCH", f"{path}/{{id}}", browser.patch(one, json={"model": "m"}, headers=admin))
    keys = f"{path}/{{id}}/signing-keys"
    fits("GET", keys, browser.get(f"{one}/signing-keys", headers=admin))
    path = "/api/admin/clients"
    body = {"redirect_uris": [REDIRECT], "client_name": "New"}
    made = fits("POST", path, browser.post(path, json=body, headers=admin))
    fits("GET", path, browser.get(path, headers=admin))
    one = f"{path}/{made['client_id']}"
    fits("GET", f"{path}/{{id}}", browser.get(one, headers=admin))
    fits("PATCH", f"{path}/{{id}}", browser.patch(one, json={"name": "N"}, headers=admin))


@pytest.mark.parametrize(
    "path",
    [
        *("/health", "/api/health", "/ready", "/openapi.json", "/.well-known/jwks.json"),
        *("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"),
    ],
)
def test_the_answers_that_everybody_gets(world: World, path: str) -> None:
    fits("GET", path, world.browser().get(path))
