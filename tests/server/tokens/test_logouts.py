"""Back-channel logout: its recipients, its token, and websites that do not answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from auth_agent.flow.fetching.fetcher import Fetched
from auth_agent.flow.fetching.refusals import FetchRefused
from auth_agent.server import background
from auth_agent.server.registry import clients
from auth_agent.server.storage.tables.tokens import logout_delivery, token_family
from auth_agent.server.tokens import endings, families, logouts
from tests.server.conftest import Build
from tests.server.world import ISSUER, REDIRECT, World

OUT = "https://shop.example/auth-agent/backchannel-logout"


class _Websites:
    """Stands for the fetcher: what was posted, and what is answered."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []
        self.status = 200
        self.is_away = False

    def post_form(self, url: str, form: dict[str, str]) -> Fetched:
        self.posted.append((url, form["logout_token"]))
        if self.is_away:
            raise FetchRefused("ConnectTimeout")
        return Fetched(self.status, "text/plain", b"")

    def close(self) -> None:
        """Does nothing, because nothing is open."""


@pytest.fixture
def told(build: Build) -> tuple[World, _Websites]:
    websites = _Websites()
    world = build(fetcher=websites)
    world.shop = clients.add_client(
        world.database, "Told", [REDIRECT], backchannel_logout_uri=OUT, now=world.context.now()
    )
    return world, websites


def _claims(world: World, token: str) -> dict[str, Any]:
    assert jwt.get_unverified_header(token)["typ"] == "logout+jwt"
    return world.verified(token, world.shop.client_id)


def _deliver_due(context: Any) -> int:
    """Delivers until nothing is due; how many websites were told."""
    deliveries, told = logouts.Deliveries(context), 0
    while started := deliveries.start_due():
        told += sum(each.result(20) for each in started)
    deliveries.close()
    return told


def _queue(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(select(logout_delivery)).all())


def test_disabling_an_agent_tells_each_website_once(told: tuple[World, _Websites]) -> None:
    world, websites = told
    world.tokens()
    tokens = world.tokens()
    endings.disable_agent(world.database, world.agent.agent_id, world.context.now())
    assert _deliver_due(world.context) == 1
    ((url, token),) = websites.posted
    assert url == OUT
    now = int(world.clock())
    claims = _claims(world, token)
    assert claims.pop("jti")
    assert claims == {
        "iss": ISSUER,
        "aud": world.shop.client_id,
        "iat": now,
        "exp": now + 120,
        "sub": world.agent.agent_id,
        "events": {logouts.EVENT: {}},
    }
    assert world.introspect(tokens["access_token"]) == {"active": False}
    assert _deliver_due(world.context) == 0


def test_ending_one_family_names_its_session(told: tuple[World, _Websites]) -> None:
    world, websites = told
    first, second = world.tokens(), world.tokens()
    sid = _claims_of(first["id_token"])["sid"]
    with world.database.begin() as connection:
        assert endings.end_family(connection, sid, world.context.now())
    with world.database.begin() as connection:
        assert not endings.end_family(connection, sid, world.context.now())
    assert _deliver_due(world.context) == 1
    ((_, token),) = websites.posted
    claims = _claims(world, token)
    assert (claims["sid"], claims["sub"]) == (sid, world.agent.agent_id)
    assert "nonce" not in claims
    assert world.introspect(second["access_token"])["active"] is True


def test_two_who_end_a_family_at_once_tell_its_website_once(
    told: tuple[World, _Websites], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, now = told[0], told[0].context.now()

    def at_once(name: str, end: Callable[[], object]) -> None:
        reached, real = threading.Barrier(2), getattr(families, name)

        def late(*arguments: Any) -> Any:
            with contextlib.suppress(threading.BrokenBarrierError):
                reached.wait(0.3)  # one that waits for the other's transaction does not come
            return real(*arguments)

        monkeypatch.setattr(families, name, late)
        world.tokens()
        with ThreadPoolExecutor(2) as threads:
            for ending in [threads.submit(end) for _ in range(2)]:
                ending.result(20)

    def end_newest() -> None:
        newest = select(token_family.c.id).where(token_family.c.revoked_at.is_(None))
        with world.database.read() as connection:
            found = connection.execute(newest).scalars().first()
        if found is not None:
            endings.end_grant(world.database, found, now)

    at_once("revoke", end_newest)
    assert len(_queue(world)) == 1
    agent_id = world.agent.agent_id
    at_once("revoke_all", lambda: endings.end_all_grants(world.database, agent_id, now))
    assert len(_queue(world)) == 2


def test_a_website_can_require_the_session_in_each_logout(told: tuple[World, _Websites]) -> None:
    """Follows Back-Channel Logout 1.0, section 2.2; mod_auth_openidc ends no session by `sub`."""
    world, websites = told
    clients.change_client(
        world.database,
        world.shop.client_id,
        world.context.now(),
        backchannel_logout_session_required=True,
    )
    sids = {_claims_of(world.tokens()["id_token"])["sid"] for _ in range(2)}
    endings.disable_agent(world.database, world.agent.agent_id, world.context.now())
    assert _deliver_due(world.context) == 2
    assert {_claims(world, token)["sid"] for _, token in websites.posted} == sids


def _claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_a_website_without_an_address_is_not_told(own_world: World) -> None:
    own_world.tokens()
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    assert _queue(own_world) == []


@pytest.mark.parametrize("is_away", [True, False])
def test_a_website_that_does_not_listen_is_told_again_and_not_for_ever(
    told: tuple[World, _Websites], is_away: bool
) -> None:
    world, websites = told
    websites.status, websites.is_away = 500, is_away
    world.tokens()
    endings.disable_agent(world.database, world.agent.agent_id, world.context.now())
    for wait in logouts.WAITS:
        assert _deliver_due(world.context) == 0
        attempts = len(websites.posted)
        assert _deliver_due(world.context) == 0
        world.clock.forward(wait - 1)
        assert _deliver_due(world.context) == 0
        assert len(websites.posted) == attempts
        world.clock.forward(1)
    assert _deliver_due(world.context) == 0
    (row,) = _queue(world)
    assert (row.attempts, row.next_at) == (6, None)
    assert row.outcome in ("ConnectTimeout", "status 500")
    world.context.sweeper.sweep(world.context.now() + 2 * 86_400)
    assert _queue(world) == []


def test_a_website_that_comes_back_is_told(told: tuple[World, _Websites]) -> None:
    world, websites = told
    websites.is_away = True
    world.tokens()
    endings.disable_agent(world.database, world.agent.agent_id, world.context.now())
    _deliver_due(world.context)
    websites.is_away = False
    world.clock.forward(logouts.WAITS[0])
    assert _deliver_due(world.context) == 1
    first, second = (_claims_of(token) for _, token in websites.posted)
    assert first["jti"] != second["jti"]
    assert _queue(world)[0].outcome == "delivered"


def test_two_workers_deliver_once(told: tuple[World, _Websites]) -> None:
    world, websites = told
    world.tokens()
    endings.disable_agent(world.database, world.agent.agent_id, world.context.now())
    (row,) = _queue(world)
    assert logouts._deliver(world.context, row) is True
    assert logouts._deliver(world.context, row) is False
    assert len(websites.posted) == 1


def test_a_running_server_delivers(
    told: tuple[World, _Websites], monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(background, "EVERY", 0.02)
    world, websites = told
    world.tokens()
    with TestClient(world.app, base_url=ISSUER):
        endings.disable_agent(world.database, world.agent.agent_id, world.context.now())
        end = time.monotonic() + 10
        while not websites.posted:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_real_website_on_a_loopback_address_is_reached(own_world: World) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    got = []

    class Website(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            got.append((self.headers["content-type"], parse_qs(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Discards the server's log."""

    server = HTTPServer(("127.0.0.1", 0), Website)
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    uri = f"http://127.0.0.1:{server.server_port}/out"
    own_world.shop = clients.add_client(
        own_world.database,
        "Told",
        [REDIRECT],
        backchannel_logout_uri=uri,
        now=own_world.context.now(),
    )
    own_world.tokens()
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    assert _deliver_due(own_world.context) == 1
    thread.join(10)
    server.server_close()
    ((kind, form),) = got
    assert kind == "application/x-www-form-urlencoded"
    assert _claims(own_world, form["logout_token"][0])["sub"] == own_world.agent.agent_id


class _Hanging(_Websites):
    """Does not answer at one address until it is released."""

    def __init__(self, hangs_at: str) -> None:
        super().__init__()
        self.hangs_at, self.release = hangs_at, threading.Event()
        self.entered = threading.Semaphore(0)
        self.most, self.inside = 0, 0

    def post_form(self, url: str, form: dict[str, str]) -> Fetched:
        if url == self.hangs_at:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.entered.release()
            assert self.release.wait(30)
            self.inside -= 1
        return super().post_form(url, form)


def test_a_website_that_hangs_delays_no_other(build: Build) -> None:
    hanging = "https://hanging.example/logout"
    websites = _Hanging(hanging)
    world = build(fetcher=websites)
    database, now = world.database, world.context.now()
    clients.change_client(database, world.shop.client_id, now, backchannel_logout_uri=hanging)
    other = clients.add_client(database, "O", [REDIRECT], backchannel_logout_uri=OUT, now=now)
    families = [world.introspect(world.tokens()["access_token"])["sid"] for _ in range(5)]
    for family in families:
        endings.end_grant(database, family, now)
    deliveries = logouts.Deliveries(world.context)
    assert len(deliveries.start_due()) == 1
    assert websites.entered.acquire(timeout=20)
    world.shop = other
    world.tokens()
    endings.disable_agent(database, world.agent.agent_id, now)
    (second,) = deliveries.start_due()
    assert second.result(20) is True
    assert [url for url, _ in websites.posted] == [OUT]
    assert deliveries.start_due() == []
    websites.release.set()
    while started := deliveries.start_due() or _waits(deliveries):
        for each in started:
            each.result(20)
    deliveries.close()
    assert websites.most == 1
    assert len([url for url, _ in websites.posted if url == hanging]) >= 5


def _waits(deliveries: logouts.Deliveries) -> list[Any]:
    """Returns what is still in progress, as something to wait for."""
    return [deliveries._pool.submit(bool)] if deliveries._busy else []
