"""Clients that are described by a document at the address that is their id."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth_agent.server.outbound.fetcher import AT_ONCE, Fetched, FetchRefused
from auth_agent.server.registry import clients
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.world import World

ID = "https://app.example/oauth/client.json"
CALLBACK = "https://app.example/callback"
GOOD = {"client_id": ID, "client_name": "App", "redirect_uris": [CALLBACK]}


class _Web:
    """Stands for the fetcher."""

    def __init__(self) -> None:
        self.document: Any = GOOD
        self.status = 200
        self.fetched: list[str] = []

    def get(self, url: str) -> Fetched:
        self.fetched.append(url)
        if self.document is None:
            raise FetchRefused("away")
        return Fetched(self.status, "application/json", json.dumps(self.document).encode())

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def web(build: Build) -> tuple[World, _Web]:
    web = _Web()
    return build(client_documents=True, fetcher=web), web


def _ask(world: World, client_id: str = ID) -> Any:
    request = world.request(client_id=client_id, redirect_uri=CALLBACK)
    return world.browser().get("/authorize", params=request)


def test_a_website_needs_no_registration(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    metadata = world.browser().get("/.well-known/openid-configuration").json()
    assert metadata["client_id_metadata_document_supported"] is True
    request = {"client_id": ID, "redirect_uri": CALLBACK}
    code = world.code(**request)
    answer = world.redeem(code, **request, auth=None)
    assert answer.status_code == 200, answer.text
    claims = world.verified(answer.json()["id_token"], ID)
    assert claims["aud"] == ID
    assert _ask(world).status_code == 200
    assert fetcher.fetched == [ID]


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "https://other.example/client.json"},
        {"client_secret": "x"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"redirect_uris": ["https://evil.example/callback", CALLBACK]},
        {"redirect_uris": []},
        {"redirect_uris": ["nonsense"]},
        {"redirect_uris": [5]},
        {"redirect_uris": {CALLBACK: 1}},
        {"grant_types": 5},
        {"scope": 5},
        {"redirect_uris": ["https://["]},
        {"redirect_uris": ["https://app.example:x/callback"]},
        {"redirect_uris": "x"},
        {"scope": "admin"},
        {"client_name": "a\nb"},
    ],
)
def test_a_document_that_is_not_acceptable_is_refused(
    web: tuple[World, _Web], change: dict[str, Any]
) -> None:
    world, fetcher = web
    fetcher.document = {**GOOD, **change}
    answer = _ask(world)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_an_id_that_cannot_be_stored_is_refused(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    long = "https://app.example/" + "x" * 236
    fetcher.document = {**GOOD, "client_id": long}
    assert _ask(world, long).status_code == 400
    fetcher.document = {**GOOD, "client_id": long[:-1]}
    assert _ask(world, long[:-1]).status_code == 200


def test_a_document_that_is_away_is_refused(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    for document, status in ((None, 200), (GOOD, 404), ([], 200)):
        fetcher.document, fetcher.status = document, status
        assert _ask(world).status_code == 400


@pytest.mark.parametrize(
    "client_id",
    [
        *("https://app.example", "https://app.example/", "http://app.example/x", ID + "?x"),
        *(
            "http://127.0.0.1/x",
            "https://[",
            "https://[x/y",
            "https://app.example:x/y",
            "https://u@app.example/x",
        ),
        *(ID + "#x", "https://app.example/a b", "https://app.example/\u00e9", "https:///x"),
    ],
)
def test_other_addresses_are_no_documents(web: tuple[World, _Web], client_id: str) -> None:
    world, fetcher = web
    assert _ask(world, client_id).status_code == 400
    assert fetcher.fetched == []


def test_nobody_makes_the_server_fetch_without_end(build: Build) -> None:
    web = _Web()
    world = build(client_documents=True, limit_unknown_requests=2, fetcher=web)
    web.document = None
    assert [_ask(world, f"{ID}/{number}").status_code for number in range(2)] == [400, 400]
    answer = _ask(world, f"{ID}/2")
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 61
    assert len(web.fetched) == 2


def test_slow_documents_do_not_take_every_place(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(url: str) -> Fetched:
        begun.release()
        assert go_on.wait(20)
        raise FetchRefused("away")

    fetcher.get = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(AT_ONCE // 2) as pool:
        slow_ones = [pool.submit(_ask, world, f"{ID}/{n}") for n in range(AT_ONCE // 2)]
        for _ in slow_ones:
            assert begun.acquire(timeout=20)
        assert _ask(world).status_code == 503
        go_on.set()
    assert {each.result().status_code for each in slow_ones} == {400}
    del fetcher.get  # type: ignore[method-assign]
    assert _ask(world).status_code == 200


def test_a_document_that_has_changed_changes_its_own_client_only(build: Build) -> None:
    other, moved = "https://other.example/client.json", "https://other.example/new"
    for callback in ("https://other.example/old", moved):
        web = _Web()
        world = build(client_documents=True, fetcher=web)
        assert _ask(world).status_code == 200
        web.document = {**GOOD, "client_id": other, "redirect_uris": [callback]}
        request = world.request(client_id=other, redirect_uri=callback)
        assert world.browser().get("/authorize", params=request).status_code == 200
    uris = {one["client_id"]: one["redirect_uris"] for one in clients.list_clients(world.database)}
    assert (uris[ID], uris[other]) == ([CALLBACK], [moved])


def test_whoever_was_removed_stays_removed(web: tuple[World, _Web]) -> None:
    world, _fetcher = web
    assert _ask(world).status_code == 200
    assert endings.remove_client(world.database, ID, world.context.now())
    assert _ask(world).status_code == 400


def test_it_is_off_unless_it_was_switched_on(build: Build) -> None:
    web = _Web()
    assert _ask(build(fetcher=web)).status_code == 400
    assert web.fetched == []
