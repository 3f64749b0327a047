"""`auth-agent resource`."""

from __future__ import annotations

from tests.cli.server.test_server_commands import (  # noqa: F401  # fixtures
    _clean_environment,
    _json,
    _run,
    migrated,
)

API = "https://m.example/mcp"


def test_an_api_from_birth_to_removal() -> None:
    made = _json("resource", "add", API, "--name", "Invoices", "--scope", "a b", "--scope", "c")
    assert made == {"url": API, "name": "Invoices", "scopes": ["a", "b", "c"]}
    (listed,) = _json("resource", "list")
    assert {name: listed[name] for name in made} == made
    assert API in _run("resource", "list").stdout
    _run("resource", "remove", API)
    _run("resource", "remove", API, code=1)
    assert _json("resource", "list") == []


def test_a_refusal_names_cause_and_remedy() -> None:
    assert "use https" in _run("resource", "add", "http://m.example", code=1).stderr
    _run("resource", "add", API)
    assert "registered already" in _run("resource", "add", API, code=1).stderr
