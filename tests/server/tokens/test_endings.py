"""Userinfo, introspection and revocation: who may see and end what."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from auth_agent.server.registry import clients
from tests.server.conftest import Build
from tests.server.world import ISSUER, World


def test_userinfo_tells_what_the_token_allows(world: World) -> None:
    token = world.tokens()["access_token"]
    expected = {
        "sub": world.agent.agent_id,
        "agent_id": world.agent.agent_id,
        "model": "claude-test",
        "model_name": "claude-test",
        "permissions": ["read"],
        "email": "ann@owner.example",
        "email_verified": True,
        "name": "Ann",
    }
    assert world.userinfo(token).json() == expected
    posted = world.browser().post("/userinfo", data={"access_token": token})
    assert posted.json() == expected


def test_userinfo_wants_a_token(world: World) -> None:
    token = world.tokens()["access_token"]
    for value in (None, "Bearer", "Bearer ", f"Token {token}", f"Basic {token}", token):
        headers = {} if value is None else {"authorization": value}
        for method in ("GET", "POST"):
            answer = world.browser().request(method, "/userinfo", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer, DPoP algs="ES256 EdDSA"'
    headers = {"authorization": f"bearer {token}"}
    assert world.browser().post("/userinfo", headers=headers).status_code == 200
    assert world.browser().get(f"/userinfo?access_token={token}").status_code == 401


def test_userinfo_refuses_what_is_no_access_token(world: World) -> None:
    tokens = world.tokens()
    header, payload, signature = tokens["access_token"].split(".")
    forged = jwt.encode(
        jwt.decode(tokens["access_token"], options={"verify_signature": False}),
        ec.generate_private_key(ec.SECP256R1()),
        "ES256",
        headers={**jwt.get_unverified_header(tokens["access_token"])},
    )
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    key = world.context.keyring.current().signer(world.clock())
    other_type = key.sign(claims, "JWT")
    assert world.userinfo(key.sign(claims, "at+jwt")).status_code == 200
    unknown_key = jwt.encode(
        claims,
        ec.generate_private_key(ec.SECP256R1()),
        "ES256",
        headers={"kid": "unknown", "typ": "at+jwt"},
    )
    other_issuer = key.sign({**claims, "iss": ISSUER + "x"}, "at+jwt")
    no_family = key.sign({**claims, "sid": "sid_unknown"}, "at+jwt")
    no_ends = [key.sign({**claims, "exp": exp}, "at+jwt") for exp in ("x", True, 1e300, None)]
    for wrong in (
        *(other_type, unknown_key, other_issuer, no_family, *no_ends),
        *(tokens["id_token"], tokens["refresh_token"], "x", "a.b.c", forged, "x" * 20_000),
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}.{payload}.",
    ):
        answer = world.userinfo(wrong)
        assert answer.status_code == 401, wrong
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_two_tokens_at_once_are_refused(world: World) -> None:
    token = world.tokens()["access_token"]
    answer = world.browser().post(
        "/userinfo", data={"access_token": token}, headers={"authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 400


def test_an_expired_access_token_is_inactive(world: World) -> None:
    tokens = world.tokens()
    world.clock.forward(3600)
    assert world.userinfo(tokens["access_token"]).status_code == 401
    assert world.introspect(tokens["access_token"]) == {"active": False}
    assert world.introspect(tokens["refresh_token"])["active"] is True


def test_an_access_token_outlives_a_shorter_refresh_token(build: Build) -> None:
    world = build(refresh_token_lifetime=300)
    tokens = world.tokens()
    world.clock.forward(300)
    assert world.introspect(tokens["refresh_token"]) == {"active": False}
    assert world.introspect(tokens["access_token"])["active"] is True


def test_introspection_describes_both_tokens(world: World) -> None:
    tokens = world.tokens()
    now = int(world.clock())
    for token, kind, lifetime in (
        (tokens["access_token"], "Bearer", 3600),
        (tokens["refresh_token"], "refresh_token", 30 * 86_400),
    ):
        found = world.introspect(token)
        assert found["active"] is True
        assert found["token_type"] == kind
        assert (found["iat"], found["exp"]) == (now, now + lifetime)
        assert found["sub"] == found["agent_id"] == world.agent.agent_id
        assert found["client_id"] == world.shop.client_id
        assert found["aud"] == "https://shop.example"
        assert found["iss"] == ISSUER
        assert found["scope"] == "openid profile email agent"
        assert found["model"] == "claude-test"
        assert found["email"] == "ann@owner.example"
        assert found["username"]


def test_a_spent_refresh_token_is_inactive_and_ends_the_family_when_revoked(world: World) -> None:
    spent = world.tokens()["refresh_token"]
    tokens = world.refresh(spent).json()
    assert world.introspect(spent) == {"active": False}
    assert world.introspect(tokens["access_token"])["active"] is True
    form = {"token": spent}
    assert world.browser().post("/revoke", data=form, auth=world.basic()).status_code == 200
    assert world.introspect(tokens["access_token"]) == {"active": False}


def test_a_stranger_learns_nothing(world: World) -> None:
    tokens = world.tokens()
    assert world.introspect(tokens["access_token"], world.other) == {"active": False}
    assert world.introspect(tokens["refresh_token"], world.other) == {"active": False}
    assert world.introspect("nonsense") == {"active": False}


def test_the_owner_of_the_resource_may_ask(own_world: World) -> None:
    api = clients.add_client(
        own_world.database,
        "API",
        ["https://x.example/"],
        resources=["https://api.shop.example"],
        now=own_world.context.now(),
    )
    tokens = own_world.tokens(resource="https://api.shop.example")
    assert own_world.introspect(tokens["access_token"], api)["active"] is True
    assert own_world.introspect(tokens["refresh_token"], api) == {"active": False}


def test_introspection_wants_an_authenticated_client(world: World) -> None:
    for form in ({"token": "x"}, {"token": "x", "client_id": world.phone.client_id}):
        answer = world.browser().post("/introspect", data=form)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
def test_a_token_is_needed(world: World, path: str) -> None:
    answer = world.browser().post(path, data={"x": "y"}, auth=world.basic())
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", None])
def test_revoking_either_token_ends_the_family(world: World, which: str, hint: Any) -> None:
    tokens = world.tokens()
    form = {"token": tokens[which], **({"token_type_hint": hint} if hint else {})}
    answer = world.browser().post("/revoke", data=form, auth=world.basic())
    assert answer.status_code == 200
    assert world.introspect(tokens["access_token"]) == {"active": False}
    assert world.introspect(tokens["refresh_token"]) == {"active": False}
    assert world.userinfo(tokens["access_token"]).status_code == 401
    assert world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_nobody_revokes_the_tokens_of_another_website(world: World) -> None:
    tokens = world.tokens()
    for token in (tokens["access_token"], tokens["refresh_token"]):
        answer = world.browser().post(
            "/revoke", data={"token": token}, auth=world.basic(world.other)
        )
        assert answer.json()["error"] == "invalid_grant"
        assert world.browser().post("/revoke", data={"token": token}).status_code == 401
    assert world.introspect(tokens["access_token"])["active"] is True


def test_revoking_an_unknown_token_is_fine(world: World) -> None:
    answer = world.browser().post("/revoke", json={"token": "rt_x"}, auth=world.basic())
    assert answer.status_code == 200
