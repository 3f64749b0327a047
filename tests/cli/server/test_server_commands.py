"""The commands that run and administer a server."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from handbook import commands
from typer.testing import CliRunner, Result

from auth_agent import Settings
from auth_agent.cli.program import app
from auth_agent.cli.server.files import new_key_pair
from auth_agent.cli.server.serve import _tell
from auth_agent.cli.server.storage import server_settings
from auth_agent.server import Database
from tests.services import free_port

runner = CliRunner()


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes a database to be copied."""
    path = tmp_path_factory.mktemp("commands") / "auth-agent.db"
    _run("migrate", "--database", f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def _clean_environment(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AUTH_AGENT"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AUTH_AGENT_SERVER_DATABASE", f"sqlite:///{tmp_path}/auth-agent.db")
    monkeypatch.chdir(tmp_path)
    shutil.copy(migrated, tmp_path)


def _run(*words: str, code: int = 0) -> Result:
    result = runner.invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result


def _json(*words: str) -> Any:
    return json.loads(_run(*words, "--json").stdout)


def test_a_website_from_birth_to_removal() -> None:
    made = _json("client", "add", "Shop", "--redirect-uri", "https://shop.example/cb")
    assert made["client_secret"].startswith("cs_")
    (listed,) = _json("client", "list")
    assert listed["client_id"] == made["client_id"]
    assert made["client_id"] in _run("client", "list").stdout
    fresh = _json("client", "rotate-secret", made["client_id"])
    assert fresh["client_secret"] != made["client_secret"]
    _run("client", "remove", made["client_id"])
    _run("client", "remove", made["client_id"], code=1)
    assert _json("client", "list") == []


def test_a_public_website_has_no_secret() -> None:
    made = _json("client", "add", "App", "--redirect-uri", "http://127.0.0.1/cb", "--public")
    assert made["client_secret"] is None


def test_an_agent_from_birth_to_its_end() -> None:
    made = _json(
        *("agent", "add", "ann@owner.example", "--name", "Ann", "--model", "m"),
        *("--scope", "openid email", "--permission", "read", "--require-origin", "--unverified"),
    )
    assert made["agent_secret"].startswith("ags_")
    (listed,) = _json("agent", "list")
    assert listed["scopes"] == ["openid", "email"]
    assert listed["permissions"] == ["read"]
    assert (listed["require_origin"], listed["email_verified"]) == (True, False)
    assert _json("agent", "rotate-secret", made["agent_id"])["agent_secret"]
    _run("agent", "disable", made["agent_id"])
    _run("agent", "disable", made["agent_id"], code=1)
    assert "disabled" in _run("agent", "list").stdout


def test_a_refusal_names_cause_and_remedy() -> None:
    result = _run("client", "add", "Shop", "--redirect-uri", "http://shop.example/cb", code=1)
    assert "use https" in result.stderr
    _run("client", "add", "Shop", code=2)
    _run("agent", "add", "nobody", code=1)


def test_keys_are_listed_and_rotated() -> None:
    assert _json("keys", "list") == []
    first = _json("keys", "rotate")["kid"]
    second = _json("keys", "rotate")["kid"]
    listed = _json("keys", "list")
    signing = [key for key in listed if key["algorithm"] == "ES256"]
    assert [key["kid"] for key in signing] == [second, first]
    assert [key["published_until"] is None for key in signing] == [True, False]
    # RS256 is what OpenID Connect expects by default; its keys rotate beside.
    assert {key["algorithm"] for key in listed} == {"ES256", "RS256"}
    assert "ES256" in _run("keys", "list").stdout


def test_keys_are_not_rotated_without_their_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTH_AGENT_SERVER_SECRET", "s" * 32)
    _run("keys", "rotate")
    before = _json("keys", "list")
    monkeypatch.delenv("AUTH_AGENT_SERVER_SECRET")
    refused = _run("keys", "rotate", code=1)
    assert "AUTH_AGENT_SERVER_SECRET is missing" in refused.stderr
    assert not list(tmp_path.glob("*.secret*"))
    # Nor with a secret that was made for something else.
    kept = tmp_path / "auth-agent.db.secret"
    kept.write_text("x" * 43)
    kept.chmod(0o600)
    refused = _run("keys", "rotate", code=1)
    assert "does not open the signing keys" in refused.stderr
    assert _json("keys", "list") == before


def test_a_rotation_from_a_shell_keeps_the_old_key_for_the_longest_token() -> None:
    """Allows for servers with longer lifetimes than the shell's environment has."""
    first = _json("keys", "rotate")["kid"]
    _json("keys", "rotate")
    old = next(key for key in _json("keys", "list") if key["kid"] == first)
    assert old["published_until"] >= time.time() + 86_400


def test_migrate_can_be_run_twice(tmp_path: Path) -> None:
    (tmp_path / "auth-agent.db").unlink()
    _run("migrate")
    _run("migrate")
    database = Database.open(f"sqlite:///{tmp_path}/auth-agent.db")
    assert database.migrate() is False
    database.close()


def _with_a_database() -> Iterator[tuple[str, list[str]]]:
    """Yields each command that has `--database`, and the words that call it."""
    values = {"redirect_uri": "https://shop.example/cb", "email": "ann@owner.example"}
    options = {
        "agent signing-key add": ["--new", "key.pem"],
        "agent update": ["--name", "x"],
        "client update": ["--name", "x"],
        "serve": ["--port", str(free_port())],
    }
    for name, command in commands.tree():
        if any(parameter.name == "database" for parameter in command.params):
            words = name.split()
            for each in command.params:
                if each.required:
                    named = [option for option in each.opts if option.startswith("--")]
                    words += [*named[:1], values.get(each.name, "x")]
            yield name, words + options.get(name, [])


@pytest.mark.parametrize(
    ("revision", "told"),
    [
        ("0010", "the database is older than this program"),
        ("9999", "this program is older than the database"),
    ],
)
def test_only_migrate_changes_the_schema_under_a_server(
    tmp_path: Path, revision: str, told: str
) -> None:
    """Every command that works on the database says which of the two is older."""
    _run("keys", "rotate")
    database = Database.open(f"sqlite:///{tmp_path}/auth-agent.db")
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))
    found = dict(_with_a_database())
    assert len(found) > 20
    for name, words in found.items():
        if revision == "9999" or name not in ("serve", "migrate"):  # these two migrate it
            result = _run(*words, code=1)
            assert told in result.stderr, (name, result.output)
            assert ("auth-agent migrate" in result.stderr) is (revision == "0010")
    assert database.revision() == revision
    database.close()


def test_a_database_that_is_none_is_told() -> None:
    result = _run("migrate", "--database", "sqlite:////nowhere/at/all.db", code=1)
    assert "there is no folder /nowhere/at" in result.stderr
    assert "Traceback" not in result.output


def test_serve_refuses_wrong_settings() -> None:
    result = _run("serve", "--host", "0.0.0.0", "--port", str(free_port()), code=1)  # noqa: S104
    assert "AUTH_AGENT_SERVER_ISSUER" in result.stderr
    assert "AUTH_AGENT_SERVER_SECRET" in result.stderr
    result = _run("serve", "--port", str(free_port()), "--issuer", "http://id.example", code=1)
    assert "use https" in result.stderr
    _run("serve", "--port", "99999999", code=2)


def test_upstream_compat_is_for_loopback_issuers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_AGENT_SERVER_SECRET", "s" * 32)
    port = ("--port", str(free_port()))
    issuer = ("--issuer", "https://id.example")
    result = _run("serve", *port, *issuer, "--upstream-compat", code=1)
    assert "UPSTREAM_COMPAT" in result.stderr


def test_every_command_has_help_and_names_its_exit_codes() -> None:
    for words in (
        *(["serve"], ["migrate"], ["client", "add"], ["client", "list"], ["client", "remove"]),
        *(["client", "rotate-secret"], ["agent", "add"], ["agent", "list"], ["agent", "disable"]),
        *(["agent", "rotate-secret"], ["keys", "list"], ["keys", "rotate"]),
    ):
        assert "Exit codes" in _run(*words, "--help").stdout, words


def test_help_loads_nothing_heavy() -> None:
    probe = (
        "import sys; from auth_agent.cli.program import app\n"
        "assert not {'sqlalchemy', 'starlette', 'authlib', 'alembic'} & set(sys.modules)"
    )
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", probe], check=True)
    assert time.monotonic() - started < 10


def test_keys_instead_of_secrets(tmp_path: Path) -> None:
    from tests.server.keys import Pair

    pair = Pair()
    (tmp_path / "key.pem").write_text(pair.pem)
    (tmp_path / "keys.json").write_text(pair.jwks)
    made = _json(*("agent", "add", "ann@owner.example", "--public-key", f"{tmp_path}/key.pem"))
    assert made["agent_secret"] is None
    _run("agent", "rotate-secret", made["agent_id"], code=1)
    made = _json(
        *("client", "add", "Shop", "--redirect-uri", "https://shop.example/cb"),
        *("--jwks", f"{tmp_path}/keys.json"),
        *("--backchannel-logout-uri", "https://shop.example/out"),
    )
    assert made["client_secret"] is None
    (listed,) = _json("client", "list")
    assert listed["backchannel_logout_uri"] == "https://shop.example/out"
    (tmp_path / "key.pem").write_text("nonsense")
    result = _run("agent", "add", "a@b.example", "--public-key", f"{tmp_path}/key.pem", code=1)
    assert "neither PEM nor JSON" in result.stderr


def test_an_agent_is_changed_and_enabled_again(tmp_path: Path) -> None:
    made = _json("agent", "add", "ann@owner.example", "--display-name", "Shopping agent")
    _, key = _key_pair()
    (tmp_path / "public.pem").write_text(key)
    changed = _json(
        *("agent", "update", made["agent_id"], "--display-name", "Buyer", "--model", "m2"),
        *("--scope", "openid email", "--permission", "buy", "--public-key", "public.pem"),
    )
    assert (changed["display_name"], changed["model"]) == ("Buyer", "m2")
    assert (changed["scopes"], changed["permissions"]) == (["openid", "email"], ["buy"])
    assert (changed["has_key"], changed["require_origin"]) == (True, True)
    _run("agent", "rotate-secret", made["agent_id"], code=1)  # its secret is gone
    assert _json("agent", "update", made["agent_id"], "--any-scope")["scopes"] is None
    _run("agent", "enable", made["agent_id"], code=1)
    _run("agent", "disable", made["agent_id"])
    _run("agent", "enable", made["agent_id"])
    assert "active" in _run("agent", "list").stdout


def test_changes_name_something_that_exists() -> None:
    _run("agent", "update", "agent_nobody", "--model", "m", code=1)
    _run("client", "update", "client_nobody", "--name", "m", code=1)
    made = _json("agent", "add", "ann@owner.example")
    _run("agent", "update", made["agent_id"], code=2)
    result = _run("agent", "update", made["agent_id"], "--display-name", "x" * 81, code=1)
    assert "80 characters" in result.stderr


def test_a_website_is_changed() -> None:
    made = _json("client", "add", "Shop", "--redirect-uri", "https://shop.example/cb")
    changed = _json(
        *("client", "update", made["client_id"], "--redirect-uri", "https://new.example/cb"),
        *("--scope", "openid reports:read", "--resource", "https://new.example/api"),
    )
    assert changed["redirect_uris"] == ["https://new.example/cb"]
    assert changed["scopes"] == ["openid", "reports:read"]
    assert (changed["name"], changed["resources"]) == ("Shop", ["https://new.example/api"])
    _, key = _key_pair()
    Path("public.pem").write_text(key)
    assert _json("client", "update", made["client_id"], "--jwks", "public.pem")["has_keys"]
    _run("client", "rotate-secret", made["client_id"], code=1)
    result = _run(
        "client", "update", made["client_id"], "--redirect-uri", "http://x.example", code=1
    )
    assert "use https" in result.stderr


def test_what_a_website_was_added_with_can_be_changed() -> None:
    made = _json(
        *("client", "add", "Shop", "--redirect-uri", "https://shop.example/cb", "--dpop"),
        *("--id-token-alg", "RS256", "--strict-audience"),
    )
    (row,) = _json("client", "list")
    wanted = {"dpop_bound": True, "id_token_alg": "RS256", "strict_audience": True}
    assert {name: row[name] for name in wanted} == wanted
    change = ("client", "update", made["client_id"])
    for option, name, value in (
        ("--no-dpop", "dpop_bound", False),
        ("--dpop", "dpop_bound", True),
        ("--no-strict-audience", "strict_audience", False),
        ("--strict-audience", "strict_audience", True),
        ("--logout-session", "backchannel_logout_session_required", True),
        ("--no-logout-session", "backchannel_logout_session_required", False),
    ):
        wanted[name] = value
        row = _json(*change, option)
        assert {name: row[name] for name in wanted} == wanted, option
    bye = ["https://shop.example/bye"]
    after = (*change, "--post-logout-redirect-uri")
    assert _json(*after, *bye)["post_logout_redirect_uris"] == bye
    assert _json(*after, "")["post_logout_redirect_uris"] == []
    assert _json(*change, "--id-token-alg", "EdDSA")["id_token_alg"] == "EdDSA"
    assert _json(*change, "--id-token-alg", "")["id_token_alg"] is None
    assert "HS256" in _run(*change, "--id-token-alg", "HS256", code=1).output


def test_an_agent_that_has_to_prove_a_key() -> None:
    made = _json("agent", "add", "ann@owner.example", "--dpop")
    (row,) = _json("agent", "list")
    assert row["dpop_bound"] is True
    assert _json("agent", "update", made["agent_id"], "--no-dpop")["dpop_bound"] is False
    assert _json("agent", "update", made["agent_id"], "--dpop")["dpop_bound"] is True


def test_a_website_s_variables_are_written_not_copied(tmp_path: Path) -> None:
    redirect = "http://127.0.0.1:8000/doors/callback"
    Path(".env").write_text("DEBUG=1")
    made = _json(
        *("client", "add", "Shop", "--redirect-uri", redirect, "--env", ".env"),
        *("--scope", "openid reports:read"),
    )
    assert stat.S_IMODE(os.stat(".env").st_mode) == 0o600
    found = dotenv(Path(".env"))
    assert found.pop("DEBUG") == "1"
    settings = Settings.from_env(found)
    assert (settings.client_id, settings.issuer) == (made["client_id"], "http://127.0.0.1:8420")
    assert settings.redirect_uri == redirect
    assert settings.scope == "openid reports:read"
    # A second website does not overwrite the first, and is not made.
    result = _run("client", "add", "B", "--redirect-uri", redirect, "--env", ".env", code=1)
    assert "AUTH_AGENT_CLIENT_ID" in result.stderr
    _run("client", "add", "B", "--redirect-uri", redirect, "--env", "no/folder/.env", code=1)
    result = _run("client", "add", "B", "--redirect-uri", redirect, "--env", "/dev/null", code=1)
    assert "no file" in result.stderr
    assert len(_json("client", "list")) == 1


def test_an_agent_s_key_is_made_and_found() -> None:
    made = _json(
        *("agent", "add", "ann@owner.example", "--model", "m", "--new-key", "agent.pem"),
        *("--env", "agent.env"),
    )
    assert made["agent_secret"] is None
    for name in ("agent.pem", "agent.env"):
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    assert "BEGIN PRIVATE KEY" in Path("agent.pem").read_text()
    assert dotenv(Path("agent.env")) == {
        "AUTH_AGENT_AGENT_ID": made["agent_id"],
        "AUTH_AGENT_AGENT_ISSUER": "http://127.0.0.1:8420",
        "AUTH_AGENT_AGENT_MODEL": "m",
        "AUTH_AGENT_AGENT_PRIVATE_KEY": str(Path("agent.pem").absolute()),
    }
    result = _run("agent", "add", "bob@owner.example", "--new-key", "agent.pem", code=1)
    assert "not overwritten" in result.stderr
    assert len(_json("agent", "list")) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("client", "list"),
        ("client", "add", "Shop", "--redirect-uri", "https://shop.example/cb"),
        ("agent", "add", "ann@owner.example"),
        ("keys", "rotate"),
        ("admin", "list"),
    ],
)
def test_no_database_is_made_by_accident(tmp_path: Path, words: tuple[str, ...]) -> None:
    elsewhere = tmp_path / "elsewhere.db"
    result = _run(*words, "--database", f"sqlite:///{elsewhere}", code=1)
    assert str(elsewhere) in result.stderr
    assert "auth-agent migrate" in result.stderr
    assert not elsewhere.exists()


def test_the_database_that_a_command_works_on_is_said(tmp_path: Path) -> None:
    assert f"Database: {tmp_path}/auth-agent.db" in _run("client", "list").stderr
    url = "postgresql://me:hunter2@127.0.0.1:1/none"
    result = _run("client", "list", "--database", url, code=1)
    assert "127.0.0.1" in result.stderr
    assert "hunter2" not in result.output
    _run("client", "list", "--database", "auth.db", code=1)


def test_a_taken_port_is_found_before_anything_is_promised() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = _run("serve", "--port", str(port), code=1)
    assert f"port {port} is taken" in result.stderr
    assert "stop that one or" in result.stderr
    assert "--port" in result.stderr
    assert "listens" not in result.stderr


@pytest.mark.parametrize(("host", "lacks"), [("127.0.0.1", True), ("localhost", False)])
def test_the_start_says_where_passkeys_work(
    capsys: pytest.CaptureFixture[str], host: str, lacks: bool
) -> None:
    _tell(server_settings(issuer=f"http://{host}:8420"), host, 8420, 1)
    said = "passkeys   none at an IP address; with --host localhost" in capsys.readouterr().err
    assert said is lacks


def _key_pair() -> tuple[str, str]:
    return new_key_pair(Path("unused.pem"))


def dotenv(path: Path) -> dict[str, str]:
    """As a shell reads the file."""
    script = f"set -a; . {path.absolute()}; env -0"
    shown = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    found = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)
    return {name: value for name, value in found.items() if name not in ("PWD", "_", "SHLVL")}
