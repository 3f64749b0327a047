"""The `.env` of a folder, from which the agent's commands take an identity as a whole."""

from __future__ import annotations

import os
import stat

import pytest
from typer.testing import CliRunner

from auth_agent.cli.agent.dotenv import add_identity, trim
from auth_agent.cli.program import app
from tests.sdk.conftest import World, _world, agent_key, world  # noqa: F401  # fixtures

WHOLE = {
    "AUTH_AGENT_AGENT_ID": "agent_x",
    "AUTH_AGENT_AGENT_ISSUER": "https://id.example",
    "AUTH_AGENT_AGENT_SECRET": "ags_x",
}


@pytest.fixture
def write(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / ".env"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def test_blanks_around_values_go_but_not_those_of_a_password():
    environ = {
        "AUTH_AGENT_AGENT_SECRET": " ags_x\r\n",
        "AUTH_AGENT_SERVER_DATABASE": "sqlite:///a.db\n",
        "AUTH_AGENT_ADMIN_PASSWORD": " a long password ",
        "OTHER": " x ",
    }
    trim(environ)
    assert environ == {
        "AUTH_AGENT_AGENT_SECRET": "ags_x",
        "AUTH_AGENT_SERVER_DATABASE": "sqlite:///a.db",
        "AUTH_AGENT_ADMIN_PASSWORD": " a long password ",
        "OTHER": " x ",
    }


def lines(values):
    return "".join(f"{name}={value}\n" for name, value in values.items())


def test_an_identity_is_added_and_other_lines_are_not(write):
    environ = {"PATH": "/bin"}
    text = f"# shop\nDEBUG=1\nAUTH_AGENT_SECRET=x\n{lines(WHOLE)}"
    text += "export AUTH_AGENT_AGENT_MODEL='a b' # it\n"
    assert "Using the agent of" in add_identity(environ, write(text))
    assert environ == {"PATH": "/bin", **WHOLE, "AUTH_AGENT_AGENT_MODEL": "a b"}


@pytest.mark.parametrize("name", ["ID", "ISSUER", "SECRET", "SECRET_FILE", "PRIVATE_KEY"])
def test_the_environment_s_own_agent_is_never_mixed_with_a_file_s(write, name):
    environ = {f"AUTH_AGENT_AGENT_{name}": "mine"}
    assert add_identity(environ, write(lines(WHOLE))) is None
    assert environ == {f"AUTH_AGENT_AGENT_{name}": "mine"}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_ignored(write, mode):
    environ = {}
    assert "chmod 600" in add_identity(environ, write(lines(WHOLE), mode))
    assert environ == {}


def test_a_file_without_a_credential_names_no_server_for_mine(write):
    """Keeps a downloaded folder from sending the keyring's secret to an issuer of its choice."""
    environ = {}
    without = {name: value for name, value in WHOLE.items() if not name.endswith("SECRET")}
    assert "ignored" in add_identity(environ, write(lines(without)))
    pointing = {**WHOLE, "AUTH_AGENT_AGENT_SECRET_FILE": "/home/me/.secret"}
    assert "ignored" in add_identity(environ, write(lines(pointing)))
    assert environ == {}


@pytest.mark.parametrize("text", ["", "\x00\xff", "AUTH_AGENT_AGENT_ID='open", "=\n==\nA"])
def test_what_holds_no_identity_says_nothing(write, text, tmp_path):
    environ = {}
    assert add_identity(environ, write(text)) is None
    assert add_identity(environ, tmp_path / "none") is None
    assert environ == {}


def test_login_finds_what_agent_add_wrote(world, tmp_path, monkeypatch):  # noqa: F811
    for name in [name for name in os.environ if name.startswith("AUTH_AGENT")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    database = world.database.engine.url.render_as_string(hide_password=False)
    runner = CliRunner()
    added = runner.invoke(
        app,
        [
            *("agent", "add", "ada@example.com", "--model", "m", "--new-key", "agent.pem"),
            *("--env", ".env", "--issuer", world.issuer, "--database", database),
        ],
    )
    assert added.exit_code == 0, added.output
    assert stat.S_IMODE(os.stat(".env").st_mode) == 0o600
    try:
        found = runner.invoke(app, ["login", f"{world.website}/me"])
    finally:
        for name in [name for name in os.environ if name.startswith("AUTH_AGENT_AGENT")]:
            del os.environ[name]
    assert found.exit_code == 0, found.output
    assert "Using the agent of" in found.stderr
