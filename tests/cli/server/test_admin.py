"""`auth-agent admin`, and the link that the first start of a server prints."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from auth_agent.cli.program import app
from auth_agent.server import Database
from auth_agent.server.registry.people import administrators as console_accounts

runner = CliRunner()


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in list(os.environ):
        if name.startswith("AUTH_AGENT"):
            monkeypatch.delenv(name)
    url = f"sqlite:///{tmp_path}/auth-agent.db"
    monkeypatch.setenv("AUTH_AGENT_SERVER_DATABASE", url)
    Database.open(url).close()
    return url


def _run(*words: str, code: int = 0) -> Result:
    result = runner.invoke(app, ["admin", *words])
    assert result.exit_code == code, result.output
    return result


def _json(*words: str) -> Any:
    return json.loads(_run(*words, "--json").stdout)


def test_an_administrator_with_a_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AUTH_AGENT_ADMIN_PASSWORD", "correct horse battery")
    made = _json("create", "Ada")
    assert made["admin_id"].startswith("admin_")
    assert made["name"] == "ada"
    assert "setup_url" not in made
    database = Database.open(url)
    with database.read() as connection:
        account = console_accounts.find_account_named(connection, "ADA")
    database.close()
    assert account
    assert account.password_hash.reveal().startswith("$2b$")
    assert _json("list") == [
        {**made, "has_password": True, "created_at": _json("list")[0]["created_at"]}
    ]
    assert "ada" in _run("list").stdout


def test_an_administrator_with_a_link(url: str) -> None:
    made = _json("create", "--issuer", "https://id.example")
    assert made["name"] == "admin"
    assert made["expires_in"] == 3600
    assert re.fullmatch(r"https://id\.example/console/setup\?token=[\w-]{43}", made["setup_url"])
    fresh = _json("link", "admin")
    assert fresh["setup_url"].startswith("http://127.0.0.1:8420/console/setup?token=")
    database, now = Database.open(url), 1
    with database.read() as connection:
        for link, good in ((made, False), (fresh, True)):
            token = link["setup_url"].partition("=")[2]
            found = console_accounts.find_setup_link(connection, token, now)
            assert (found is not None) is good
    database.close()
    assert "works once" in _run("link", "admin").stdout


@pytest.mark.parametrize("password", ["short", "x" * 73, "é" * 37])
def test_a_password_that_will_not_do(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    monkeypatch.setenv("AUTH_AGENT_ADMIN_PASSWORD", password)
    result = _run("create", "ada", code=1)
    assert password not in result.output
    assert _json("list") == []


def test_a_name_is_taken_once() -> None:
    _json("create", "ada")
    assert "already" in _run("create", "Ada", code=1).output
    _run("create", "two\nlines", code=1)


def test_an_administrator_is_removed() -> None:
    _json("create", "ada")
    _run("remove", "ada")
    _run("remove", "ada", code=1)
    _run("link", "ada", code=1)
    assert _json("list") == []
    _json("create", "ada")


def test_a_token_for_programs(url: str) -> None:
    from auth_agent.server.registry.people import admin_tokens as administrators

    made = _json("token", "create", "deploy", "--days", "2")
    assert made["admin_token"].startswith("adm_")
    (listed,) = _json("token", "list")
    assert made["admin_token"] not in json.dumps(listed)
    assert "deploy" in _run("token", "list").stdout
    database = Database.open(url)
    now = listed["expires_at"] - 2 * 86_400
    good = administrators.find_admin(database, made["admin_token"], now)
    assert good
    assert good.name == "deploy"
    assert not administrators.find_admin(database, made["admin_token"], listed["expires_at"])
    _run("token", "revoke", listed["admin_id"])
    _run("token", "revoke", listed["admin_id"], code=1)
    assert not administrators.find_admin(database, made["admin_token"], now)
    database.close()
    assert _json("token", "list") == []


def test_the_audit_knows_who_did_it(url: str) -> None:
    from sqlalchemy import select

    from auth_agent.server.storage.tables.records import audit

    _json("create", "ada")
    database = Database.open(url)
    with database.read() as connection:
        rows = connection.execute(select(audit)).all()
    database.close()
    assert [(row.kind, row.outcome, row.actor) for row in rows] == [
        ("administrator", "added", "command line"),
        ("setup link", "made", "command line"),
    ]
