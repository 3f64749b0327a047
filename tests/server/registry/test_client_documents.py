"""Clients that are described by a document at the address that is their id."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from auth_agent.errors import SettingsError
from auth_agent.flow.fetching.fetcher import AT_ONCE, Fetched
from auth_agent.flow.fetching.refusals import FetchRefused
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings
from auth_agent.server.registry import clients
from auth_agent.server.registry.self_registered import document_rows
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.keys import JWT_BEARER, Pair
from tests.server.world import UPSTREAM_PATTERN, World

ID = "https://app.example/oauth/client.json"
CALLBACK = "https://app.example/callback"
GOOD = {"client_id": ID, "client_name": "App", "redirect_uris": [CALLBACK]}


class _Web:
    """Stands for the fetcher."""

    def __init__(self) -> None:
        self.document: Any = GOOD
        self.status = 200
        self.fetched: list[str] = []
        self.headers: dict[str, str] = {}

    def get(self, url: str) -> Fetched:
        self.fetched.append(url)
        if self.document is None:
            raise FetchRefused("away")
        body = json.dumps(self.document).encode()
        return Fetched(self.status, "application/json", body, self.headers)

    def close(self) -> None:
        """Does nothing, because nothing is open."""


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
        {"redirect_uris": ["javascript:alert(1)"]},
        {"post_logout_redirect_uris": ["https://evil.example/out"]},
        {"padding": "x" * 16_384},
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


@pytest.mark.parametrize(
    ("headers", "fresh_for"),
    [
        ({}, 3_600),
        ({"cache-control": "public, max-age=600"}, 600),
        ({"cache-control": "no-store"}, 300),
        ({"cache-control": "max-age=0"}, 300),
        ({"cache-control": "max-age=99999999"}, 86_400),
    ],
)
def test_a_document_is_cached_as_its_headers_say(
    web: tuple[World, _Web],
    headers: dict[str, str],
    fresh_for: int,
) -> None:
    """Bounds the time: no website makes this server ask at every visit, or never again."""
    world, fetcher = web
    fetcher.headers = headers
    assert _ask(world).status_code == 200
    known = world.context.documents._known
    first = known[ID]
    for seconds, count in ((fresh_for - 60, 1), (fresh_for, 2)):
        known[ID] = first._replace(at=first.at - seconds)
        assert _ask(world).status_code == 200
        assert len(fetcher.fetched) == count, seconds


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
            "http://192.168.0.1/x",
            "https://app.example/a/../x",
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
        assert _sign_in(world).status_code == 200
        web.document = {**GOOD, "client_id": other, "redirect_uris": [callback]}
        world.code(client_id=other, redirect_uri=callback)
    uris = {one["client_id"]: one["redirect_uris"] for one in clients.list_clients(world.database)}
    assert (uris[ID], uris[other]) == ([CALLBACK], [moved])


def test_a_client_that_was_removed_stays_removed(web: tuple[World, _Web]) -> None:
    world, _fetcher = web
    browser = world.browser()
    waiting = world.open(browser, client_id=ID, redirect_uri=CALLBACK)
    assert _sign_in(world).status_code == 200
    assert endings.remove_client(world.database, ID, world.context.now())
    assert _ask(world).status_code == 400
    assert world.answer(waiting).status_code == 404
    _read_again(world)
    assert _ask(world).status_code == 400
    world.context.sweeper.sweep(world.context.now() + 10 * 86_400)
    assert _ask(world).status_code == 400


@pytest.mark.parametrize(
    ("value", "admitted", "refused"),
    [
        (None, [ID, "https://b.example/x"], []),
        ("*", [ID, "https://b.example/x"], []),
        ("", [], [ID]),
        ("app.example, b.example:8443", [ID, "https://b.example:8443/x"], ["https://b.example/x"]),
        ("pp.example", [], [ID, "https://pp.example.evil.example/x"]),
    ],
)
def test_which_hosts_documents_are_clients(
    build: Build, value: str | None, admitted: list[str], refused: list[str]
) -> None:
    environ = {"AUTH_AGENT_SERVER_ISSUER": "http://127.0.0.1:8420"}
    if value is not None:
        environ["AUTH_AGENT_SERVER_CLIENT_DOCUMENTS"] = value
    web = _Web()
    settings = ServerSettings.from_env(environ)
    world = build(client_documents=settings.client_documents, fetcher=web)
    metadata = world.browser().get("/.well-known/openid-configuration").json()
    assert metadata.get("client_id_metadata_document_supported", False) is (value != "")
    for client_id in (*admitted, *refused):
        host = client_id.rpartition("/")[0].partition("/oauth")[0]
        web.document = {**GOOD, "client_id": client_id, "redirect_uris": [host + "/callback"]}
        request = world.request(client_id=client_id, redirect_uri=host + "/callback")
        status = world.browser().get("/authorize", params=request).status_code
        assert (client_id, status) == (client_id, 200 if client_id in admitted else 400)
    assert web.fetched == admitted


def test_a_host_that_is_none_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="CLIENT_DOCUMENTS"):
        ServerSettings(issuer="http://127.0.0.1:8420", client_documents=("https://app.example",))


def test_a_document_on_a_loopback_host_is_for_a_server_there(build: Build) -> None:
    local, callback = "http://127.0.0.1:9000/client.json", "http://127.0.0.1:9000/callback"
    web = _Web()
    web.document = {**GOOD, "client_id": local, "redirect_uris": [callback]}
    for issuer, status in (
        ("http://127.0.0.1:8420", 200),
        ("https://id.example", 400),
    ):
        world = build(issuer=issuer, secrets=(Secret("s" * 32),), fetcher=web)
        request = world.request(client_id=local, redirect_uri=callback)
        assert world.browser().get("/authorize", params=request).status_code == status
    assert web.fetched == [local]


# What is stored, and when


def _stored(world: World) -> dict[str, dict[str, Any]]:
    rows = clients.list_clients(world.database)
    return {row["client_id"]: row for row in rows if row["origin"] == "document"}


def _sign_in(world: World) -> Any:
    code = world.code(client_id=ID, redirect_uri=CALLBACK)
    return world.redeem(code, auth=None, client_id=ID, redirect_uri=CALLBACK)


def _read_again(world: World) -> None:
    """Ends the hour in which a document is cached."""
    world.context.documents._known.clear()


def test_nothing_is_stored_before_an_agent_approves(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    for number in range(20):
        client_id = f"{ID}/{number}"
        fetcher.document = {**GOOD, "client_id": client_id}
        assert _ask(world, client_id).status_code == 200
    assert _stored(world) == {}
    assert not world.context.origins.has("https://app.example")
    fetcher.document = GOOD
    assert _sign_in(world).status_code == 200
    assert list(_stored(world)) == [ID]


def test_a_pending_sign_in_shows_the_host_that_is_proven(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    fetcher.document = {**GOOD, "client_name": "Your Bank"}
    page = _ask(world).text
    assert "<strong>app.example</strong>" in page
    found = UPSTREAM_PATTERN.search(page)
    assert found
    told = world.browser().get(f"/api/auth-requests/{found[1]}").json()
    assert (told["client_id"], told["client_name"]) == (ID, "Your Bank")


def test_errors_before_an_approval_are_a_page(web: tuple[World, _Web]) -> None:
    """Avoids an open redirector that anyone's document could make (RFC 9700 section 4.11.2)."""
    world, _fetcher = web
    request = {"client_id": ID, "redirect_uri": CALLBACK}
    wrong = world.request(**request, scope="admin")
    answer = world.browser().get("/authorize", params=wrong)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert answer.headers["content-type"].startswith("text/html")
    browser = world.browser()
    request_id = world.open(browser, **request)
    cancelled = browser.post("/authorize/cancel", data={"request_id": request_id})
    assert (cancelled.status_code, "location" in cancelled.headers) == (403, False)
    again = browser.get("/authorize/continue", params={"request_id": request_id})
    assert (again.status_code, "location" in again.headers) == (403, False)
    assert _sign_in(world).status_code == 200
    answer = world.browser().get("/authorize", params=wrong)
    assert (answer.status_code, answer.headers["location"].startswith(CALLBACK)) == (303, True)


def test_the_same_client_is_approved_twice_at_once(web: tuple[World, _Web]) -> None:
    world, _fetcher = web
    request = {"client_id": ID, "redirect_uri": CALLBACK}
    waiting = [(browser, world.open(browser, **request)) for browser in (world.browser(),) * 4]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: world.answer(one[1]).status_code, waiting))
    assert answers == [200] * 4
    for browser, request_id in waiting:
        code = world.poll(browser, request_id)["code"]
        assert world.redeem(code, **request, auth=None).status_code == 200
    assert list(_stored(world)) == [ID]


def test_stored_documents_are_bounded(
    web: tuple[World, _Web], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_rows, "MOST_SELF_MADE", 1)
    world, fetcher = web
    assert _sign_in(world).status_code == 200
    other = f"{ID}/other"
    fetcher.document = {**GOOD, "client_id": other}
    browser = world.browser()
    request_id = world.open(browser, client_id=other, redirect_uri=CALLBACK)
    answer = world.answer(request_id)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert world.poll(browser, request_id)["status"] == "pending"
    assert _sign_in(world).status_code == 200


def test_a_document_is_forgotten_a_day_after_its_last_family(web: tuple[World, _Web]) -> None:
    world, _fetcher = web
    tokens = _sign_in(world).json()
    sweep = world.context.sweeper.sweep
    world.clock.forward(86_401)
    sweep(world.context.now())
    assert list(_stored(world)) == [ID], "it has a family"
    revoked = world.browser().post(
        "/revoke", data={"token": tokens["refresh_token"], "client_id": ID}
    )
    assert revoked.status_code == 200
    sweep(world.context.now())
    assert list(_stored(world)) == [ID]
    world.clock.forward(86_401)
    sweep(world.context.now())
    sweep(world.context.now())
    assert _stored(world) == {}
    assert _sign_in(world).status_code == 200


def test_a_client_is_not_forgotten_while_a_sign_in_of_it_is_open(web: tuple[World, _Web]) -> None:
    world, _fetcher = web
    tokens = _sign_in(world).json()
    revoke = {"token": tokens["refresh_token"], "client_id": ID}
    assert world.browser().post("/revoke", data=revoke).status_code == 200
    world.clock.forward(2 * 86_401)
    browser = world.browser()
    request_id = world.open(browser, client_id=ID, redirect_uri=CALLBACK)
    for _ in range(2):
        world.context.sweeper.sweep(world.context.now())
    assert list(_stored(world)) == [ID], "the agent has not answered yet"
    assert world.answer(request_id).status_code == 200
    world.context.sweeper.sweep(world.context.now())
    assert world.poll(browser, request_id)["code"]
    world.clock.forward(86_401)
    for _ in range(2):
        world.context.sweeper.sweep(world.context.now())
    assert _stored(world) == {}


def test_what_an_administrator_has_set_stays(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    assert _sign_in(world).json()["scope"] == "openid profile email agent"
    now = world.context.now()
    changes = {"scopes": ["openid"], "resources": ["https://api.app.example"]}
    assert clients.change_client(world.database, ID, now, **changes)
    fetcher.document = {**GOOD, "client_name": "New name", "scope": "openid email"}
    _read_again(world)
    assert _sign_in(world).json()["scope"] == "openid"
    row = _stored(world)[ID]
    assert (row["scopes"], row["resources"]) == (["openid"], ["https://api.app.example"])
    assert row["name"] == "New name", "nobody has decided this one"
    world.context.sweeper.sweep(now + 10 * 86_400)
    assert list(_stored(world)) == [ID]


def test_what_a_document_changes_is_in_the_audit(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    assert _sign_in(world).status_code == 200

    def changes() -> list[str]:
        statement = select(audit.c.request_id).where(
            audit.c.client_id == ID, audit.c.outcome == "changed by its document"
        )
        with world.database.read() as connection:
            return list(connection.execute(statement).scalars())

    _read_again(world)
    assert _ask(world).status_code == 200
    assert changes() == [], "nothing has changed"
    fetcher.document = {**GOOD, "client_name": "Other", "redirect_uris": [CALLBACK, CALLBACK + "2"]}
    _read_again(world)
    assert _ask(world).status_code == 200
    assert changes() == ["name redirect_uris"]


def test_a_redirect_uri_that_a_document_gives_up_is_refused(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    assert _sign_in(world).status_code == 200
    fetcher.document = {**GOOD, "redirect_uris": [CALLBACK + "/new"]}
    _read_again(world)
    assert _ask(world).status_code == 400


def test_a_stored_client_fails_where_its_document_is_away(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    tokens = _sign_in(world).json()
    fetcher.document = None
    _read_again(world)
    assert _ask(world).status_code == 400
    form = {"auth": None, "client_id": ID}
    assert world.refresh(tokens["refresh_token"], **form).status_code == 200


def test_documents_that_were_switched_off_sign_nobody_in(build: Build) -> None:
    web = _Web()
    world = build(fetcher=web)
    assert _sign_in(world).status_code == 200
    off = replace(world, app=build(client_documents=False, fetcher=web).app)
    clients_row = _stored(world)[ID]
    assert clients_row["origin"] == "document"
    assert _ask(off).status_code == 400


def test_a_key_that_has_changed_is_read_again(web: tuple[World, _Web]) -> None:
    world, fetcher = web
    old, new = Pair(), Pair(kid="k-2")
    keyed = {**GOOD, "token_endpoint_auth_method": "private_key_jwt"}
    fetcher.document = {**keyed, "jwks": {"keys": [old.jwk]}}

    def redeem(pair: Pair) -> Any:
        proof = {
            "client_assertion_type": JWT_BEARER,
            "client_assertion": pair.assertion(ID, world.clock()),
        }
        code = world.code(client_id=ID, redirect_uri=CALLBACK)
        return world.redeem(code, auth=None, redirect_uri=CALLBACK, **proof)

    assert redeem(old).status_code == 200
    assert world.redeem("ac_x", auth=None, client_id=ID).status_code == 401
    fetcher.document = {**keyed, "jwks": {"keys": [new.jwk]}}
    assert redeem(new).status_code == 401, "it was read a moment ago"
    _read_again(world)
    assert redeem(new).status_code == 200
    assert redeem(old).status_code == 401
