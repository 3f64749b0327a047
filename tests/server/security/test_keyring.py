"""Signing keys that cannot be opened: they stop nothing, and no server adds another to them."""

from __future__ import annotations

import logging
from typing import Any

import jwt
import pytest
from sqlalchemy import select, update

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server.registry import clients
from auth_agent.server.security.keys.keyring import Keyring
from auth_agent.server.storage.tables.tokens import signing_key
from tests.server.conftest import Build
from tests.server.world import REDIRECT, World

OLD, NEW = Secret("o" * 32), Secret("n" * 32)
HOUR = 3_600


def _rows(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(select(signing_key).order_by(signing_key.c.generation)))


def _ring(world: World, *given: Secret) -> Keyring:
    return Keyring(world.database, given, "ES256", world.clock, HOUR)


def _kids(world: World, algorithm: str = "ES256") -> list[str]:
    keys = world.browser().get("/.well-known/jwks.json").json()["keys"]
    return [key["kid"] for key in keys if key["alg"] == algorithm]


def test_nobody_rotates_who_cannot_open_a_present_key(build: Build) -> None:
    world = build(secrets=(OLD,))
    before = _rows(world)
    with pytest.raises(SettingsError, match="does not open the signing keys"):
        _ring(world, NEW).rotate()
    assert _rows(world) == before
    _ring(world, NEW, OLD).rotate()
    assert len(_rows(world)) == 4


def test_a_key_of_another_secret_is_skipped_and_stays_published(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    """Covers a rolling change of the secret in the wrong order."""
    world = build(secrets=(OLD,))
    (first,) = _kids(world)
    strange = _ring(world, NEW, OLD).rotate()
    world.clock.forward(11)
    with caplog.at_level(logging.ERROR, "auth_agent.server"):
        tokens = world.tokens()
    assert sum(strange in record.message for record in caplog.records) == 1
    assert _kids(world) == [strange, first]
    assert jwt.get_unverified_header(tokens["id_token"])["kid"] == first
    assert world.verified(tokens["id_token"], world.shop.client_id)
    assert world.userinfo(tokens["access_token"]).status_code == 200
    answer = world.browser().get("/ready")
    assert (answer.status_code, len(answer.json()["unopened_keys"])) == (200, 2)
    assert strange in answer.json()["unopened_keys"]
    # Both halves of the change understand each other's tokens.
    other = _ring(world, NEW, OLD).current()
    world.clock.forward(11)
    token = other.signer(world.clock()).sign({"iss": "x"}, "at+jwt")
    assert jwt.get_unverified_header(token)["kid"] == strange


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_retired_key_that_still_signs_stays_published(build: Build, algorithm: str) -> None:
    world = build(secrets=(OLD,))
    world.shop = clients.add_client(
        world.database, "Shop", [REDIRECT], id_token_alg=algorithm, now=world.context.now()
    )
    (first,) = _kids(world, algorithm)
    _ring(world, NEW, OLD).rotate()
    for _ in range(15):
        world.clock.forward(300)
        token = world.tokens(client_id=world.shop.client_id)["id_token"]
    assert jwt.get_unverified_header(token)["kid"] == first
    world.clock.forward(world.context.settings.id_token_lifetime)
    assert first in _kids(world, algorithm)


@pytest.mark.parametrize("damaged", ["", "!", "AAAA", "A" * 400])
def test_one_damaged_row_stops_nothing(build: Build, damaged: str) -> None:
    world = build(secrets=(OLD,))
    bad = _ring(world, OLD).rotate()
    with world.database.begin() as connection:
        row = update(signing_key).where(signing_key.c.kid == bad)
        connection.execute(row.values(private_sealed=damaged))
    world.clock.forward(11)
    assert world.tokens()["id_token"]
    assert bad in _kids(world)


def test_a_server_that_can_open_none_does_not_start(build: Build) -> None:
    build(secrets=(OLD,))
    with pytest.raises(SettingsError, match="add the secret that was used before"):
        build(secrets=(NEW,))


def test_keys_that_are_lost_while_it_runs_leave_the_public_ones(build: Build) -> None:
    world = build(secrets=(OLD,))
    kids = _kids(world)
    world.context.keyring._snapshot = None
    world.context.keyring._sealing = []
    assert world.browser().get("/ready").status_code == 503
    assert _kids(world) == kids


def test_servers_with_different_algorithms_do_not_rotate_for_ever(build: Build) -> None:
    one = build(secrets=(OLD,))
    other = build(secrets=(OLD,), signing_algorithm="RS256")
    for _ in range(5):
        one.clock.forward(11)
        other.clock.forward(11)
        assert one.tokens()
        assert other.context.keyring.current()
    assert [row.algorithm for row in _rows(one)] == ["ES256", "RS256"]
