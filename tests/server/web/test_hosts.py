"""Which Host headers a loopback server answers: DNS rebinding must not make it same-origin."""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings
from tests.server.conftest import Build
from tests.server.world import ISSUER, World


def _ask(world: World, host: str, path: str = "/health") -> Any:
    return world.browser().get(path, headers={"host": host})


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8420",
        "127.0.0.1",
        "127.9.9.9:1",
        "localhost:8420",
        "LOCALHOST",
        "id.localhost:8420",
        "[::1]:8420",
        "localhost.:8420",
    ],
)
def test_loopback_names_are_answered(world: World, host: str) -> None:
    assert _ask(world, host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8420",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "[::1].evil.example",
        "10.0.0.1:8420",
        "",
        "localhost:84x0",
        "localhost " + "x" * 400,
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/health", "/authorize", "/static/x", "/console"])
def test_other_names_are_not(world: World, host: str, path: str) -> None:
    assert _ask(world, host, path).status_code == 421


def test_registration_is_closed_to_a_rebound_page(world: World) -> None:
    body = {"agent_id": "rebound", "agent_secret": "s" * 20, "owner_email": "eve@owner.example"}
    answer = world.browser().post(
        "/api/register-agent", json=body, headers={"host": "evil.example"}
    )
    assert (answer.status_code, answer.json()["error"]) == (421, "misdirected_request")


def test_a_proxy_may_pass_another_name_on(build: Build) -> None:
    world = build(allowed_hosts=("id.internal", "[2001:db8::1]"))
    for host in ("id.internal", "ID.internal:80", "[2001:db8::1]:8420"):
        assert _ask(world, host).status_code == 200
    assert _ask(world, "other.internal").status_code == 421


def test_a_public_server_is_reached_by_any_name(build: Build) -> None:
    world = build(issuer="https://id.example", secrets=(Secret("s" * 32),))
    assert _ask(world, "10.0.0.5:8420").status_code == 200


def test_the_variable_holds_a_list() -> None:
    environ = {"AUTH_AGENT_SERVER_ISSUER": ISSUER}
    name = "AUTH_AGENT_SERVER_ALLOWED_HOSTS"
    settings = ServerSettings.from_env({**environ, name: "id.internal, [::2]"})
    assert settings.allowed_hosts == ("id.internal", "[::2]")
    with pytest.raises(SettingsError, match="ALLOWED_HOSTS contains"):
        ServerSettings.from_env({**environ, name: "https://id.internal"})
