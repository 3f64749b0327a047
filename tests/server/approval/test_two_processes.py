"""Two server processes answer one question at the same moment: one of them wins, once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest
from sqlalchemy import func, select

from auth_agent.secret import Secret
from auth_agent.server.approval import questions
from auth_agent.server.registry import agents
from auth_agent.server.storage.tables.approvals import known_website
from auth_agent.server.storage.tables.records import audit
from tests.server.approval import racer
from tests.server.approval.test_questions import of_request, setting, waiting
from tests.server.conftest import Build
from tests.server.oauth.test_backchannel import approve as approve_ciba
from tests.server.oauth.test_backchannel import asked, question_of
from tests.server.world import World

ROUNDS = 2  # of each pair, the second one with the processes changed
PAIRS = [
    ("approve", "approve"),
    ("approve", "always"),
    ("approve", "deny"),
    ("deny", "deny"),
    ("approve", "block"),
    ("deny", "block"),
    ("approve", "expire"),
    ("deny", "expire"),
    ("block", "expire"),
    ("expire", "expire"),
]
Race = Callable[[tuple[str, str], dict[str, Any]], list[Any]]


@pytest.fixture
def world(build: Build) -> World:
    """A server whose agent's owner is asked always."""
    made = build(secrets=(Secret("s" * 32),))
    setting(made, "always")
    return made


@pytest.fixture(scope="module")
def pipes() -> Iterator[list[Connection]]:
    """Starts two processes for all races, on whatever database."""
    spawn = multiprocessing.get_context("spawn")
    start, ends, processes = spawn.Barrier(2), [], []
    for _ in range(2):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=racer.run, args=(theirs, start), daemon=True)
        process.start()
        ends.append(ours)
        processes.append(process)
    yield ends
    for end in ends:
        end.send(None)
    for process in processes:
        process.join(30)
        assert process.exitcode == 0


@pytest.fixture
def race(world: World, pipes: list[Connection]) -> Iterator[Race]:
    """Makes two moves at once, each in its own process with a server on this database."""
    url = world.context.settings.database

    def run(moves: tuple[str, str], told: dict[str, Any]) -> list[Any]:
        for pipe, move in zip(pipes, moves, strict=True):
            pipe.send((url, move, told, world.clock.now))
        assert all(pipe.poll(60) for pipe in pipes)
        return [pipe.recv() for pipe in pipes]

    yield run
    run(("close", "close"), {})


def _lines(world: World, request_id: str, kind: str) -> list[str]:
    wanted = select(audit.c.outcome).where(audit.c.kind == kind, audit.c.request_id == request_id)
    with world.database.read() as connection:
        return list(connection.execute(wanted.order_by(audit.c.id)).scalars())


def _pairs() -> Iterator[tuple[str, str]]:
    for number in range(ROUNDS):
        for one, other in PAIRS:
            yield (other, one) if number % 2 else (one, other)


def test_of_two_answers_at_once_one_counts(world: World, race: Race) -> None:
    for moves in _pairs():
        browser, question = waiting(world)
        won = race(moves, {"question": question.id})
        end = of_request(world, question.request_id)
        if end.answer == "expired":
            world.clock.forward(600)  # as the clock that was ahead
        polled = world.poll(browser, question.request_id)
        assert _lines(world, question.request_id, "owner question") == ["asked", end.answer], moves
        # To block is an answer only if nothing else was quicker; it succeeds in any case.
        answers = [is_won for is_won, move in zip(won, moves, strict=True) if move != "block"]
        assert sum(answers) == (end.answer != "withdrawn"), (moves, won, end.answer)
        approvals = _lines(world, question.request_id, "approval")
        if end.answer == "approved":
            assert approvals == ["approved"]
            assert polled["status"] == "authenticated"
            blocked = "block" in moves
            assert world.redeem(polled["code"]).status_code == (400 if blocked else 200)
        else:
            assert approvals == []
            assert polled["error"] == ("expired" if end.answer == "expired" else "access_denied")
        agents.enable_agent(world.database, world.agent.agent_id, world.context.now())
        _forget(world)
        world.clock.forward(3600)


def _forget(world: World) -> None:
    """Takes back an "always", so that the next sign-in asks again."""
    with world.database.begin() as connection:
        connection.execute(known_website.delete())


def test_an_approval_is_collected_once_and_not_past_a_block(world: World, race: Race) -> None:
    auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
    for number in range(3 * ROUNDS):
        auth_req_id = asked(world)
        approve_ciba(world, auth_req_id)
        question = question_of(world, auth_req_id)
        told = {"question": question.id, "auth_req_id": auth_req_id, "auth": auth}
        rival = "block" if number % 2 else "collect"
        tokens = [each for each in race(("collect", rival), told) if isinstance(each, str)]
        given = [token for token in tokens if token]
        taken = _lines(world, question.request_id, "owner question")[2:]
        assert taken == ["taken"] * len(given)
        if rival == "collect":
            assert len(given) == 1
        else:
            assert all(world.userinfo(token).status_code == 401 for token in given)
            agents.enable_agent(world.database, world.agent.agent_id, world.context.now())
        with world.database.read() as connection:
            assert questions.status_of(
                questions.find(connection, question.id), world.context.now()
            ) == ("taken" if given else "approved")
            issued = select(func.count()).where(
                audit.c.kind == "token", audit.c.outcome == "issued"
            )
            assert connection.execute(issued).scalar_one() >= len(given)
        world.clock.forward(3600)
