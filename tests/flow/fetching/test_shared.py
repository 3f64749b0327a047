"""The effect `Fetch`, performed for threads and for tasks; how often a host is asked."""

from __future__ import annotations

import threading

import anyio
import pytest

from auth_agent.flow import drive
from auth_agent.flow.effects import fetch
from auth_agent.flow.fetching import fetcher as fetching
from auth_agent.flow.fetching import rate, shared
from auth_agent.flow.fetching.fetcher import Fetcher
from auth_agent.flow.fetching.rate import Rate
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace


@pytest.fixture(autouse=True)
def _closed():
    yield
    drive.close()


def in_tasks(flow):
    return anyio.run(drive.arun, flow)


@pytest.mark.parametrize("perform", [drive.run, in_tasks])
def test_a_flow_fetches_and_gets_status_headers_and_body(web, perform):
    found = perform(fetch(f"{web}/ok", "application/x", loopback_allowed=True))
    assert (found.status, found.body) == (200, b"{}")
    assert found.headers["x-accept"] == "application/x"
    assert perform(fetch(f"{web}/moved", "a/b", loopback_allowed=True)).status == 302


@pytest.mark.parametrize("perform", [drive.run, in_tasks])
def test_a_refusal_is_thrown_into_the_flow(web, perform):
    def flow():
        try:
            yield from fetch(web, "a/b")
        except FetchRefused as refused:
            return str(refused)

    assert perform(flow()) == "the address is not https"


def test_a_host_is_asked_so_often_a_minute(web, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr("auth_agent.flow.fetching.rate.time.monotonic", lambda: now)
    fetcher = Fetcher(loopback_allowed=True, per_minute=2)
    for _ in range(2):
        assert fetcher.get(f"{web}/ok").status == 200
    with pytest.raises(NoPlace, match="too many requests"):
        fetcher.get(f"{web}/other")
    now += 60
    assert fetcher.get(f"{web}/ok").status == 200
    fetcher.close()
    assert shared.PER_MINUTE == 60


def test_the_ports_of_a_host_are_counted_together():
    fetcher = Fetcher(resolve=lambda _host, _port: ["10.0.0.1"], per_minute=2)
    for port in (443, 8443):
        with pytest.raises(FetchRefused, match="not public"):
            fetcher.get(f"https://victim.example:{port}/")
    with pytest.raises(NoPlace, match="too many requests"):
        fetcher.get("https://VICTIM.example:9443/")
    with pytest.raises(FetchRefused, match="not public"):
        fetcher.get("https://other.example/")
    fetcher.close()


def test_new_addresses_leave_a_part_of_each_minute_for_renewals(web):
    fetcher = Fetcher(loopback_allowed=True, per_minute=3)
    for number in range(2):
        assert fetcher.get(f"{web}/ok?{number}").status == 200
    with pytest.raises(NoPlace, match="too many requests"):
        fetcher.get(f"{web}/ok?2")
    assert fetcher.get(f"{web}/ok", renews=True).status == 200
    with pytest.raises(NoPlace, match="too many requests"):
        fetcher.get(f"{web}/ok", renews=True)
    fetcher.close()


@pytest.mark.parametrize("perform", [drive.run, in_tasks])
def test_new_addresses_leave_places_for_renewals(web, perform):
    perform(fetch(f"{web}/ok", "a/b", loopback_allowed=True))
    new = shared._fetchers.get((True, False), pytest.fail)._new
    for _ in range(fetching.AT_ONCE - fetching.SPARE_PLACES):
        assert new.acquire(blocking=False)
    with pytest.raises(NoPlace):
        perform(fetch(f"{web}/ok", "a/b", loopback_allowed=True))
    assert perform(fetch(f"{web}/ok", "a/b", loopback_allowed=True, renews=True)).status == 200


@pytest.mark.parametrize("perform", [drive.run, in_tasks])
def test_strangers_take_no_place_of_a_host_that_the_operator_has_chosen(web, perform):
    perform(fetch(f"{web}/ok", "a/b", loopback_allowed=True))
    strangers = shared._fetchers.get((True, False), pytest.fail)
    while strangers._rate.take(web.removeprefix("http://")):
        pass
    with pytest.raises(NoPlace):
        perform(fetch(f"{web}/ok", "a/b", loopback_allowed=True, renews=True))
    chosen = fetch(f"{web}/ok", "a/b", loopback_allowed=True, trusted=True)
    assert perform(chosen).status == 200


def test_few_hosts_are_counted(monkeypatch):
    monkeypatch.setattr(rate, "MOST_HOSTS", 2)
    counted = Rate(1)
    assert [counted.take(host) for host in "abcab"] == [True, True, True, True, True]
    assert [counted.take(host) for host in "ba"] == [False, False]


def test_a_host_that_hangs_is_left_alone_for_a_while(web, fetcher, monkeypatch):
    monkeypatch.setattr(fetching, "DEADLINE", 0.3)
    with pytest.raises(FetchRefused, match="Time"):
        fetcher.get(f"{web}/slow-body")
    with pytest.raises(FetchRefused, match="a moment ago"):
        fetcher.get(f"{web}/ok")
    assert fetcher.post_form(f"{web}/ok", {}).status == 200  # another queue


def test_tasks_share_the_places_of_threads(web, monkeypatch):
    """Refuses the ninth fetch, in a task as in a thread."""
    drive.run(fetch(f"{web}/ok", "a/b", loopback_allowed=True))
    shared_one = shared._fetchers.get((True, False), pytest.fail)
    places = threading.BoundedSemaphore(1)
    monkeypatch.setitem(shared_one._places, "GET", places)
    with places, pytest.raises(NoPlace):
        in_tasks(fetch(f"{web}/ok", "a/b", loopback_allowed=True))
