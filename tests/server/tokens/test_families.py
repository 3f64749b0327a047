"""Token families: what ends one ends it whole, and nothing but that one."""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.server.registry.agents import enable_agent
from auth_agent.server.security.credentials import digest
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.tokens import token_family
from auth_agent.server.tokens import endings, families
from tests.server.world import World


def _change(world: World, table: Any, row_id: str, **values: Any) -> None:
    """As if it happened elsewhere at this moment, past every check before."""
    with world.database.begin() as connection:
        connection.execute(table.update().where(table.c.id == row_id).values(**values))


def _rotate(world: World, token: str, family_id: str, after: int = 0) -> bool:
    now = world.context.now() + after
    with world.database.begin() as connection:
        return families.rotate(
            connection,
            family_id,
            digest(token),
            now,
            new_hash=digest(token + "new"),
            refresh_until=now + 60,
            jkt=None,
            access_until=now + 60,
        )


def _family(world: World, tokens: dict[str, Any]) -> str:
    return str(world.introspect(tokens["access_token"])["sid"])


def test_a_refresh_token_rotates_once_and_alone(own_world: World) -> None:
    tokens, other = own_world.tokens(), own_world.tokens()
    family_id = _family(own_world, tokens)
    assert not _rotate(own_world, "rt_unknown", family_id)
    assert _rotate(own_world, tokens["refresh_token"], family_id)
    assert not _rotate(own_world, tokens["refresh_token"], family_id)
    assert own_world.refresh(other["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        *({"revoked_at": 1}, {"refresh_expires_at": 1_800_000_000}),
        {"expires_at": 1_800_000_000},
    ],
)
def test_a_family_that_is_over_rotates_no_more(own_world: World, change: dict[str, Any]) -> None:
    tokens = own_world.tokens()
    family_id = _family(own_world, tokens)
    _change(own_world, token_family, family_id, **change)
    assert not _rotate(own_world, tokens["refresh_token"], family_id)
    assert own_world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_an_agent_that_was_disabled_at_this_moment_gets_nothing(own_world: World) -> None:
    tokens = own_world.tokens()
    family_id = _family(own_world, tokens)
    _change(own_world, agent, own_world.agent.agent_id, disabled_at=1)
    assert not _rotate(own_world, tokens["refresh_token"], family_id)
    assert own_world.introspect(tokens["access_token"]) == {"active": False}
    assert own_world.userinfo(tokens["access_token"]).status_code == 401


def test_a_website_that_was_removed_at_this_moment_has_no_tokens(own_world: World) -> None:
    tokens = own_world.tokens()
    assert own_world.userinfo(tokens["access_token"]).status_code == 200
    _change(own_world, client, own_world.shop.client_id, removed_at=1)
    assert own_world.userinfo(tokens["access_token"]).status_code == 401


def test_an_agent_that_comes_back_gets_no_old_tokens_back(own_world: World) -> None:
    tokens = own_world.tokens()
    rival_request = own_world.open(browser := own_world.browser())
    own_world.answer(rival_request, own_world.rival)
    others = own_world.redeem(own_world.poll(browser, rival_request)["code"]).json()
    agent_id = own_world.agent.agent_id
    endings.disable_agent(own_world.database, agent_id, own_world.context.now())
    assert enable_agent(own_world.database, agent_id, own_world.context.now())
    assert own_world.introspect(tokens["access_token"]) == {"active": False}
    assert own_world.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert own_world.introspect(others["access_token"])["active"] is True
    assert own_world.tokens()


@pytest.mark.parametrize("end", ["revoke", "reuse", "replay"])
def test_the_end_of_one_family_is_not_that_of_another(own_world: World, end: str) -> None:
    code = own_world.code()
    tokens, other = own_world.redeem(code).json(), own_world.tokens()
    if end == "revoke":
        form = {"token": tokens["access_token"]}
        own_world.browser().post("/revoke", data=form, auth=own_world.basic())
    elif end == "reuse":
        own_world.refresh(tokens["refresh_token"])
        own_world.refresh(tokens["refresh_token"])
    else:
        own_world.redeem(code)
    assert own_world.introspect(tokens["access_token"]) == {"active": False}
    assert own_world.introspect(other["access_token"])["active"] is True
    assert own_world.refresh(other["refresh_token"]).status_code == 200
