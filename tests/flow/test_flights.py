"""Single flight: one run for all concurrent callers, even if the leader fails."""

from __future__ import annotations

import os
import threading

import anyio
import pytest

from auth_agent import ServerUnavailable
from auth_agent.flow import drive, flights
from auth_agent.flow.effects import join, spawn
from auth_agent.flow.kept import Guard, PerProcess


def answer(value):
    return value
    yield


def test_a_thread_that_cannot_start_leaves_nothing_under_way(monkeypatch):
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError))
    drive.run(spawn("key", lambda: answer(1)))
    monkeypatch.setattr(threading.Thread, "start", start)
    assert drive.run(join("key", lambda: answer(2))) == 2


def test_a_waiter_that_timed_out_is_the_last_of_this_run(monkeypatch):
    monkeypatch.setattr(drive, "WAIT_SECONDS", 0.01)
    flights.threads.board("dead", threading.Event)  # its leader never comes back
    with pytest.raises(ServerUnavailable):
        drive.run(join("dead", lambda: answer(1)))
    assert drive.run(join("dead", lambda: answer(2))) == 2


def test_the_same_for_tasks(monkeypatch):
    monkeypatch.setattr(drive, "WAIT_SECONDS", 0.01)

    async def main():
        flights.loop_flights().board("dead", anyio.Event)
        with pytest.raises(ServerUnavailable):
            await drive.arun(join("dead", lambda: answer(1)))
        assert await drive.arun(join("dead", lambda: answer(2))) == 2

    anyio.run(main)


def test_a_late_leader_does_not_end_the_run_of_the_next():
    first, _ = flights.threads.board("late", threading.Event)
    flights.threads.give_up("late", first)
    second, leads = flights.threads.board("late", threading.Event)
    assert leads
    with flights.threads.landing("late", first):
        pass
    assert flights.threads.board("late", threading.Event) == (second, False)
    flights.threads.give_up("late", second)


def in_a_child(check) -> int:
    """Returns the exit code of a forked child that runs `check`."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_asks_itself_and_finds_no_closed_lock():
    flight, _ = flights.threads.board("forked", threading.Event)
    guard, kept = Guard(), PerProcess()
    kept.get("client", lambda: "the parent's")
    with guard, flights.threads._guard:
        code = in_a_child(
            lambda: (
                drive.run(join("forked", lambda: answer(3))) == 3
                and kept.get("client", lambda: "its own") == "its own"
                and guard.__enter__() is None
            )
        )
    flights.threads.give_up("forked", flight)
    assert code == 0
    assert kept.get("client", lambda: "another") == "the parent's"
