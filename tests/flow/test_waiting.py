"""What a server that hangs may cost: one time-out, then nothing for some seconds."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import pytest

from auth_agent import ServerUnavailable
from auth_agent.flow import drive, places
from auth_agent.flow.connections import breaker, transport
from auth_agent.flow.effects import limited, send
from auth_agent.flow.exchange import HttpRequest
from tests.flow.network import answering, listening


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.3)
    drive.close()
    yield
    drive.close()


def ask_in_thread(url):
    return drive.run(send(HttpRequest("GET", url)))


def ask_in_task(url):
    async def main():
        return await drive.arun(send(HttpRequest("GET", url)))

    return anyio.run(main)


@pytest.mark.parametrize("ask", [ask_in_thread, ask_in_task])
def test_after_a_time_out_questions_fail_at_once_until_one_is_answered(ask, monkeypatch):
    hangs = threading.Event()
    hangs.set()
    answer = answering()

    def serve(connection):
        if not hangs.is_set():
            answer(connection)

    with listening(serve) as server:
        url = f"http://127.0.0.1:{server.port}"
        with pytest.raises(ServerUnavailable):
            ask(f"{url}/introspect?one")
        assert server.connected.acquire(timeout=5)
        for number in range(20):
            with pytest.raises(ServerUnavailable):
                ask(f"{url}/introspect?{number}")
        assert not server.connected.acquire(blocking=False)  # nothing was even sent
        hangs.clear()
        assert ask(f"{url}/token").status == 200  # another endpoint
        breaker_of_process = transport._breaker
        monkeypatch.setattr(
            breaker.time, "monotonic", lambda now=time.monotonic: now() + breaker.PAUSE_SECONDS
        )
        assert breaker_of_process._may_ask(f"{url}/introspect")  # one finds out
        assert not breaker_of_process._may_ask(f"{url}/introspect")  # the others do not wait
        breaker_of_process._resume(f"{url}/introspect")
        assert ask(f"{url}/introspect").status == 200
        assert ask(f"{url}/introspect").status == 200


def test_a_refused_connection_pauses_nothing():
    with listening(answering()) as server:
        url = f"http://127.0.0.1:{server.port}/x"
    for _ in range(2):
        with pytest.raises(ServerUnavailable) as caught:
            ask_in_thread(url)
        assert "paused" not in caught.value.reason


def test_three_threads_wait_and_the_fourth_is_sent_on(monkeypatch):
    monkeypatch.setattr(places, "SECONDS", 0.05)
    opened, go = threading.Semaphore(0), threading.Event()

    def hold():
        opened.release()
        assert go.wait(10)
        return "answered"
        yield

    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(drive.run, limited("share", hold)) for _ in range(3)]
        for _ in range(3):
            assert opened.acquire(timeout=5)
        with pytest.raises(ServerUnavailable) as caught:
            drive.run(limited("share", hold))
        assert caught.value.code == "too_many_questions"
        with pytest.raises(ServerUnavailable):  # three of each kind would hold all four threads
            drive.run(limited("another share", hold))
        go.set()
        assert {one.result(5) for one in held} == {"answered"}
    assert drive.run(limited("share", hold)) == "answered"


def _nothing():
    return "signed in"
    yield


def test_tasks_have_more_places_but_not_all_connections(monkeypatch):
    monkeypatch.setattr(places, "SECONDS", 0.05)
    monkeypatch.setattr(places, "TASKS", 2)

    async def main():
        with listening() as server:
            url = f"http://127.0.0.1:{server.port}/x"
            codes = []

            async def ask():
                with pytest.raises(ServerUnavailable) as caught:
                    await drive.arun(limited("tasks", lambda: send(HttpRequest("GET", url))))
                codes.append(caught.value.code)

            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(ask)
                for _ in range(2):
                    await anyio.to_thread.run_sync(server.connected.acquire)
                # Those that hang take no place from sign-ins, which have their own.
                assert await drive.arun(limited("sign_in", _nothing)) == "signed in"
            await drive.aclose()
        assert sorted(codes) == ["server_unavailable"] * 2 + ["too_many_questions"] * 2

    anyio.run(main)
