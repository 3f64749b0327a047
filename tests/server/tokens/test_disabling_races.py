"""An agent is disabled while something is issued in its name: nothing of that is ever alive."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from auth_agent.server.registry import agents
from auth_agent.server.storage.tables.parties import agent
from auth_agent.server.storage.tables.sign_ins import sign_in
from auth_agent.server.storage.tables.tokens import token_family
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.world import World

API = "https://api.example"
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def _code(world: World) -> Callable[[], Any]:
    code = world.code()
    return lambda: world.redeem(code)


def _refresh(world: World) -> Callable[[], Any]:
    token = world.tokens()["refresh_token"]
    return lambda: world.refresh(token)


def _own(world: World) -> Callable[[], Any]:
    """Requests the agent's own token for an API."""
    form = {"grant_type": "client_credentials", "resource": API, "model": "m"}
    auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
    world.browser().post("/token", data=form, auth=auth)  # its secret is hashed once, before
    return lambda: world.browser().post("/token", data=form, auth=auth)


def _until_it_waits(world: World, running: Any) -> None:
    """Waits until the request waits for PostgreSQL's lock; SQLite cannot tell, and need not."""
    end = time.monotonic() + 120
    while not world.database.is_sqlite and not running.done() and time.monotonic() < end:
        with world.database.read() as connection:
            if connection.exec_driver_sql(_WAITING).scalar():
                return


@pytest.mark.parametrize("issue", [_code, _refresh, _own])
def test_what_is_issued_while_its_agent_is_disabled_stays_dead(
    build: Build, issue: Callable[[World], Callable[[], Any]]
) -> None:
    world = build()
    ask, agent_id = issue(world), world.agent.agent_id
    now = world.context.now()
    with ThreadPoolExecutor(1) as pool:
        with world.database.begin() as connection:
            connection.execute(update(agent).where(agent.c.id == agent_id).values(disabled_at=now))
            endings.end_agent_sessions(connection, agent_id, now)
            running = pool.submit(ask)
            _until_it_waits(world, running)
        answer = running.result(30)
    assert answer.status_code in (400, 401), answer.text
    with world.database.read() as connection:
        alive = select(token_family).where(token_family.c.revoked_at.is_(None))
        assert connection.execute(alive).all() == []
    assert agents.enable_agent(world.database, agent_id, now)
    assert ask().status_code != 200 or issue is _own


def test_enabling_ends_what_was_left_alive(own_world: World) -> None:
    """Ends whatever a race or an older version has left behind."""
    code, tokens = own_world.code(), own_world.tokens()
    agent_id, now = own_world.agent.agent_id, own_world.context.now()
    with own_world.database.begin() as connection:
        connection.execute(update(agent).where(agent.c.id == agent_id).values(disabled_at=now))
    assert agents.enable_agent(own_world.database, agent_id, now)
    assert own_world.userinfo(tokens["access_token"]).status_code == 401
    assert own_world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert own_world.redeem(code).json()["error"] == "invalid_grant"
    with own_world.database.read() as connection:
        redeemed = select(sign_in.c.redeemed_at).where(sign_in.c.redeemed_at.is_not(None))
        assert len(connection.execute(redeemed).all()) == 1
    assert own_world.tokens()


def test_redemptions_lock_their_own_agent_only(build: Build) -> None:
    """Lets redemptions continue while another agent is being disabled."""
    world = build()
    code, now = world.code(), world.context.now()
    if world.database.is_sqlite:
        return
    with ThreadPoolExecutor(1) as pool, world.database.begin() as connection:
        rival = update(agent).where(agent.c.id == world.rival.agent_id)
        connection.execute(rival.values(disabled_at=now))
        assert pool.submit(world.redeem, code).result(20).status_code == 200
