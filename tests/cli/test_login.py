"""`auth-agent login`, against a real server and a real website."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from auth_agent.cli.program import app
from auth_agent.server.registry.agents import add_agent
from tests.adapters.network import free_port
from tests.sdk.conftest import World, _world, agent_key, world  # noqa: F401  # fixtures

MAIN = "from auth_agent.cli import main; main()"


@pytest.fixture
def login(world, monkeypatch):  # noqa: F811
    for name in list(os.environ):
        if name.startswith("AUTH_AGENT"):
            monkeypatch.delenv(name)

    def run(*words, code=0, url="/me", **environment):
        variables = {
            "AUTH_AGENT_AGENT_ID": world.agent_id,
            "AUTH_AGENT_AGENT_MODEL": "claude-sonnet-4",
            "AUTH_AGENT_AGENT_ISSUER": world.issuer,
            "AUTH_AGENT_AGENT_SECRET": world.secret,
            **environment,
        }
        url = url if "://" in url else f"{world.website}{url}"
        result = CliRunner().invoke(app, ["login", url, *words], env=variables)
        assert result.exit_code == code, result.output
        assert world.secret not in result.output
        return result

    return run


def test_the_story_is_told(login, world):  # noqa: F811
    told = login().stdout
    for part in ("pinned issuer", "waits for the agent", "proved itself", "Signed in."):
        assert part in told
    assert "claude-sonnet-4" in told
    assert "\x1b" not in told


def test_json_is_one_object(login, world):  # noqa: F811
    result = login("--json")
    answer = json.loads(result.stdout)
    assert (answer["ok"], answer["status"], answer["agent_id"]) == (True, 200, world.agent_id)
    assert answer["url"] == f"{world.website}/me"
    assert answer["body"] == {"agent_id": world.agent_id, "model": "claude-sonnet-4"}
    assert answer["steps"][-1]["action"] == "signed_in"
    assert result.stderr == ""


def test_the_secret_may_lie_in_a_private_file(login, world, tmp_path):  # noqa: F811
    path = tmp_path / "secret"
    path.write_text(world.secret)
    path.chmod(0o600)
    given = {"AUTH_AGENT_AGENT_SECRET": "", "AUTH_AGENT_AGENT_SECRET_FILE": str(path)}
    assert json.loads(login("--json", **given).stdout)["ok"] is True
    if os.name == "posix":
        path.chmod(0o604)
        assert "chmod 600" in login(code=2, **given).stderr


def test_a_key_instead_of_a_secret(login, world, agent_key, tmp_path):  # noqa: F811
    agent = add_agent(
        world.database, "ada@example.com", public_key=agent_key.public_pem, now=int(time.time())
    )
    path = tmp_path / "agent.pem"
    path.write_text(agent_key.pem.reveal())
    given = {"AUTH_AGENT_AGENT_SECRET": "", "AUTH_AGENT_AGENT_PRIVATE_KEY": str(path)}
    answer = json.loads(login("--json", "--agent-id", agent.agent_id, **given).stdout)
    assert answer["body"]["agent_id"] == agent.agent_id


def test_options_win_over_the_environment(login, world):  # noqa: F811
    answer = json.loads(login("--json", "--model", "gpt-x").stdout)
    assert answer["body"]["model"] == "gpt-x"


def test_a_refusal(login):
    result = login(code=1, AUTH_AGENT_AGENT_SECRET="ags_wrong")
    assert "invalid_credentials" in result.stderr
    assert "ags_wrong" not in result.output
    answer = json.loads(login("--json", code=1, url="/").stdout)
    assert (answer["ok"], answer["error"], answer["steps"]) == (False, "not_a_sign_in", [])
    assert answer["error_description"]


def test_nobody_can_be_reached(login):
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert "server_unavailable" in login("--issuer", nowhere, code=3).stderr
    assert "website_unavailable" in login(url=nowhere, code=3).stderr


def test_wrong_usage(login):
    assert "--issuer" in login(code=2, AUTH_AGENT_AGENT_ISSUER="").stderr
    assert "AUTH_AGENT_AGENT_SECRET" in login(code=2, AUTH_AGENT_AGENT_SECRET="").stderr
    assert "http" in login("--issuer", "http://id.example", code=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_secret_may_be_typed_and_is_not_shown(world):  # noqa: F811
    terminal, theirs = os.openpty()
    words = ["login", f"{world.website}/me", "--agent-id", world.agent_id, "--json", "--model", "m"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *words, "--issuer", world.issuer],
        env={k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT")},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while not shown.endswith(b": "):  # by now nothing that is typed is shown
            shown += os.read(terminal, 1_024)
        os.write(terminal, world.secret.encode() + b"\n")
        answer = json.loads(process.communicate(timeout=30)[0])
    os.close(terminal)
    assert answer["ok"] is True
    assert world.secret.encode() not in shown


def test_help_names_the_exit_codes():
    told = CliRunner().invoke(app, ["login", "--help"], env={"COLUMNS": "200"}).stdout
    for word in ("Exit codes", "AUTH_AGENT_AGENT_SECRET", "--json"):
        assert word in told
