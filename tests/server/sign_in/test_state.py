"""The arrows of a sign-in: each is taken once, by the one row that it is meant for.

Over HTTP a check before the arrow mostly answers first; here is what holds when two are too quick
for that check.
"""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.server.security.credentials import digest
from auth_agent.server.sign_in import state
from auth_agent.server.tokens import endings
from tests.server.world import World

LATER = 600  # seconds, when a request has expired


class _SignIn:
    """One sign-in, and another one beside it that nothing may happen to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._now = world.context.now()
        self._bystander = world.open(world.browser())
        self.id = world.open(world.browser())

    def approve(self, after: int = 0) -> bool:
        now = self._now + after
        values = {
            "by_agent": self._world.agent.agent_id,
            "with_model": "m",
            "with_scope": "openid",
            "how": "pwd",
            "with_code": digest(self.id),
            "code_until": now + 60,
        }
        return self._done(state.approve, now, **values)

    def deny(self, after: int = 0) -> bool:
        return self._done(state.deny, self._now + after)

    def bind(self, after: int = 0) -> bool:
        with self._world.database.begin() as connection:
            return state.bind_browser(connection, self.id, "b" * 64, self._now + after)

    def redeem(self, after: int = 0) -> bool:
        return self._done(state.redeem, self._now + after, f"sid_{self.id}")

    def free(self) -> None:
        """As an agent opens it: no browser has come yet."""
        table = state.sign_in
        with self._world.database.begin() as connection:
            connection.execute(
                table.update().where(table.c.id == self.id).values(browser_hash=None)
            )

    def status(self, request_id: str) -> str:
        with self._world.database.read() as connection:
            return state.status_of(state.find_sign_in(connection, request_id), self._now)

    def _done(self, arrow: Any, *values: Any, **named: Any) -> bool:
        with self._world.database.begin() as connection:
            done: bool = arrow(connection, self.id, *values, **named)
        assert self.status(self._bystander) == "pending"
        return done


@pytest.fixture
def one(world: World) -> _SignIn:
    return _SignIn(world)


def test_an_approved_request_is_neither_approved_nor_denied_again(one: _SignIn) -> None:
    assert one.approve()
    assert not one.approve()
    assert not one.deny()
    assert one.status(one.id) == "authenticated"


def test_a_denied_request_is_neither_denied_nor_approved_again(one: _SignIn) -> None:
    assert one.deny()
    assert not one.deny()
    assert not one.approve()
    assert one.status(one.id) == "denied"


def test_an_expired_request_is_over(one: _SignIn) -> None:
    one.free()
    assert not one.approve(after=LATER)
    assert not one.deny(after=LATER)
    assert not one.bind(after=LATER)
    assert one.status(one.id) == "pending"
    assert one.approve(after=LATER - 1)


def test_a_request_belongs_to_its_first_browser(one: _SignIn) -> None:
    assert not one.bind()
    one.free()
    assert one.bind()
    assert not one.bind()


@pytest.mark.parametrize("arrow", ["approve", "deny"])
def test_no_browser_comes_too_late(one: _SignIn, arrow: str) -> None:
    one.free()
    assert getattr(one, arrow)()
    assert not one.bind()


def test_a_code_is_redeemed_once_and_in_time(one: _SignIn) -> None:
    assert not one.redeem()
    assert one.approve()
    assert not one.redeem(after=60)
    assert one.redeem(after=59)
    assert not one.redeem()
    assert one.status(one.id) == "completed"


def test_a_denied_request_has_no_code(one: _SignIn) -> None:
    assert one.deny()
    assert not one.redeem()


def test_a_disabled_agents_code_is_void(own_world: World) -> None:
    one = _SignIn(own_world)
    assert one.approve()
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    assert not one.redeem()
