"""docs/agents/python.md is true: examples run, the table names all methods, commands exist."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from auth_agent.cli.program import app
from auth_agent.sdk import AgentSDK, TokenManager
from auth_agent.server.registry.agents import add_agent
from tests.sdk.test_agent_client import SEVENTEEN, approve

PAGE = (Path(__file__).parents[2] / "docs" / "agents" / "python.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- run: ([a-z-]+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def agent(world, agent_key, tmp_path, monkeypatch):
    made = add_agent(
        world.database, "ada@example.com", public_key=agent_key.public_pem, now=int(time.time())
    )
    (tmp_path / "agent.pem").write_text(agent_key.pem.reveal())
    (tmp_path / "agent.pem").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return made.agent_id


def here(world, example, agent_id):
    """Returns an example with the URLs of this test."""
    return (
        EXAMPLES[example]
        .replace("https://shop.example", world.website)
        .replace("https://auth.example", world.issuer)
        .replace("agent_…", agent_id)
    )


@pytest.mark.parametrize("example", ["sign-in", "sign-in-async"])
def test_a_sign_in(world, agent, capsys, example):
    program = here(world, example, agent)
    with ThreadPoolExecutor(1) as pool:  # it may run an event loop
        pool.submit(exec, program, {}).result()
    assert agent in capsys.readouterr().out


def test_signed_requests(world, signing, capsys, monkeypatch):
    program = here(world, "sign-requests", signing.agent_id).replace("agent.pem", "")
    monkeypatch.chdir(signing.path.parent)
    exec(program, {})  # noqa: S102
    assert capsys.readouterr().out == "{'signed_in': False}\n"
    assert f'sig1="{signing.name}"'.encode() in world.shop.told


def test_the_complete_example(world, capsys, monkeypatch):
    monkeypatch.setenv("AGENT_ID", world.agent_id)
    monkeypatch.setenv("AGENT_SECRET", world.secret)
    monkeypatch.setenv("AGENT_SERVER", world.issuer)
    example = {}
    exec(EXAMPLES["complete"], example)  # noqa: S102
    begun = example["start_auth"]()
    code, state = approve(world, begun.url)
    tokens = example["handle_callback"](code, state)
    kept = example["token_manager"]
    assert kept.access_token == tokens.access_token
    kept.set_tokens({**tokens.to_dict(), "expires_in": 30})  # nearly over: it is refreshed
    example["get_user_data"]()
    told = capsys.readouterr().out
    assert f"agent_id='{world.agent_id}'" in told
    assert kept.access_token != tokens.access_token
    last = kept.access_token
    assert last not in told
    example["logout"]()
    assert kept.access_token is None
    assert not AgentSDK(**world.options()).introspect_token(last).active


def test_the_callback_may_come_to_another_process(world, monkeypatch):
    monkeypatch.setenv("AGENT_ID", world.agent_id)
    monkeypatch.setenv("AGENT_SECRET", world.secret)
    monkeypatch.setenv("AGENT_SERVER", world.issuer)
    first, second = {}, {}
    exec(EXAMPLES["complete"], first)  # noqa: S102
    exec(EXAMPLES["complete"], second)  # noqa: S102
    begun = first["start_auth"]()
    code, state = approve(world, begun.url)
    assert second["handle_callback"](code, state, begun.code_verifier).access_token


def test_every_name_of_the_original_has_ours_beside_it():
    table = PAGE.partition("## Names of the original")[2]
    ours = set(re.findall(r"`\.?([a-z_]+)[(`=]", table))
    assert set(SEVENTEEN) <= ours
    for name in ("set_tokens", "is_expired", "get_access_token", "clear", "access_token"):
        assert name in ours
        assert hasattr(TokenManager, name)
    theirs = re.findall(r"^\| `([a-zA-Z]+)\(", table, re.MULTILINE)
    assert [re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name) for name in theirs] == (
        SEVENTEEN
    )


def test_the_commands_and_their_options_exist():
    commands = re.findall(r"^auth-agent ([a-z-]+(?: (?:[a-z-]+ )?add)?)(.*)$", PAGE, re.MULTILINE)
    known = {
        *("serve", "agent add", "agent signing-key add", "client add", "login", "sign"),
        "ask-owner",
    }
    assert {name for name, _ in commands} == known
    for name, rest in [*commands, ("mcp", "")]:
        told = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"}).stdout
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in told, (name, option)


def test_every_code_of_the_page_is_one_that_is_raised():
    source = "".join(
        path.read_text() for path in (Path(__file__).parents[2] / "src/auth_agent").rglob("*.py")
    )
    table = PAGE.partition("## Errors")[2].partition("## Names")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    codes = [code for row in rows for code in re.findall(r"`([a-z_]+)`", row)]
    assert "state_mismatch" in codes
    assert [code for code in codes if code != "code" and f'"{code}"' not in source] == []
