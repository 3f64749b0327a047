"""`auth-agent agent signing-key`, and the signing key of a new agent."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from auth_agent.cli.agent.dotenv import _read as dotenv_of
from auth_agent.cli.server.files import new_key_pair, write_private
from tests.cli.server.test_server_commands import (  # noqa: F401  # fixtures
    _clean_environment,
    _json,
    _run,
    migrated,
)

OWNER = "ann@owner.example"


def test_an_agent_s_signing_key_is_made_and_found() -> None:
    made = _json(
        *("agent", "add", OWNER, "--new-key", "agent.pem", "--new-signing-key", "signing.pem"),
        *("--env", "agent.env"),
    )
    assert stat.S_IMODE(Path("signing.pem").stat().st_mode) == 0o600
    found = dotenv_of(Path("agent.env").read_bytes())
    assert found["AUTH_AGENT_AGENT_SIGNING_KEY"] == str(Path("signing.pem").absolute())
    (key,) = _json("agent", "signing-key", "list", made["agent_id"])
    assert key["kid"] in _run("agent", "signing-key", "list", made["agent_id"]).stdout
    assert _json("agent", "list")[0]["signing_keys"] == 1
    result = _run("agent", "add", OWNER, "--new-key", "b.pem", "--new-signing-key", "b.pem", code=1)
    assert "two different files" in result.stderr
    _run("agent", "add", OWNER, "--new-signing-key", "signing.pem", code=1)
    assert not Path("b.pem").exists()
    assert len(_json("agent", "list")) == 1


def test_signing_keys_come_and_go() -> None:
    agent_id = _json("agent", "add", OWNER)["agent_id"]
    add = ("agent", "signing-key", "add", agent_id)
    made = _json(*add, "--new", "one.pem")
    assert made["signature_agent"] == f"http://127.0.0.1:8420/agents/{agent_id}"
    private, public = new_key_pair(Path("two.pem"))
    Path("two.pub").write_text(public)
    second = _json(*add, "two.pub")["kid"]
    # The private file gives the same public half, and only if nobody else can read it.
    Path("two.pem").write_text(private)
    Path("two.pem").chmod(0o644)
    assert "chmod 600" in _run(*add, "two.pem", code=1).stderr
    write_private(Path("two.pem"), private)
    assert "registered already" in _run(*add, "two.pem", code=1).stderr
    kids = [key["kid"] for key in _json("agent", "signing-key", "list", agent_id)]
    assert sorted(kids) == sorted([made["kid"], second])
    _run("agent", "signing-key", "remove", agent_id, second)
    _run("agent", "signing-key", "remove", agent_id, second, code=1)
    assert "was removed" in _run(*add, "two.pem", code=1).stderr
    assert "no agent" in _run("agent", "signing-key", "add", "x", "--new", "x.pem", code=1).stderr
    assert not Path("x.pem").exists()
    _run(*add, code=2)


def test_only_an_ed25519_key_signs_requests(tmp_path: Path) -> None:
    from tests.server.keys import Pair

    agent_id = _json("agent", "add", OWNER)["agent_id"]
    Path("ec.pub").write_text(Pair().pem)
    Path("set.json").write_text(json.dumps({"keys": []}))
    Path("text.pem").write_text("hello")
    for name, words in (("ec.pub", "Ed25519"), ("set.json", "1 to 20"), ("text.pem", "neither")):
        result = _run("agent", "signing-key", "add", agent_id, name, code=1)
        assert words in result.stderr
    assert _json("agent", "signing-key", "list", agent_id) == []
