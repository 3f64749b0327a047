"""Changing agents and websites: one function each for the console, the API and the agent itself."""

from __future__ import annotations

import pytest

from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.rules import RegistrationError
from tests.server.keys import Pair
from tests.server.world import NOW, World

LATER = NOW + 100


def _agent(world: World, agent_id: str) -> dict[str, object]:
    return next(row for row in agents.list_agents(world.database) if row["agent_id"] == agent_id)


def _client(world: World, client_id: str) -> dict[str, object]:
    rows = clients.list_clients(world.database)
    return next(row for row in rows if row["client_id"] == client_id)


def test_only_the_given_columns_of_an_agent_change(own_world: World) -> None:
    before = _agent(own_world, own_world.agent.agent_id)
    assert agents.change_agent(own_world.database, own_world.agent.agent_id, LATER, model="m-2")
    assert _agent(own_world, own_world.agent.agent_id) == {**before, "model": "m-2"}


def test_a_new_address_is_unverified_and_the_same_one_stays_verified(own_world: World) -> None:
    database, agent_id = own_world.database, own_world.agent.agent_id
    agents.change_agent(database, agent_id, LATER, email="ann@owner.example")
    assert _agent(own_world, agent_id)["email_verified"] is True
    agents.change_agent(database, agent_id, LATER, email="new@owner.example")
    assert _agent(own_world, agent_id)["email_verified"] is False
    agents.change_agent(database, agent_id, LATER, email="x@owner.example", email_verified=True)
    assert _agent(own_world, agent_id)["email_verified"] is True


def test_an_agent_with_a_key_goes_on_naming_the_website(own_world: World) -> None:
    made = agents.add_agent(
        own_world.database, "key@owner.example", public_key=Pair().jwks, now=NOW
    )
    agents.change_agent(own_world.database, made.agent_id, LATER, require_origin=False)
    assert _agent(own_world, made.agent_id)["require_origin"] is True
    agents.change_agent(own_world.database, own_world.careful.agent_id, LATER, require_origin=False)
    assert _agent(own_world, own_world.careful.agent_id)["require_origin"] is False


def test_what_is_unacceptable_or_unknown_changes_nothing(own_world: World) -> None:
    database = own_world.database
    before = (agents.list_agents(database), clients.list_clients(database))
    with pytest.raises(RegistrationError):
        agents.change_agent(database, own_world.agent.agent_id, LATER, name="ok", model="a\nb")
    with pytest.raises(RegistrationError):
        clients.change_client(database, own_world.shop.client_id, LATER, redirect_uris=[])
    assert not agents.change_agent(database, "agent_none", LATER, model="m")
    assert not clients.change_client(database, "client_none", LATER, name="X")
    # An agent's second role is no website.
    assert not clients.change_client(database, own_world.agent.agent_id, LATER, name="X")
    assert (agents.list_agents(database), clients.list_clients(database)) == before


def test_only_the_given_columns_of_a_website_change(own_world: World) -> None:
    database, client_id = own_world.database, own_world.shop.client_id
    before = _client(own_world, client_id)
    uri = "https://shop.example/logout"
    assert clients.change_client(database, client_id, LATER, backchannel_logout_uri=uri)
    assert _client(own_world, client_id) == {**before, "backchannel_logout_uri": uri}
    assert clients.change_client(database, client_id, LATER, backchannel_logout_uri="", name="S")
    assert _client(own_world, client_id) == {**before, "name": "S"}
    assert clients.change_client(database, client_id, LATER)


def test_times_are_those_of_the_caller(own_world: World) -> None:
    made = agents.add_agent(own_world.database, "t@owner.example", now=12_345)
    assert _agent(own_world, made.agent_id)["created_at"] == 12_345
    site = clients.add_client(own_world.database, "T", ["https://t.example/"], now=12_346)
    assert _client(own_world, site.client_id)["created_at"] == 12_346
