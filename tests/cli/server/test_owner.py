"""`auth-agent owner`: invitations to a first passkey, and the removal of lost ones."""

from __future__ import annotations

import json
import re
import time

import pytest
from sqlalchemy import select

from auth_agent.server import Database
from auth_agent.server.approval.invitations import find_invited
from auth_agent.server.registry.people import notices, passkeys
from auth_agent.server.registry.people.browser_sessions import OWNER
from auth_agent.server.security.passkeys import Registered
from auth_agent.server.storage.tables.records import audit
from tests.cli.server.test_server_commands import (  # noqa: F401  # fixtures
    _clean_environment,
    _json,
    _run,
    migrated,
)

ANN = "ann@owner.example"
NAMED = ("--issuer", "https://id.example/")


@pytest.fixture
def agent_id() -> str:
    return str(_json("agent", "add", ANN)["agent_id"])


@pytest.fixture
def database(agent_id: str) -> Database:
    del agent_id  # whose command has made the file
    return Database.open("sqlite:///auth-agent.db")


def _lines(database: Database, kind: str) -> list[tuple[str, str | None, str | None]]:
    wanted = select(audit.c.outcome, audit.c.actor, audit.c.agent_id).where(audit.c.kind == kind)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(wanted.order_by(audit.c.id))]


def _add_passkey(database: Database) -> None:
    made = Registered("Y3JlZA", "a2V5", 0, is_synced=False)
    with database.begin() as connection:
        more = {"name": "Phone", "handle": "aGFuZGxl", "now": int(time.time())}
        assert passkeys.add_passkey(connection, OWNER, ANN, made, **more)


def test_an_invitation_is_printed_once_and_written_down(agent_id: str, database: Database) -> None:
    made = json.loads(_run("owner", "invite", ANN, *NAMED, "--minutes", "10", "--json").stdout)
    assert (made["owner"], made["expires_in"]) == (ANN, 600)
    found = re.fullmatch(
        r"https://id\.example/owner/invitation\?token=([\w-]{43})", made["invitation_url"]
    )
    assert found
    now = int(time.time())
    with database.read() as connection:
        assert find_invited(connection, found[1], now) == ANN
        assert find_invited(connection, found[1], now + 601) is None
    assert "works once, for 60 minutes" in _run("owner", "invite", ANN, *NAMED).stdout
    assert _lines(database, "owner invitation") == [("made", "command line", agent_id)] * 2


def test_an_invitation_that_could_not_be_used_is_refused(database: Database) -> None:
    eve = _run("owner", "invite", "eve@owner.example", *NAMED, code=1)
    assert "no agent has the owner eve@owner.example" in eve.stderr
    assert "IP address" in _run("owner", "invite", ANN, "--issuer", "http://[::1]:1", code=1).stderr
    _add_passkey(database)
    assert "has a passkey already" in _run("owner", "invite", ANN, *NAMED, code=1).stderr
    assert _lines(database, "owner invitation") == []


def test_lost_passkeys_are_removed_and_their_owner_is_told(
    agent_id: str, database: Database
) -> None:
    assert "no agent agent_none" in _run("owner", "remove-passkeys", "agent_none", code=1).stderr
    _add_passkey(database)
    assert f"Removed 1 passkey of {ANN}" in _run("owner", "remove-passkeys", agent_id).stdout
    assert _lines(database, "passkey")[1:] == [("all removed", "command line", agent_id)]
    now = int(time.time())
    with database.begin() as connection:
        assert passkeys.list_passkeys(connection, OWNER, ANN) == []
        # A server that has mail tells the owner.
        assert notices.take_notices(connection, now) == [(ANN, notices.PASSKEYS_REMOVED)]
        assert notices.take_notices(connection, now) == []
