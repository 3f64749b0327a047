"""Clients that register themselves (RFC 7591): what they get, and what they cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from auth_agent.errors import SettingsError
from auth_agent.server import ServerSettings
from auth_agent.server.registry import clients
from auth_agent.server.registry.resources import add_resource
from auth_agent.server.storage.tables.parties import client
from tests.server.conftest import Build
from tests.server.world import ISSUER, REDIRECT, World

CALLBACK = "http://127.0.0.1/callback"
NATIVE = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
DAY = 86_400


def _register(world: World, **changes: Any) -> Any:
    body = {name: value for name, value in {**NATIVE, **changes}.items() if value is not None}
    return world.browser().post("/register", json=body)


def _ask(world: World, client_id: str, **changes: Any) -> Any:
    request = world.request(client_id=client_id, **{"redirect_uri": CALLBACK, **changes})
    return world.browser().get("/authorize", params=request)


def _clients(world: World) -> int:
    with world.database.read() as connection:
        found = select(func.count()).where(client.c.origin == "open")
        return int(connection.execute(found).scalar_one())


def test_on_a_loopback_issuer_anybody_registers(own_world: World) -> None:
    metadata = own_world.browser().get("/.well-known/oauth-authorization-server").json()
    assert metadata["registration_endpoint"] == f"{ISSUER}/register"
    answer = _register(own_world)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["token_endpoint_auth_method"], "client_secret" in made) == ("none", False)
    code = own_world.code(client_id=made["client_id"], redirect_uri=CALLBACK)
    told = own_world.redeem(code, auth=None, client_id=made["client_id"], redirect_uri=CALLBACK)
    assert told.status_code == 200, told.text


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, "open"),
        ({"client_registration": "off"}, "off"),
        ({"issuer": "https://id.example"}, "off"),
        ({"issuer": "https://id.example", "client_registration": "open"}, "open"),
        ({"registration_token": "t" * 16}, "token"),
        ({"registration_token": "t" * 16, "client_registration": "open"}, "open"),
        ({"registration_token": "t" * 16, "client_registration": "token"}, "token"),
    ],
)
def test_who_may_register(settings: dict[str, str], mode: str) -> None:
    environ = {"ISSUER": ISSUER, "SECRET": "s" * 32, **{n.upper(): v for n, v in settings.items()}}
    prefixed = {f"AUTH_AGENT_SERVER_{name}": value for name, value in environ.items()}
    assert ServerSettings.from_env(prefixed).registers_clients == mode


@pytest.mark.parametrize("value", ["opened", "token"])
def test_a_wrong_mode_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="CLIENT_REGISTRATION"):
        ServerSettings(issuer=ISSUER, client_registration=value)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"scope": "openid admin"}, {"scope": "openid"}),
        ({"scope": "admin"}, {"scope": "openid profile email agent"}),
        ({"scope": "openid invoices:read"}, {"scope": "openid invoices:read"}),
        ({}, {"scope": "openid profile email agent invoices:read"}),
        (
            {
                "grant_types": [
                    "authorization_code",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ]
            },
            {"grant_types": ["authorization_code", "refresh_token"]},
        ),
        ({"response_types": ["code", "code id_token"]}, {"response_types": ["code"]}),
        ({}, {"id_token_signed_response_alg": "RS256"}),
        (
            {"id_token_signed_response_alg": "ES256"},
            {"id_token_signed_response_alg": "ES256"},
        ),
        (
            {"id_token_signed_response_alg": "none"},
            {"id_token_signed_response_alg": "RS256"},
        ),
        (
            {"backchannel_logout_session_required": True},
            {"backchannel_logout_session_required": True},
        ),
    ],
)
def test_what_cannot_be_had_is_replaced_and_told(
    own_world: World, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    """Follows RFC 7591 section 3.2.1."""
    add_resource(
        own_world.database, "https://m.example/mcp", scopes=["invoices:read"], now=1_800_000_000
    )
    answer = _register(own_world, **asked)
    assert answer.status_code == 201, answer.text
    assert {name: answer.json()[name] for name in told} == told


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://shop.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["data:text/html,x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["urn:ietf:wg:oauth:2.0:oob"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["app.example:"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["app.example:/a b"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["app.example:/cb#x"]}, "invalid_redirect_uri"),
        (
            {
                "redirect_uris": ["app.example:/cb"],
                "token_endpoint_auth_method": "client_secret_basic",
            },
            "invalid_redirect_uri",
        ),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"response_types": ["token"]}, "invalid_client_metadata"),
        ({"scope": 5}, "invalid_client_metadata"),
        ({"id_token_signed_response_alg": 5}, "invalid_client_metadata"),
        ({"backchannel_logout_session_required": 1}, "invalid_client_metadata"),
        ({"post_logout_redirect_uris": "x"}, "invalid_client_metadata"),
        ({"post_logout_redirect_uris": ["/x"]}, "invalid_redirect_uri"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
    ],
)
def test_what_is_not_acceptable_is_refused(
    own_world: World, change: dict[str, Any], error: str
) -> None:
    answer = _register(own_world, **change)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert _clients(own_world) == 0


def test_a_client_that_nobody_approved_sends_nobody_anywhere(own_world: World) -> None:
    """Avoids an open redirector that anyone could register (RFC 9700 section 4.11.2)."""
    evil = "https://evil.example/cb"
    client_id = _register(own_world, redirect_uris=[evil]).json()["client_id"]
    wrong = _ask(own_world, client_id, redirect_uri=evil, scope="admin")
    assert (wrong.status_code, "location" in wrong.headers) == (400, False)
    assert wrong.headers["content-type"].startswith("text/html")
    browser = own_world.browser()
    request_id = own_world.open(browser, client_id=client_id, redirect_uri=evil)
    cancelled = browser.post("/authorize/cancel", data={"request_id": request_id})
    assert (cancelled.status_code, "location" in cancelled.headers) == (403, False)
    own_world.code(client_id=client_id, redirect_uri=evil)
    told = _ask(own_world, client_id, redirect_uri=evil, scope="admin")
    assert told.status_code == 303
    assert told.headers["location"].startswith(evil)


def test_a_page_of_any_origin_may_register(own_world: World) -> None:
    headers = {
        "origin": "https://inspector.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type, mcp-protocol-version",
    }
    answer = own_world.browser().options("/register", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "mcp-protocol-version" in answer.headers["access-control-allow-headers"]


def test_registrations_are_bounded_and_forgotten(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "MOST_SELF_MADE", 2)
    first, _second = (_register(own_world).json()["client_id"] for _ in range(2))
    full = _register(own_world)
    assert (full.status_code, full.json()["error"]) == (503, "temporarily_unavailable")
    code = own_world.code(client_id=first, redirect_uri=CALLBACK)
    own_world.redeem(code, auth=None, client_id=first, redirect_uri=CALLBACK)
    own_world.clock.forward(DAY + 1)
    own_world.context.sweeper.sweep(own_world.context.now())
    assert _clients(own_world) == 1
    assert _register(own_world).status_code == 201
    assert _ask(own_world, first).status_code == 200


def test_registrations_are_limited_per_address(build: Build) -> None:
    world = build(limit_registrations=2)
    assert [_register(world).status_code for _ in range(3)] == [201, 201, 429]


def test_a_registered_client_gets_its_id_tokens_in_rs256(own_world: World) -> None:
    client_id = _register(own_world).json()["client_id"]
    code = own_world.code(client_id=client_id, redirect_uri=CALLBACK)
    tokens = own_world.redeem(code, auth=None, client_id=client_id, redirect_uri=CALLBACK).json()
    import jwt

    assert jwt.get_unverified_header(tokens["id_token"])["alg"] == "RS256"
    assert jwt.get_unverified_header(tokens["access_token"])["alg"] == "ES256"
    assert own_world.verified(tokens["id_token"], client_id)["at_hash"]


@pytest.mark.parametrize(
    ("uris", "method"),
    [
        ([CALLBACK], "none"),
        (["http://localhost:3000/cb", "app.example:/cb"], "none"),
        ([CALLBACK, REDIRECT], "client_secret_basic"),
        ([REDIRECT], "client_secret_basic"),
    ],
)
def test_an_app_that_does_not_say_how_it_authenticates_is_public(
    own_world: World, uris: list[str], method: str
) -> None:
    """As the client of the MCP SDK registers by default."""
    told = _register(own_world, redirect_uris=uris, token_endpoint_auth_method=None).json()
    assert told["token_endpoint_auth_method"] == method
    assert ("client_secret" in told) is (method != "none")


def test_the_secret_of_a_confidential_client_is_told_once(own_world: World) -> None:
    made = _register(
        own_world, redirect_uris=[REDIRECT], token_endpoint_auth_method="client_secret_post"
    ).json()
    assert made["client_secret"].startswith("cs_")
    code = own_world.code(client_id=made["client_id"])
    auth = (made["client_id"], made["client_secret"])
    assert own_world.redeem(code, auth=auth).status_code == 200
