"""What looks and then writes, twice at the same moment: PostgreSQL lets both look first."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text

from auth_agent.server.approval import websites
from auth_agent.server.registry import agents, request_keys, resources
from auth_agent.server.registry.people import administrators
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.security.credentials import digest
from auth_agent.server.storage.tables.people import setup_link
from auth_agent.server.storage.tables.records import audit
from tests.server.keys import Pair
from tests.server.world import World

Act = Callable[[int], Any]


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Act], list[Any]]:
    """Runs an act twice; both have to reach a function of a module before one goes on."""

    def run(module: Any, name: str, act: Act) -> list[Any]:
        reached, real = threading.Barrier(2), getattr(module, name)

        def late(*arguments: Any) -> Any:
            with contextlib.suppress(threading.BrokenBarrierError):
                reached.wait(0.3)  # one that waits for the other's transaction does not come
            return real(*arguments)

        monkeypatch.setattr(module, name, late)
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(act, range(2)))

    return run


def _lines(world: World, outcome: str) -> int:
    with world.database.read() as connection:
        found = connection.execute(select(audit.c.id).where(audit.c.outcome == outcome))
        return len(found.all())


def test_the_newest_setup_link_alone_is_good(own_world: World, together: Any) -> None:
    now = own_world.context.now()
    made = together(
        administrators,
        "insert",
        lambda _: administrators.make_setup_link(own_world.database, None, now),
    )
    with own_world.database.read() as connection:
        found = [
            administrators.find_setup_link(connection, one.reveal(), now) is not None
            for one in made
        ]
    assert sorted(found) == [False, True]


def test_two_first_links_make_one_administrator(own_world: World, together: Any) -> None:
    now = own_world.context.now()
    with own_world.database.begin() as connection:
        for number in range(2):
            row = {"token_hash": digest(f"link {number}"), "administrator_id": None}
            times = {"created_at": now, "expires_at": now + 60}
            connection.execute(insert(setup_link), {**row, **times})

    def use(number: int) -> str | None:
        with own_world.database.begin() as connection:
            link = administrators.SetupLink(digest(f"link {number}"), None, "")
            return administrators.use_setup_link(connection, link, f"ada{number}", "hash", now)

    assert together(administrators, "_insert", use).count(None) == 1
    assert len(administrators.list_accounts(own_world.database)) == 1


def test_two_approvals_at_one_website_both_count(own_world: World) -> None:
    database, now = own_world.database, own_world.context.now()
    this = (own_world.agent.agent_id, own_world.shop.client_id, "https://shop.example")

    def approve(connection: Connection, scope: str) -> None:
        websites.note_approval(connection, *this, now=now, scope=scope, always=False)

    def approve_other() -> None:
        with database.begin() as connection:
            approve(connection, "email")

    with database.begin() as connection:
        websites.remember(connection, *this, name="Shop", now=now)
    with ThreadPoolExecutor(1) as threads:
        with database.begin() as connection:
            approve(connection, "openid")
            other = threads.submit(approve_other)
            while connection.dialect.name == "postgresql" and not other.done():
                if connection.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted")).first():
                    break
        other.result(20)
    with database.read() as connection:
        assert websites.find_known(connection, *this).scope == "email openid"


def test_an_administrator_is_removed_once(own_world: World, together: Any) -> None:
    now = own_world.context.now()
    account = administrators.create_account(own_world.database, "ada", None, now)
    removed = together(
        administrators,
        "update",
        lambda _: administrators.remove_account(own_world.database, account, now),
    )
    assert (sorted(removed), _lines(own_world, "removed")) == ([False, True], 1)


def test_the_same_key_or_api_is_added_once(own_world: World, together: Any) -> None:
    now, pair = own_world.context.now(), Pair("EdDSA")
    other = agents.add_agent(own_world.database, "bob@owner.example", model="m", now=now)
    both = (own_world.agent.agent_id, other.agent_id)

    def add_key(number: int) -> bool:
        try:
            request_keys.add_request_key(own_world.database, both[number], pair.pem, now)
        except RegistrationError:
            return False
        return True

    def add_api(number: int) -> bool:
        url = "https://api.example/" if number else "https://API.example"
        try:
            resources.add_resource(own_world.database, url, now=now)
        except RegistrationError:
            return False
        return True

    assert sorted(together(request_keys, "insert", add_key)) == [False, True]
    assert sorted(together(resources, "insert", add_api)) == [False, True]
