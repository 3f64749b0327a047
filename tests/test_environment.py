"""Variables under our prefixes: misspelt ones stop the start, a platform's are passed over."""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.environment import as_boolean
from auth_agent.errors import SettingsError
from auth_agent.server.settings import ServerSettings
from auth_agent.website.config.settings import Settings

WEBSITE = {
    "AUTH_AGENT_ISSUER": "https://id.example",
    "AUTH_AGENT_CLIENT_ID": "client_shop",
    "AUTH_AGENT_CLIENT_SECRET": "cs_secret",
    "AUTH_AGENT_SECRET": "s" * 32,
    "AUTH_AGENT_BASE_URL": "https://shop.example",
}
SERVER = {
    "AUTH_AGENT_SERVER_ISSUER": "https://id.example",
    "AUTH_AGENT_SERVER_SECRET": "s" * 32,
}
SIDES = [(Settings, WEBSITE), (ServerSettings, SERVER)]


def _service(name: str, port: int, protocol: str = "tcp") -> dict[str, str]:
    """Sets what the kubelet puts into every container of a namespace with such a Service."""
    url, upper = f"{protocol}://10.0.0.5:{port}", protocol.upper()
    return {
        f"{name}_SERVICE_HOST": "10.0.0.5",
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_HTTP": str(port),
        f"{name}_PORT": url,
        f"{name}_PORT_{port}_{upper}": url,
        f"{name}_PORT_{port}_{upper}_PROTO": protocol,
        f"{name}_PORT_{port}_{upper}_PORT": str(port),
        f"{name}_PORT_{port}_{upper}_ADDR": "10.0.0.5",
    }


@pytest.mark.parametrize(("side", "good"), SIDES)
@pytest.mark.parametrize(
    "service",
    [
        _service("AUTH_AGENT", 8420),
        _service("AUTH_AGENT_SERVER", 443),
        _service("AUTH_AGENT_SERVER_V2", 53, "udp"),
        _service("AUTH_AGENT_AGENT", 9, "sctp"),
        _service("AUTH_AGENT_METRICS", 9090),
    ],
)
def test_variables_of_a_service_are_passed_over(
    side: Any, good: dict[str, str], service: dict[str, str]
) -> None:
    assert side.from_env({**good, **service}) == side.from_env(good)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("LIMIT_PENDNG", "LIMIT_PENDING"),
        ("SECRETS", "SECRET"),
        ("ISSUER_", "ISSUER"),
    ],
)
def test_a_misspelt_setting_of_the_server_stops_it(name: str, meant: str) -> None:
    with pytest.raises(SettingsError) as refused:
        ServerSettings.from_env({**SERVER, f"AUTH_AGENT_SERVER_{name}": "x"})
    assert refused.value.problems == (
        f"AUTH_AGENT_SERVER_{name} is not a setting: did you mean AUTH_AGENT_SERVER_{meant}?",
    )


@pytest.mark.parametrize(("side", "good"), SIDES)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "8420"),
        ("PORT", "http://10.0.0.5"),
        ("SERVICE_HOSTS", "x"),
        ("PORT_HTTP_TCP", "x"),
        ("PROTCT", "/private/*"),
        ("PORT_8420_TCP_HOST", "x"),
        ("X", ""),
    ],
)
def test_what_only_looks_like_a_platforms_is_refused(
    side: Any, good: dict[str, str], name: str, text: str
) -> None:
    prefix = "AUTH_AGENT_SERVER_" if side is ServerSettings else "AUTH_AGENT_"
    with pytest.raises(SettingsError, match=f"{prefix}{name} is not a setting"):
        side.from_env({**good, prefix + name: text})


def test_all_mistakes_of_a_server_are_told_at_once() -> None:
    wrong = {"TRUSTED_PROXY": "x", "CODE_LIFETIME": "soon", "LOG_FORMAT": "xml", "ISSUER": ""}
    with pytest.raises(SettingsError) as refused:
        ServerSettings.from_env({f"AUTH_AGENT_SERVER_{name}": text for name, text in wrong.items()})
    told = "\n".join(refused.value.problems)
    for name in (*wrong, "SECRET"):
        assert f"AUTH_AGENT_SERVER_{name} " in told


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("ON", True), ("1", True), (" yes ", True), ("off", False), ("No", False)],
)
def test_booleans_read_alike_on_both_sides(text: str, value: bool) -> None:
    website = Settings.from_env({**WEBSITE, "AUTH_AGENT_REPORT_ONLY": text})
    server = ServerSettings.from_env({**SERVER, "AUTH_AGENT_SERVER_CLIENT_DOCUMENTS": text})
    assert website.report_only is bool(server.client_documents) is value


def test_what_is_no_boolean_is_refused_on_both_sides() -> None:
    with pytest.raises(ValueError, match="must be true or false"):
        as_boolean("maybe")
    with pytest.raises(SettingsError, match="AUTH_AGENT_REPORT_ONLY must be true or false"):
        Settings.from_env({**WEBSITE, "AUTH_AGENT_REPORT_ONLY": "2"})
    name = "AUTH_AGENT_SERVER_UPSTREAM_COMPAT"
    with pytest.raises(SettingsError, match=f"{name} must be true or false"):
        ServerSettings.from_env({**SERVER, name: "enabled"})


def test_a_number_with_too_many_digits_is_refused() -> None:
    with pytest.raises(SettingsError, match="MAX_BODY is not a number"):
        ServerSettings.from_env({**SERVER, "AUTH_AGENT_SERVER_MAX_BODY": "9" * 5_000})
