"""The README is true: its commands exist, its examples run, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ENVIRON = {
    "AUTH_AGENT_ISSUER": "https://auth.example",
    "AUTH_AGENT_CLIENT_ID": "client_shop",
    "AUTH_AGENT_CLIENT_SECRET": "cs_secret",
    "AUTH_AGENT_SECRET": "a secret of the website that is long enough",
    "AUTH_AGENT_BASE_URL": "https://shop.example",
}


@pytest.mark.parametrize(
    "target", ["demo", "test", "django", "check", "format", "bench", "docs", "reference"]
)
def test_the_make_targets_exist(target):
    dry = run("make", "-n", target)
    assert dry.returncode == 0, dry.stderr


def test_the_commands_exist():
    found = re.findall(r"^ +auth-agent ([a-z]+)(?: (add|list|create))?", README, re.MULTILINE)
    commands = {tuple(filter(None, command)) for command in found}
    assert {("serve",), ("client", "add"), ("agent", "add"), ("login",), ("doctor",)} <= commands
    for command in commands:
        program = "from auth_agent.cli import main; main()"
        shown = run(sys.executable, "-c", program, *command, "--help")
        assert shown.returncode == 0, (command, shown.stderr)


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def example(name):
    found = re.search(rf"<!-- example: {name} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no example {name}"
    return found[1]


def test_the_starlette_example_lets_agents_in(monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    namespace = {}
    exec(example("starlette"), namespace)  # noqa: S102  # our own README
    from starlette.testclient import TestClient

    with TestClient(namespace["app"], base_url="https://shop.example") as client:
        answer = client.get("/me")
    assert (answer.status_code, answer.json()["issuer"]) == (401, "https://auth.example")


def test_the_mcp_example_lets_agents_in(monkeypatch):
    for name in ("AUTH_AGENT_ISSUER", "AUTH_AGENT_BASE_URL"):
        monkeypatch.setenv(name, ENVIRON[name])
    namespace = {"__name__": "readme"}
    exec(example("mcp"), namespace)  # noqa: S102  # our own README
    from starlette.testclient import TestClient

    with TestClient(namespace["app"], base_url="https://shop.example") as client:
        answer = client.post(
            "/mcp", json={}, headers={"mcp-method": "tools/call", "mcp-name": "refund"}
        )
    assert answer.status_code == 401
    assert 'scope="refunds:write"' in answer.headers["www-authenticate"]


def test_the_wsgi_example_greets_a_stranger(monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    namespace = {}
    exec(example("wsgi"), namespace)  # noqa: S102  # our own README
    transport = httpx2.WSGITransport(app=namespace["application"])
    with httpx2.Client(transport=transport, base_url="https://shop.example") as client:
        assert client.get("/").text == "Hello, stranger"


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_no_example_is_longer_than_it_says():
    for name in re.findall(r"<!-- example: ([a-z-]+) -->", README):
        lines = [line for line in example(name).splitlines() if line.strip()]
        assert len(lines) <= 12, name


def test_it_is_short():
    assert len(README.splitlines()) <= 200
