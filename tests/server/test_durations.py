"""Every duration that can be set ends when it says: good a second before, over at the second."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from sqlalchemy import insert, select

from auth_agent.server import ServerSettings
from auth_agent.server.bounds import DAY, NUMBERS
from auth_agent.server.storage.tables.records import audit, event
from tests.server.api.test_agents import _bearer, _challenge, _confirm, _own_tokens
from tests.server.conftest import Build
from tests.server.console.test_owners import Postbox, ask, type_code
from tests.server.oauth import test_backchannel as ciba
from tests.server.people import Person, administrator, signed_in
from tests.server.sign_in.test_second_factor import switch, verify
from tests.server.world import World

IsGood = Callable[[], bool]
Start = Callable[[World, Postbox], IsGood]
_NUMBERS = itertools.count()


def _request(world: World, _box: Postbox) -> IsGood:
    request_id = world.open(world.browser())
    return lambda: bool(world.answer(request_id).status_code == 200)


def _code(world: World, _box: Postbox) -> IsGood:
    code = world.code()
    return lambda: bool(world.redeem(code).status_code == 200)


def _access_token(world: World, _box: Postbox) -> IsGood:
    token = world.tokens()["access_token"]

    def is_good() -> bool:
        active = world.introspect(token)["active"]
        assert (world.userinfo(token).status_code == 200) is active
        return bool(active)

    return is_good


def _id_token(world: World, _box: Postbox) -> IsGood:
    token = world.tokens()["id_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    return lambda: bool(world.context.now() < claims["exp"])


def _refresh_token(world: World, _box: Postbox) -> IsGood:
    token = world.tokens()["refresh_token"]
    return lambda: bool(world.refresh(token).status_code == 200)


def _family(world: World, _box: Postbox) -> IsGood:
    kept = {"token": world.tokens()["refresh_token"]}

    def is_good() -> bool:
        answer = world.refresh(kept["token"])
        kept["token"] = answer.json().get("refresh_token")
        return bool(answer.status_code == 200)

    return is_good


def _second_factor(world: World, box: Postbox) -> IsGood:
    switch(world)
    request_id = world.open(world.browser())
    assert world.answer(request_id).status_code == 200
    code = box.code
    return lambda: bool(verify(world, request_id, code).status_code == 200)


def _question(world: World, _box: Postbox) -> IsGood:
    """Asks an owner a question that a poll still finds waiting."""
    asked = ciba.asked(world)

    def is_good() -> bool:
        said = ciba.error_of(ciba.poll(world, asked))
        assert said in ("authorization_pending", "expired_token")
        return said == "authorization_pending"

    return is_good


def _mailed_code(world: World, box: Postbox) -> IsGood:
    person = Person(world)
    page, code = ask(person), box.code
    return lambda: bool(type_code(person, page, code).status_code == 303)


def _console(world: World, _box: Postbox) -> IsGood:
    name = f"ada{next(_NUMBERS)}"
    administrator(world, name)
    person = signed_in(world, name)
    return lambda: bool(person.get("/console").status_code == 200)


def _verification(world: World, _box: Postbox) -> IsGood:
    headers = _bearer(_own_tokens(world)["access_token"])
    challenge = _challenge(world, headers)
    return lambda: bool(_confirm(world, headers, challenge).status_code == 200)


def _kept(table: Any, **values: Any) -> Start:
    """Stores a row that the sweep keeps or deletes."""

    def start(world: World, _box: Postbox) -> IsGood:
        with world.database.begin() as connection:
            written = insert(table).values(at=world.context.now(), **values)
            (key,) = connection.execute(written).inserted_primary_key or ()

        def is_good() -> bool:
            world.context.sweeper.sweep(world.context.now())
            with world.database.read() as connection:
                found = connection.execute(select(table.c.id).where(table.c.id == key))
                return found.first() is not None

        return is_good

    return start


# Setting: what it ends, and settings without which something else would end first.
TABLE: dict[str, tuple[Start, dict[str, int]]] = {
    "request_lifetime": (_request, {}),
    "code_lifetime": (_code, {}),
    "access_token_lifetime": (_access_token, {}),
    "id_token_lifetime": (_id_token, {}),
    "refresh_token_lifetime": (_refresh_token, {"family_lifetime": 730 * DAY}),
    "family_lifetime": (_family, {}),
    "second_factor_lifetime": (_second_factor, {"request_lifetime": 3_600}),
    "mailed_code_lifetime": (_mailed_code, {}),
    "approval_lifetime": (_question, {}),
    "session_idle": (_console, {"session_lifetime": 30 * DAY}),
    "session_lifetime": (_console, {}),
    "challenge_lifetime": (_verification, {"access_token_lifetime": DAY}),
    "refusal_retention": (
        _kept(audit, kind="token", outcome="refused"),
        {"audit_retention": 36_500 * DAY},
    ),
    "audit_retention": (_kept(audit, kind="token", outcome="issued"), {}),
    "event_retention": (
        _kept(event, kind="seen", agent_id="agent_x", client_id="client_x", data="{}"),
        {},
    ),
}
# What is used before it ends, at most so many seconds after the last use.
IN_USE = {
    "family_lifetime": ("refresh_token_lifetime", 365 * DAY),
    "session_lifetime": ("session_idle", DAY),
}
DURATIONS = [name for name in NUMBERS if not name.startswith(("max_", "limit_"))]


def test_no_duration_is_left_out() -> None:
    seconds = {name for name in ServerSettings.__struct_fields__ if name.endswith(_ENDINGS)}
    assert set(TABLE) == set(DURATIONS) == seconds


_ENDINGS = ("_lifetime", "_idle", "_retention", "_seconds", "_after", "_interval", "_timeout")


@pytest.mark.parametrize("edge", [0, 1], ids=["lowest", "highest"])
@pytest.mark.parametrize("name", DURATIONS)
def test_a_duration_ends_when_it_says(build: Build, name: str, edge: int) -> None:
    seconds, box = NUMBERS[name][edge], Postbox()
    start, others = TABLE[name]
    used, longest = IN_USE.get(name, ("", 0))
    step = min(longest, seconds) * 9 // 10
    if used:
        others = {**others, used: min(longest, seconds)}
    world = build(outbox=box, **{**others, name: seconds})
    if name.endswith("_retention"):  # the database itself keeps fresh lines, by its own clock
        world.clock.now = int(time.time()) - seconds - 40 * DAY
    early, late = start(world, box), start(world, box)
    end = world.clock.now + seconds + name.endswith("_retention")  # kept for all of that time
    while used and world.clock.now + step < end - 1:
        world.clock.forward(step)
        assert early()
        assert late()
    world.clock.now = end - 1
    assert early()
    world.clock.now = end
    assert not late()
