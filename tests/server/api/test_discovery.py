"""Metadata, keys, health, and the edges of HTTP."""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server.registry import clients
from auth_agent.server.security.keys.keyring import Keyring
from auth_agent.server.storage.tables.metadata import metadata
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.world import ISSUER, NOW, REDIRECT, UPSTREAM_PATTERN, VERIFIER, World


def test_both_documents_say_the_same(world: World) -> None:
    browser = world.browser()
    first = browser.get("/.well-known/oauth-authorization-server")
    second = browser.get("/.well-known/openid-configuration")
    assert first.content == second.content
    data = first.json()
    assert data["issuer"] == ISSUER
    assert data["authorization_response_iss_parameter_supported"] is True
    assert data["code_challenge_methods_supported"] == ["S256"]
    assert data["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
    assert data["prompt_values_supported"] == ["none", "login", "consent", "select_account"]
    for name, path in data.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert browser.request("GET", path).status_code != 404, name


def test_the_metadata_is_valid_in_the_eyes_of_authlib(world: World) -> None:
    data = world.browser().get("/.well-known/openid-configuration").json()
    data = json.loads(json.dumps(data).replace("http://127.0.0.1:8420", "https://id.example"))
    AuthorizationServerMetadata(data).validate()
    OpenIDProviderMetadata(data).validate()


def test_an_issuer_with_a_path_is_found_in_both_places() -> None:
    from starlette.testclient import TestClient

    from auth_agent.server import ServerSettings, create_app

    issuer = "http://127.0.0.1:8420/auth"
    app = create_app(ServerSettings(issuer=issuer, database="sqlite://"))
    browser = TestClient(app, base_url="http://127.0.0.1:8420")
    for path in (
        "/.well-known/oauth-authorization-server/auth",
        "/.well-known/openid-configuration/auth",
        "/auth/.well-known/openid-configuration",
    ):
        assert browser.get(path).json()["token_endpoint"] == issuer + "/token"
    assert browser.get("/auth/health").status_code == 200
    app.state.context.close()


def test_a_whole_sign_in_under_a_path(build: Build) -> None:
    issuer = ISSUER + "/auth"
    world = build(issuer=issuer)
    browser = world.browser()
    page = browser.get("/auth/authorize", params=world.request()).text
    found = UPSTREAM_PATTERN.search(page)
    assert found
    assert "/auth/api/check-status" in page
    assert browser.get(re.search(r'href="(/[^"]+[.]css)"', page)[1]).status_code == 200  # type: ignore[index]
    world.answer(found[1])
    answer = browser.post("/auth/authorize/cancel", data={"request_id": found[1]})
    back = browser.get(answer.headers["location"]).headers["location"]
    assert answer.headers["location"].startswith("/auth/authorize/continue?")
    query = parse_qs(urlsplit(back).query)
    assert query["iss"] == [issuer]
    form = {
        "grant_type": "authorization_code",
        "code": query["code"][0],
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    tokens = browser.post("/auth/token", data=form, auth=world.basic()).json()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert browser.get("/auth/userinfo", headers=headers).status_code == 200
    assert jwt.decode(tokens["id_token"], options={"verify_signature": False})["iss"] == issuer


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/.well-known/openid-configuration"])
def test_anybody_may_read_what_is_public(world: World, path: str) -> None:
    answer = world.browser().get(path, headers={"origin": "https://anybody.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "max-age" in answer.headers["cache-control"]


@pytest.mark.parametrize("name", ["jwks.json", "oauth-authorization-server"])
def test_a_public_document_allows_every_header_that_is_asked_for(world: World, name: str) -> None:
    """Browsers ask before they send a header of their own, as MCP clients do."""
    ask = {"access-control-request-method": "GET", "origin": "https://anybody.example"}
    path, asked = f"/.well-known/{name}", "authorization,mcp-protocol-version"
    answer = world.browser().options(path, headers={**ask, "access-control-request-headers": asked})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == asked
    assert "access-control-allow-credentials" not in answer.headers
    odd = {**ask, "access-control-request-headers": "x\x01y, z: a"}
    answer = world.browser().options(path, headers=odd)
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type, dpop"


@pytest.mark.parametrize("path", ["/token", "/userinfo", "/revoke"])
def test_registered_origins_may_call_from_a_page(world: World, path: str) -> None:
    ask = {"access-control-request-method": "POST", "origin": "https://shop.example"}
    answer = world.browser().options(path, headers=ask)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in answer.headers
    stranger = world.browser().options(path, headers={**ask, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers


def test_a_removed_websites_origin_may_call_no_more(build: Build) -> None:
    before, headers = build(), {"origin": "https://shop.example"}
    answer = before.browser().post("/token", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    endings.remove_client(before.database, before.shop.client_id, NOW)
    answer = build().browser().post("/token", headers=headers)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/token", "/userinfo", "/.well-known/jwks.json"])
def test_options_without_an_origin_do_nothing(world: World, path: str) -> None:
    headers = {"authorization": f"Bearer {world.tokens()['access_token']}"}
    answer = world.browser().options(path, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("path", ["/api/check-status", "/api/agent/authenticate", "/introspect"])
def test_nothing_else_is_open_to_other_origins(world: World, path: str) -> None:
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    answer = world.browser().options(path, headers=headers)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_the_jwks_holds_public_parts_only(world: World) -> None:
    rsa, ec = world.browser().get("/.well-known/jwks.json").json()["keys"]
    assert set(ec) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert set(rsa) == {"kty", "n", "e", "kid", "use", "alg"}


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
def test_other_algorithms(build: Build, algorithm: str) -> None:
    world = build(signing_algorithm=algorithm)
    data = world.browser().get("/.well-known/openid-configuration").json()
    offered = data["id_token_signing_alg_values_supported"]
    assert offered[0] == algorithm
    assert {"ES256", "RS256"} <= set(offered)
    tokens = world.tokens()
    assert jwt.get_unverified_header(tokens["id_token"])["alg"] == algorithm
    claims = world.verified(tokens["id_token"], world.shop.client_id)
    assert claims["at_hash"]
    assert world.userinfo(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", None])
def test_id_tokens_are_signed_as_the_client_wants(own_world: World, algorithm: str | None) -> None:
    site = clients.add_client(
        own_world.database,
        "Site",
        [REDIRECT],
        id_token_alg=algorithm,
        now=own_world.context.now(),
    )
    code = own_world.code(client_id=site.client_id)
    tokens = own_world.redeem(code, auth=own_world.basic(site)).json()
    assert jwt.get_unverified_header(tokens["id_token"])["alg"] == (algorithm or "ES256")
    assert own_world.verified(tokens["id_token"], site.client_id)["sub"]
    fresh = own_world.refresh(tokens["refresh_token"], auth=own_world.basic(site)).json()
    assert jwt.get_unverified_header(fresh["id_token"])["alg"] == (algorithm or "ES256")


def test_a_key_for_another_algorithm_is_added_to_an_older_database(build: Build) -> None:
    old = build()
    before = old.tokens()["access_token"]
    with old.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM signing_key WHERE algorithm = 'RS256'")
    new = build()
    data = new.browser().get("/.well-known/openid-configuration").json()
    assert data["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
    assert new.userinfo(before).status_code == 200
    kid = jwt.get_unverified_header(before)["kid"]
    assert jwt.get_unverified_header(new.tokens()["access_token"])["kid"] == kid


def test_a_rotated_key_is_published_before_it_signs(own_world: World) -> None:
    from auth_agent.server.security.secret_file import server_secrets

    context = own_world.context
    before = own_world.tokens()
    elsewhere = Keyring(
        own_world.database, server_secrets(context.settings), "ES256", own_world.clock, 3600
    )
    fresh = elsewhere.rotate()
    own_world.clock.forward(9)
    middle = own_world.tokens()["access_token"]
    own_world.clock.forward(1)
    kids = [k["kid"] for k in own_world.browser().get("/.well-known/jwks.json").json()["keys"]]
    assert fresh in kids
    assert len(kids) == 4, "two algorithms, an old and a new key for each"
    after = own_world.tokens()["access_token"]
    assert jwt.get_unverified_header(after)["kid"] == fresh
    assert jwt.get_unverified_header(middle)["kid"] != fresh
    for token in (before["access_token"], middle, after):
        assert own_world.userinfo(token).status_code == 200
    own_world.clock.forward(3700)
    keys = own_world.browser().get("/.well-known/jwks.json").json()["keys"]
    assert {k["alg"]: k["kid"] for k in keys}["ES256"] == fresh
    assert len(keys) == 2


def test_private_keys_are_sealed_and_need_the_secret(own_world: World) -> None:
    with own_world.database.read() as connection:
        sealed = connection.exec_driver_sql("SELECT private_sealed FROM signing_key").scalar()
    assert "PRIVATE" not in sealed
    stranger = Keyring(own_world.database, (Secret("x" * 32),), "ES256", own_world.clock)
    with pytest.raises(SettingsError, match="does not open the signing keys"):
        stranger.current().signer(own_world.clock())


def test_a_new_secret_opens_what_the_old_one_sealed(build: Build) -> None:
    old, new = Secret("o" * 32), Secret("n" * 32)
    first = build(secrets=(old,))
    browser = first.browser()
    request_id = first.open(browser)
    first.answer(request_id)
    code = first.poll(browser, request_id)["code"]
    second = build(secrets=(new, old))
    cookie = {"cookie": f"auth_agent_browser={browser.cookies['auth_agent_browser']}"}
    asked = second.browser().get(f"/api/check-status?request_id={request_id}", headers=cookie)
    assert asked.json()["code"] == code


def test_health_and_readiness(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.browser().get("/health").json() == {"status": "ok"}
    assert world.browser().get("/api/health").json() == {"status": "ok"}
    assert world.browser().get("/ready").status_code == 200


def test_a_lost_database_is_noticed(own_world: World) -> None:
    with own_world.database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE signing_key")
    assert own_world.browser().get("/ready").status_code == 503
    assert own_world.browser().get("/health").status_code == 200


def test_the_front_page_says_what_this_is(world: World) -> None:
    answer = world.browser().get("/")
    assert "Auth Agent server" in answer.text
    assert ISSUER in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/token/", 404),
        ("GET", "/token", 405),
        ("DELETE", "/authorize", 405),
        ("GET", "/api/auth-requests/%00", 404),
        ("POST", "/api/check-status", 405),
    ],
)
def test_wrong_addresses_are_answered_in_json(
    world: World, method: str, path: str, status: int
) -> None:
    answer = world.browser().request(method, path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "error_description"}


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke", "/api/agent/authenticate"])
def test_bodies_are_bounded_and_typed(world: World, path: str) -> None:
    big = world.browser().post(path, content=b"x" * 70_000)
    assert big.status_code == 413
    streamed = world.browser().post(path, content=iter([b"x" * 40_000] * 2))
    assert streamed.status_code == 413
    assert world.browser().post(path, content=b"<x/>").status_code == 415
    text = {"content-type": "text/plain"}
    assert world.browser().post(path, content=b"a=b", headers=text).status_code == 415


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
@pytest.mark.parametrize(
    "body", [b"a=%ff", b"a=%00", b"\xff=1", b"&".join(b"a%d=1" % i for i in range(200)), b"a=1&a=2"]
)
def test_broken_forms_are_400(world: World, path: str, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = world.browser().post(path, content=body, headers=headers, auth=world.basic())
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "body",
    [
        {"resource": ["https://a.example"] * 65},
        {f"p{number}": "x" for number in range(65)},
        {"resource": ["\0"]},
        {"resource": ["\ud800"]},
        {"resource": ["x" * 8_193]},
        {"resource": [["https://a.example"]]},
        {"resource": [5]},
        {"client_id": ["x"]},
        {"grant_type": {"a": "b"}},
        {"grant_type": 1e999},
    ],
)
def test_json_is_as_bounded_as_a_form(world: World, body: dict[str, Any]) -> None:
    content = json.dumps({"grant_type": "client_credentials", **body}).replace("Infinity", "1e999")
    answer = world.browser().post(
        "/token",
        content=content,
        headers={"content-type": "application/json"},
        auth=(world.agent.agent_id, world.agent.agent_secret.reveal()),
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_an_accident_shows_nothing(own_world: World, caplog: pytest.LogCaptureFixture) -> None:
    with own_world.database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE sign_in")
    answer = own_world.browser().get("/authorize", params=own_world.request(state="s3cret-state"))
    assert answer.status_code in (500, 503)
    assert "sign_in" not in answer.text
    assert "s3cret-state" not in caplog.text


def test_nothing_secret_is_ever_logged(own_world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = own_world.browser()
    request_id = own_world.open(browser)
    own_world.answer(request_id)
    code = own_world.poll(browser, request_id)["code"]
    tokens = own_world.redeem(code).json()
    again = own_world.refresh(tokens["refresh_token"]).json()
    own_world.refresh(tokens["refresh_token"])
    own_world.introspect(again["access_token"])
    own_world.redeem("ac_wrong", auth=(own_world.shop.client_id, "canary-secret"))
    tables = metadata.tables.values()
    with own_world.database.read() as connection:
        stored = repr([connection.execute(table.select()).all() for table in tables])
    for secret in (
        *(code, tokens["refresh_token"], tokens["access_token"], tokens["id_token"]),
        *(own_world.agent.agent_secret.reveal(), own_world.basic()[1], "canary-secret"),
        browser.cookies["auth_agent_browser"],
    ):
        assert secret not in caplog.text
        assert secret not in stored
    assert logging.getLogger("authlib.oauth2").getEffectiveLevel() >= logging.INFO
