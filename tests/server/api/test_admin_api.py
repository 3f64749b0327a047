"""/api/admin and RFC 7591: nothing answers without the right credential."""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.secret import Secret
from auth_agent.server.registry.people import admin_tokens as administrators
from tests.server.conftest import Build
from tests.server.keys import Pair
from tests.server.world import REDIRECT, World

TOKEN = "registration-token-1"


def _admin(world: World) -> dict[str, str]:
    token = administrators.add_admin(world.database, "Root", world.context.now())
    return {"authorization": f"Bearer {token.reveal()}"}


@pytest.mark.parametrize("path", ["/api/admin/agents", "/api/admin/clients"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_nothing_answers_without_an_administrator(world: World, path: str, method: str) -> None:
    where = path if method in ("GET", "POST") else f"{path}/x"
    for headers in (
        {},
        {"authorization": "Bearer adm_wrong"},
        {"authorization": f"Bearer {world.tokens()['access_token']}"},
    ):
        answer = world.browser().request(method, where, headers=headers)
        assert answer.status_code == 401
        assert "www-authenticate" in answer.headers


def test_an_agents_life(own_world: World) -> None:
    browser, admin = own_world.browser(), _admin(own_world)
    body = {"email": "new@owner.example", "model": "m", "permissions": ["read"]}
    made = browser.post("/api/admin/agents", json=body, headers=admin)
    assert made.status_code == 201
    agent_id = made.json()["agent_id"]
    assert made.json()["agent_secret"].startswith("ags_")
    listed = browser.get("/api/admin/agents", headers=admin).json()["agents"]
    assert agent_id in [row["agent_id"] for row in listed]
    where = f"/api/admin/agents/{agent_id}"
    changed = browser.patch(where, json={"email": "x@owner.example"}, headers=admin).json()
    assert (changed["email"], changed["email_verified"]) == ("x@owner.example", False)
    assert changed["permissions"] == ["read"]
    vouched = browser.patch(where, json={"email_verified": True}, headers=admin).json()
    assert vouched["email_verified"] is True
    assert browser.delete(where, headers=admin).status_code == 204
    assert browser.delete(where, headers=admin).status_code == 404
    assert browser.get(where, headers=admin).json()["disabled"] is True
    taken = {**body, "agent_id": agent_id}
    assert browser.post("/api/admin/agents", json=taken, headers=admin).status_code == 409
    keyed = {**body, "public_key": Pair().pem}
    assert (
        browser.post("/api/admin/agents", json=keyed, headers=admin).json()["agent_secret"] is None
    )


def test_a_clients_life(own_world: World) -> None:
    browser, admin = own_world.browser(), _admin(own_world)
    body = {"client_name": "New", "redirect_uris": [REDIRECT], "resources": ["https://a.example"]}
    made = browser.post("/api/admin/clients", json=body, headers=admin)
    assert made.status_code == 201
    where = f"/api/admin/clients/{made.json()['client_id']}"
    changed = browser.patch(where, json={"name": "Newer"}, headers=admin).json()
    assert (changed["name"], changed["resources"]) == ("Newer", ["https://a.example"])
    assert browser.delete(where, headers=admin).status_code == 204
    assert browser.get(where, headers=admin).status_code == 404
    agent = f"/api/admin/clients/{own_world.agent.agent_id}"
    assert browser.delete(agent, headers=admin).status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("agents", {}),
        ("agents", {"email": 5}),
        ("agents", {"email": "a@b.example", "unknown": 1}),
        ("agents", {"email": "a@b.example", "permissions": [5]}),
        ("agents", {"email": "a@b.example", "agent_id": "a b"}),
        ("agents", {"email": "a@b.example", "public_key": "x"}),
        ("clients", {}),
        ("clients", {"redirect_uris": ["http://x.example/"]}),
        ("clients", {"redirect_uris": [REDIRECT], "resources": "x"}),
        ("clients", {"redirect_uris": [REDIRECT], "scope": "admin"}),
        ("clients", {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "x"}),
        ("clients", {"redirect_uris": [REDIRECT], "grant_types": ["implicit"]}),
        ("clients", {"redirect_uris": [REDIRECT], "response_types": ["token"]}),
        ("clients", {"redirect_uris": [REDIRECT], "jwks_uri": "https://x.example/"}),
        ("clients", {"redirect_uris": [REDIRECT], "client_name": 5}),
        ("clients", {"redirect_uris": "x"}),
    ],
)
def test_wrong_bodies_are_refused(own_world: World, path: str, body: dict[str, Any]) -> None:
    answer = own_world.browser().post(f"/api/admin/{path}", json=body, headers=_admin(own_world))
    assert answer.status_code == 400, answer.text


# RFC 7591


@pytest.mark.parametrize(
    "settings",
    [
        {"client_registration": "off"},
        {"issuer": "https://id.example", "secrets": (Secret("s" * 32),)},
    ],
)
def test_dynamic_registration_is_off_where_it_is_switched_off_or_public(
    build: Build, settings: dict[str, Any]
) -> None:
    world = build(**settings)
    answer = world.browser().post("/register", json={"redirect_uris": [REDIRECT]})
    assert answer.status_code == 403
    metadata = world.browser().get("/.well-known/openid-configuration").json()
    assert "registration_endpoint" not in metadata


def test_who_has_the_token_registers_clients(build: Build) -> None:
    world = build(registration_token=Secret(TOKEN))
    browser, headers = world.browser(), {"authorization": f"Bearer {TOKEN}"}
    assert browser.get("/.well-known/openid-configuration").json()["registration_endpoint"]
    body = {"redirect_uris": [REDIRECT], "client_name": "Dynamic"}
    assert browser.post("/register", json=body).status_code == 401
    answer = browser.post("/register", json=body, headers=headers)
    assert answer.status_code == 201
    made = answer.json()
    assert made["client_secret_expires_at"] == 0
    code = world.code(client_id=made["client_id"])
    auth = (made["client_id"], made["client_secret"])
    assert world.redeem(code, auth=auth).status_code == 200
    public = {**body, "token_endpoint_auth_method": "none"}
    assert "client_secret" not in browser.post("/register", json=public, headers=headers).json()
    keyed = {
        **body,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [Pair().jwk]},
    }
    assert browser.post("/register", json=keyed, headers=headers).status_code == 201
    bad = browser.post("/register", json={"redirect_uris": ["/x"]}, headers=headers)
    assert bad.json()["error"] == "invalid_redirect_uri"


def test_an_agents_signing_keys(own_world: World) -> None:
    browser, admin = own_world.browser(), _admin(own_world)
    first, second = Pair("EdDSA"), Pair("EdDSA")
    body = {"email": "new@owner.example", "signing_key": first.pem}
    made = browser.post("/api/admin/agents", json=body, headers=admin)
    assert made.status_code == 201, made.text
    agent_id = made.json()["agent_id"]
    where = f"/api/admin/agents/{agent_id}/signing-keys"
    added = browser.post(where, json={"public_key": second.pem}, headers=admin)
    assert added.status_code == 201
    assert added.json()["signature_agent"].endswith(f"/agents/{agent_id}")
    found = browser.get(where, headers=admin).json()
    assert added.json()["kid"] in [key["kid"] for key in found["keys"]]
    one = browser.get(f"/api/admin/agents/{agent_id}", headers=admin).json()
    assert (one["has_key"], one["signing_keys"]) == (False, 2)
    kid = f"{where}/{added.json()['kid']}"
    assert browser.delete(kid, headers=admin).status_code == 204
    assert browser.delete(kid, headers=admin).status_code == 404
    assert len(browser.get(where, headers=admin).json()["keys"]) == 1
    for wrong in ({}, {"public_key": 1}, {"public_key": "x"}, {"public_key": first.pem, "x": 1}):
        assert browser.post(where, json=wrong, headers=admin).status_code == 400, wrong
    nowhere = "/api/admin/agents/agent_none/signing-keys"
    assert browser.get(nowhere, headers=admin).status_code == 404
    fresh = {"public_key": Pair("EdDSA").pem}
    assert browser.post(nowhere, json=fresh, headers=admin).status_code == 404
    for method, path in (("GET", where), ("POST", where), ("DELETE", kid)):
        assert browser.request(method, path).status_code == 401
