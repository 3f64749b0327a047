"""Settings, registration, schema, sweeping: what happens outside requests."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings
from auth_agent.server.registry import agents, clients, rules
from auth_agent.server.security.credentials import SecretVerifier, hash_secret
from auth_agent.server.security.secret_file import server_secrets
from auth_agent.server.storage.database import shown_url
from auth_agent.server.storage.tables.metadata import metadata
from auth_agent.server.tokens import endings
from tests.server.world import World

GOOD = "s" * 32


def _environ(**changes: str) -> dict[str, str]:
    good = {"ISSUER": "https://id.example", "SECRET": GOOD}
    return {f"AUTH_AGENT_SERVER_{k}": v for k, v in {**good, **changes}.items()}


def test_the_environment_is_read() -> None:
    settings = ServerSettings.from_env(
        _environ(SECRET=f"{GOOD}, {'t' * 32}", REQUEST_LIFETIME="300", SCOPES="reports:read")
    )
    assert settings.secrets == (Secret(GOOD), Secret("t" * 32))
    assert settings.request_lifetime == 300
    assert settings.scopes == ("openid", "profile", "email", "agent", "reports:read")
    assert GOOD not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ISSUER": ""}, "ISSUER"),
        ({"ISSUER": "http://id.example"}, "ISSUER"),
        ({"ISSUER": "http://127.0.0.1.evil.example"}, "ISSUER"),
        ({"ISSUER": "https://id.example/"}, "ISSUER"),
        ({"ISSUER": "https://ID.example"}, "ISSUER"),
        ({"ISSUER": "https://id.example:443"}, "ISSUER"),
        ({"ISSUER": "https://id.example?x=1"}, "ISSUER"),
        ({"ISSUER": "https://id.example#x"}, "ISSUER"),
        ({"ISSUER": "https://u:p@id.example"}, "ISSUER"),
        ({"ISSUER": "https://id.example:port"}, "ISSUER"),
        ({"ISSUER": "ftp://id.example"}, "ISSUER"),
        ({"SECRET": ""}, "SECRET"),
        ({"SECRET": "short"}, "SECRET"),
        ({"SECRET": f"{GOOD},short"}, "SECRET"),
        ({"CODE_LIFETIME": "61"}, "CODE_LIFETIME"),
        ({"REQUEST_LIFETIME": "ten"}, "REQUEST_LIFETIME"),
        ({"FAMILY_LIFETIME": "600"}, "FAMILY_LIFETIME"),
        ({"SIGNING_ALGORITHM": "HS256"}, "SIGNING_ALGORITHM"),
        ({"SCOPES": 'a"b'}, "SCOPES"),
        ({"SQLITE_SYNCHRONOUS": "OFF"}, "SQLITE_SYNCHRONOUS"),
        ({"ISSUER": "https://id.example?x"}, "ISSUER"),
        ({"ISSUER": "https://id.example/a#b"}, "ISSUER"),
        ({"TRUSTED_PROXIES": "10.0.0.1, proxy.example"}, "TRUSTED_PROXIES"),
        ({"REDIS": "127.0.0.1:6379"}, "REDIS"),
        ({"LIMIT_CALLS": "0"}, "LIMIT_CALLS"),
        ({"AGENT_REGISTRATION": "yes"}, "AGENT_REGISTRATION"),
        ({"AGENT_REGISTRATION": "token"}, "REGISTRATION_TOKEN"),
        ({"REGISTRATION_TOKEN": "short"}, "REGISTRATION_TOKEN"),
        ({"CLIENT_DOCUMENTS": "perhaps"}, "CLIENT_DOCUMENTS"),
        ({"DATABASE": "auth-agent.db"}, "DATABASE"),
        ({"UPSTREAM_COMPAT": "true"}, "UPSTREAM_COMPAT"),
        ({"UPSTREAM_COMPAT": "perhaps"}, "UPSTREAM_COMPAT"),
    ],
)
def test_a_mistake_names_its_variable(changes: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ServerSettings.from_env(_environ(**changes))
    (problem,) = caught.value.problems
    assert f"AUTH_AGENT_SERVER_{named}" in problem
    assert GOOD not in problem


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        ServerSettings.from_env(_environ(ISSUER="x", SECRET="y", CODE_LIFETIME="z"))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "url",
    [
        *("postgresql+asyncpg://h/x", "postgresql+psycopg2://h/x", "sqlite+aiosqlite:///a.db"),
        *(
            "mysql://h/x",
            "postgresql://h:port/x",
            "postgresql://u:y@[::1/x",
            "auth-agent.db",
            "://",
        ),
        *("postgresql://u:se@cret@h/x", "se cret://h/x"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_at_once(url: str) -> None:
    with pytest.raises(SettingsError, match="AUTH_AGENT_SERVER_DATABASE ") as caught:
        ServerSettings.from_env(_environ(DATABASE=url))
    assert len(caught.value.problems) == 1
    assert "cret" not in str(caught.value)


def test_what_is_shown_of_a_database_holds_no_password() -> None:
    shown = shown_url("postgresql://ann:secret@db.example:5433/x?password=secret&sslkey=secret")
    assert shown == "postgresql://ann:***@db.example:5433/x"


@pytest.mark.parametrize("url", ["http://h", "redis://h:port/0", "redis://[::1/0", "h:6379"])
def test_a_redis_that_cannot_be_used_is_named_at_once(url: str) -> None:
    with pytest.raises(SettingsError, match="AUTH_AGENT_SERVER_REDIS is not a Redis URL"):
        ServerSettings.from_env(_environ(REDIS=url))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"])
def test_http_is_for_loopback_hosts(host: str) -> None:
    assert ServerSettings(issuer=f"http://{host}:8420").is_loopback


def test_a_loopback_server_keeps_its_secret_beside_the_database(tmp_path: Path) -> None:
    settings = ServerSettings(issuer="http://localhost", database=f"sqlite:///{tmp_path}/a.db")
    (first,) = server_secrets(settings)
    path = tmp_path / "a.db.secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server_secrets(settings) == (first,)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SettingsError):
        ServerSettings(issuer="http://localhost", database="postgresql://db/x")


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    settings = ServerSettings(issuer="http://localhost", database=f"sqlite:///{tmp_path}/a.db")
    server_secrets(settings)
    path = tmp_path / "a.db.secret"
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        server_secrets(settings)
    path.chmod(0o600)
    assert server_secrets(settings)
    for damaged in (b"\xff" * 64, b"", b"\0\xfe" * 40):
        path.write_bytes(damaged)
        with pytest.raises(SettingsError, match="no usable secret"):
            server_secrets(settings)


@pytest.mark.parametrize(
    "uri",
    [
        *("http://shop.example/cb", "https://shop.example/cb#x", "/cb", "javascript:alert(1)"),
        *("https://u@shop.example/", "https://shop.example/a b", "https://shop.example/\n", ""),
        *("https://shop.example\\@evil.example/", "http://127.0.0.1.evil.example/"),
    ],
)
def test_a_bad_redirect_uri_is_not_registered(own_world: World, uri: str) -> None:
    with pytest.raises(rules.RegistrationError):
        clients.add_client(own_world.database, "X", [uri], now=own_world.context.now())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"redirect_uris": []}, "redirect"),
        ({"scopes": ["a b"]}, "scope"),
        ({"resources": ["api"]}, "resource"),
    ],
)
def test_a_bad_website_is_not_registered(
    own_world: World, change: dict[str, Any], named: str
) -> None:
    values = {"name": "X", "redirect_uris": ["https://x.example/"], **change}
    with pytest.raises(rules.RegistrationError, match=named):
        clients.add_client(own_world.database, **values, now=own_world.context.now())


@pytest.mark.parametrize("email", ["", "ann", "a@b@c", "a b@c", "a@b\n"])
def test_a_bad_address_is_not_registered(own_world: World, email: str) -> None:
    with pytest.raises(rules.RegistrationError):
        agents.add_agent(own_world.database, email, now=own_world.context.now())


def test_lists_hold_no_secrets(own_world: World) -> None:
    shown = repr(clients.list_clients(own_world.database) + agents.list_agents(own_world.database))
    assert "secret" not in shown
    assert "$2b$" not in shown
    assert endings.remove_client(
        own_world.database, own_world.other.client_id, own_world.context.now()
    )
    assert not endings.remove_client(
        own_world.database, own_world.other.client_id, own_world.context.now()
    )
    assert len(clients.list_clients(own_world.database)) == 2
    assert (
        clients.rotate_client_secret(
            own_world.database, own_world.phone.client_id, own_world.context.now()
        )
        is None
    )
    assert (
        agents.rotate_agent_secret(own_world.database, "agent_none", own_world.context.now())
        is None
    )
    assert not endings.disable_agent(own_world.database, "agent_none", own_world.context.now())


def test_a_rotated_client_secret_counts_at_once(own_world: World) -> None:
    assert own_world.tokens()
    fresh = clients.rotate_client_secret(
        own_world.database, own_world.shop.client_id, own_world.context.now()
    )
    assert fresh
    code = own_world.code()
    assert own_world.redeem(code).status_code == 401
    auth = (own_world.shop.client_id, fresh.reveal())
    assert own_world.redeem(code, auth=auth).status_code == 200


def test_a_failed_transaction_leaves_nothing(own_world: World) -> None:
    def fail() -> None:
        with own_world.database.begin() as connection:
            connection.exec_driver_sql("DELETE FROM client WHERE agent_id IS NOT NULL")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with own_world.database.read() as connection:
        left = "SELECT count(*) FROM client WHERE agent_id IS NOT NULL"
        assert connection.exec_driver_sql(left).scalar()


def test_expired_rows_are_swept(own_world: World) -> None:
    own_world.open(own_world.browser())
    tokens = own_world.tokens()
    own_world.refresh(tokens["refresh_token"])
    sweep = own_world.context.sweeper.sweep
    assert sweep(own_world.context.now()) == 0
    assert sweep(own_world.context.now() + 600 + 3_601) == 1
    assert sweep(own_world.context.now() + 2 * 86_400) == 1
    assert sweep(own_world.context.now() + 31 * 86_400) == 2
    for table in ("sign_in", "token_family", "spent_refresh_token"):
        with own_world.database.read() as connection:
            assert connection.execute(select(metadata.tables[table])).all() == []


def test_a_verified_secret_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    import bcrypt

    now, calls = [0.0], []
    real = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *a: calls.append(1) or real(*a))
    verifier, stored = SecretVerifier(lambda: now[0]), hash_secret("right")
    assert verifier.verify(stored, "right")
    assert verifier.verify(stored, "right")
    assert len(calls) == 1
    assert not verifier.verify(stored, "wrong")
    assert not verifier.verify(hash_secret("other"), "right")
    assert not verifier.verify(stored, "x" * 73)
    assert len(calls) == 3
    now[0] = 301.0
    assert verifier.verify(stored, "right")
    assert len(calls) == 4
