"""Limits: failures are counted, and an attacker cannot slow down the agent that he names."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from sqlalchemy import func, select
from starlette.testclient import TestClient

from auth_agent.flow.connections import breaker
from auth_agent.secret import Secret
from auth_agent.server import ServerSettings
from auth_agent.server.security import credentials
from auth_agent.server.security.credentials import new_token
from auth_agent.server.security.guessing.limits import Limits, Memory
from auth_agent.server.storage.audit import REFUSALS
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.web.call import Refusal
from auth_agent.server.web.proxies import Proxies, party_of
from tests.server.conftest import Build
from tests.server.world import ISSUER, World


def _limited(answer: Any, most: str) -> None:
    assert answer.status_code == 429, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 3_601
    assert answer.headers["x-ratelimit-limit"] == most
    assert answer.headers["x-ratelimit-remaining"] == "0"
    if answer.headers["content-type"].startswith("text/html"):
        assert "<h1>Please wait</h1>" in answer.text
    else:
        assert answer.json()["error"] == "too_many_requests"


def _from(world: World, address: str) -> TestClient:
    """Returns a caller at another address."""
    caller = TestClient(
        world.app, base_url=ISSUER, follow_redirects=False, client=(address, 50_000)
    )
    caller.portal = world.portal
    return caller


def _proof(world: World, request_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "agent_id": world.agent.agent_id,
        "agent_secret": world.agent.agent_secret.reveal(),
        "model": "m",
        **changes,
    }


def test_guessing_an_agents_secret_ends_after_ten(own_world: World) -> None:
    request_id = own_world.open(own_world.browser())
    attacker = _from(own_world, "203.0.113.9")
    wrong = _proof(own_world, request_id, agent_secret="ags_wrong")
    for _ in range(10):
        assert attacker.post("/api/agent/authenticate", json=wrong).status_code == 401
    answer = attacker.post("/api/agent/authenticate", json=wrong)
    _limited(answer, "10")
    assert answer.json()["success"] is False
    # Another agent goes on there, and so does this one, with its right secret.
    other = _proof(own_world, request_id, agent_id=own_world.rival.agent_id, agent_secret="x")
    assert attacker.post("/api/agent/authenticate", json=other).status_code == 401
    good = attacker.post("/api/agent/authenticate", json=_proof(own_world, request_id))
    assert good.status_code == 200


def test_unknown_agents_are_limited_alike(own_world: World) -> None:
    request_id = own_world.open(own_world.browser())
    for _ in range(10):
        assert own_world.answer(request_id, agent_id="agent_unknown").status_code == 401
    _limited(own_world.answer(request_id, agent_id="agent_unknown"), "10")


def test_a_good_agent_is_not_slowed_by_guesses_beside_it(own_world: World) -> None:
    assert own_world.answer(own_world.open(own_world.browser())).status_code == 200
    request_id = own_world.open(own_world.browser())
    for _ in range(11):
        last = own_world.answer(request_id, agent_secret="ags_wrong")
    _limited(last, "10")
    assert own_world.answer(request_id).status_code == 200


def test_successes_are_not_counted(build: Build) -> None:
    world = build(limit_agent_failures=1, limit_client_failures=1)
    for _ in range(5):
        assert world.tokens()


def test_guessing_a_websites_secret_ends_after_thirty(build: Build) -> None:
    world = build(limit_client_failures=3)
    attacker = _from(world, "203.0.113.9")
    form = {"token": "x", "client_id": world.shop.client_id, "client_secret": "wrong"}
    for path in ("/introspect", "/revoke", "/introspect"):
        assert attacker.post(path, data=form).status_code == 401
    _limited(attacker.post("/token", data={**form, "grant_type": "refresh_token"}), "3")
    right = {**form, "client_secret": world.basic()[1]}
    assert attacker.post("/introspect", data=right).status_code == 200


def _register(world: World, secret: str) -> str:
    """Registers an agent with a secret of its own choice, which bcrypt has to hash."""
    body = {"agent_id": "chooser", "agent_secret": secret, "owner_email": "eve@owner.example"}
    assert world.browser().post("/api/register-agent", json=body).status_code == 201
    return "chooser"


def test_a_chosen_secret_gets_through_beside_guesses(own_world: World) -> None:
    agent_id = _register(own_world, "chosen by a person")
    request_id = own_world.open(own_world.browser())
    wrong = [
        own_world.answer(request_id, agent_id=agent_id, agent_secret=f"w{n}") for n in range(10)
    ]
    assert {answer.status_code for answer in wrong} == {401}
    # What was wrong before is not tried again; something else is, once a minute.
    _limited(own_world.answer(request_id, agent_id=agent_id, agent_secret="w3"), "10")
    right = {"agent_id": agent_id, "agent_secret": "chosen by a person"}
    assert own_world.answer(request_id, **right).status_code == 200
    _limited(own_world.answer(request_id, agent_id=agent_id, agent_secret="w11"), "10")


def test_one_address_cannot_keep_bcrypt_busy_with_many_names(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bcrypt

    world, calls, real = build(limit_address_failures=5), [], bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *a: calls.append(1) or real(*a))
    request_id, attacker = world.open(world.browser()), _from(world, "203.0.113.9")
    codes = []
    for number in range(10):
        wrong = _proof(world, request_id, agent_id=f"agent_{number}", agent_secret="wrong")
        codes.append(attacker.post("/api/agent/authenticate", json=wrong).status_code)
        form = {"grant_type": "refresh_token", "refresh_token": "x", "client_secret": "wrong"}
        told = attacker.post("/token", data={**form, "client_id": f"client_{number}"})
        codes.append(told.status_code)
    assert codes == [401] * 6 + [429] * 14  # one more than five: the minute's second chance
    assert len(calls) == 6
    good = attacker.post("/api/agent/authenticate", json=_proof(world, request_id))
    assert good.status_code == 200
    assert attacker.post("/introspect", data={"token": "x"}, auth=world.basic()).status_code == 200


def test_a_guess_in_the_servers_own_form_costs_no_bcrypt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bcrypt

    monkeypatch.setattr(bcrypt, "checkpw", None)
    request_id = world.open(world.browser())
    for agent_id in (world.rival.agent_id, "agent_unknown"):
        wrong = {"agent_id": agent_id, "agent_secret": new_token("ags_")}
        assert world.answer(request_id, **wrong).status_code == 401
    assert world.redeem("ac_x", auth=(world.shop.client_id, new_token("cs_"))).status_code == 401
    assert world.introspect("x") == {"active": False}


def test_bcrypt_never_has_a_queue_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(*_: Any) -> bool:
        begun.release()
        return go_on.wait(20)

    monkeypatch.setattr(credentials, "_TURNS", threading.BoundedSemaphore(1))
    monkeypatch.setattr(credentials, "_PLACES", threading.BoundedSemaphore(2))
    monkeypatch.setattr(credentials.bcrypt, "checkpw", slow)
    verifier, stored = credentials.SecretVerifier(), credentials.hash_secret("right")
    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(verifier.verify, stored, secret) for secret in ("a", "b")]
        assert begun.acquire(timeout=20)
        while not pool._work_queue.empty() or credentials._PLACES._value:  # both have a place
            go_on.wait(0.01)
        with pytest.raises(Refusal) as caught:
            verifier.verify(stored, "c")
        go_on.set()
        assert all(each.result() for each in working)
    assert (caught.value.status, caught.value.headers) == (503, (("retry-after", "1"),))


def test_each_wrong_secret_leaves_a_line(own_world: World) -> None:
    client, wrong = own_world.shop.client_id, "wrong"
    request = {**own_world.request(), "agent_id": own_world.agent.agent_id, "agent_secret": wrong}
    post = own_world.browser().post
    for path in ("/token", "/introspect", "/revoke"):
        form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"}
        assert post(path, data=form, auth=(client, wrong)).status_code == 401
    body = {"agent_id": own_world.agent.agent_id}
    assert post("/api/verify/challenge", json=body, auth=(client, wrong)).status_code == 401
    status = own_world.browser().get("/api/verify/status", auth=(client, wrong))
    assert status.status_code == 401
    assert post("/api/agent-auth", json=request).status_code == 401
    with own_world.database.read() as connection:
        lines = connection.execute(
            select(audit.c.kind, audit.c.outcome, audit.c.client_id, audit.c.agent_id)
            .where(audit.c.outcome.in_(REFUSALS))
            .order_by(audit.c.id)
        ).all()
    assert lines == [
        *((kind, "refused", client, None) for kind in ("token", "introspection", "revocation")),
        *((("verification", "refused", client, None),) * 2),
        ("agent sign-in", "invalid_credentials", None, own_world.agent.agent_id),
    ]


def test_what_is_not_recorded_is_counted(build: Build) -> None:
    world = build(limit_refusal_records=3, limit_client_failures=50)
    for _ in range(8):
        world.redeem("ac_x", auth=(world.shop.client_id, "wrong"))
    more = select(audit.c.outcome).where(audit.c.kind == "refusals")
    world.context.record_unrecorded()  # not yet: this minute is full
    with world.database.read() as connection:
        assert not connection.execute(more).all()
    world.clock.forward(61)
    world.context.record_unrecorded()
    world.context.record_unrecorded()
    with world.database.read() as connection:
        assert list(connection.execute(more).scalars()) == ["and 5 more"]


def test_an_agent_cannot_fill_the_disk_with_successes(build: Build) -> None:
    world = build(limit_agent_successes=2)
    form = {"grant_type": "client_credentials", "resource": "https://api.example", "model": "m"}
    auth = (world.agent.agent_id, world.agent.agent_secret.reveal())
    assert world.browser().post("/token", data=form, auth=auth).status_code == 200
    assert world.answer(world.open(world.browser())).status_code == 200
    _limited(world.browser().post("/token", data=form, auth=auth), "2")
    pending = world.open(world.browser())
    _limited(world.answer(pending), "2")
    rival = (world.rival.agent_id, world.rival.agent_secret.reveal())
    assert world.browser().post("/token", data=form, auth=rival).status_code == 200
    world.clock.forward(60)
    assert world.answer(pending).status_code == 200


@pytest.mark.parametrize("kind", ["poll", "look", "answer", "challenge"])
def test_guessing_request_ids_ends_and_good_ones_go_on(build: Build, kind: str) -> None:
    world = build(limit_unknown_requests=3)
    browser = world.browser()
    request_id = world.open(browser)

    def guess(request_id: str) -> Any:
        if kind == "challenge":
            return browser.get("/authorize/challenge", params={"request_id": request_id})
        if kind == "poll":
            return browser.get("/api/check-status", params={"request_id": request_id})
        if kind == "look":
            return browser.get(f"/api/auth-requests/{request_id}")
        return world.answer(request_id)

    for _ in range(3):
        assert guess("req_wrong").status_code in (200, 404)
    _limited(guess("req_wrong"), "3")
    assert guess(request_id).status_code == 200


def test_a_family_is_refreshed_sixty_times_an_hour(build: Build) -> None:
    world = build(limit_refreshes=2)
    tokens, other = world.tokens(), world.tokens()
    for _ in range(2):
        tokens = world.refresh(tokens["refresh_token"]).json()
    _limited(world.refresh(tokens["refresh_token"]), "2")
    # Refused before it was spent.
    assert world.refresh(other["refresh_token"]).status_code == 200
    world.clock.forward(3_600)
    assert world.refresh(tokens["refresh_token"]).status_code == 200


def test_nobody_uses_up_the_refreshes_of_others(build: Build) -> None:
    world = build(limit_refreshes=1)
    token = world.tokens()["refresh_token"]
    for _ in range(3):
        stranger = world.refresh(token, auth=world.basic(world.other))
        assert stranger.json()["error"] == "invalid_grant"
    assert world.refresh(token).status_code == 200


def test_an_address_has_so_many_pending_requests(build: Build) -> None:
    world = build(limit_pending=3)
    browser = world.browser()
    opened = [world.open(browser) for _ in range(3)]
    answer = browser.get("/authorize", params=world.request())
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "600"
    assert answer.headers["content-type"].startswith("text/html")
    assert _from(world, "203.0.113.9").get("/authorize", params=world.request()).is_success
    world.answer(opened[0])
    assert world.open(browser)
    browser.post("/authorize/cancel", data={"request_id": opened[1]})
    assert world.open(browser)
    assert browser.get("/authorize", params=world.request()).status_code == 429
    world.clock.forward(600)
    assert world.open(browser)


def test_refusals_are_written_down_but_not_without_end(build: Build) -> None:
    world = build(limit_refusal_records=3, limit_client_failures=50)
    for _ in range(5):
        world.redeem("ac_x", auth=(world.shop.client_id, "wrong"))
    count = select(func.count()).where(audit.c.outcome == "refused")
    with world.database.read() as connection:
        assert connection.execute(count).scalar() == 3
    world.tokens()


# Whose address it is


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "nonsense" * 1_000, "10.0.0.1"),
        ("10.0.0.1", " 203.0.113.9" + " " * 100, "10.0.0.1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "203.0.113.9:5000", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1:99, [2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("10.0.0.1", "2001:db8::1:443", "2001:db8::1:443"),
        ("10.0.0.1", "203.0.113.9:", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:5:5", "10.0.0.1"),
        ("", "203.0.113.9", ""),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
    ],
)
def test_a_forwarded_address_counts_from_our_proxies_only(
    peer: str, forwarded: str | None, found: str
) -> None:
    assert Proxies(("10.0.0.0/24",)).client(peer, forwarded) == found
    assert Proxies(()).client(peer, forwarded) == peer


def test_a_socket_without_addresses_can_be_a_proxy() -> None:
    assert Proxies(("unix",)).client("", "203.0.113.9") == "203.0.113.9"
    assert Proxies(("unix",)).client("203.0.113.7", "203.0.113.9") == "203.0.113.7"


def test_an_entry_that_is_no_address_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    proxies = Proxies(("10.0.0.1",))
    for _ in range(3):
        assert proxies.client("10.0.0.1", "_hidden") == "10.0.0.1"
    assert len(caplog.records) == 1
    assert "_hidden" not in caplog.text


def test_the_server_reads_every_forwarded_header(build: Build) -> None:
    world = build(trusted_proxies=("203.0.113.0/24",), limit_unknown_requests=1)
    proxy = _from(world, "203.0.113.1")

    def guess(*forwarded: str) -> int:
        headers = [("x-forwarded-for", one) for one in forwarded]
        return proxy.get("/api/auth-requests/req_x", headers=headers).status_code

    assert guess("192.0.2.7") == 404
    assert guess("198.51.100.1", "192.0.2.7") == 429
    assert guess("192.0.2.7", "198.51.100.1") == 404
    stranger = _from(world, "192.0.2.7")
    headers = {"x-forwarded-for": "198.51.100.77"}
    assert stranger.get("/api/auth-requests/req_x", headers=headers).status_code == 429


def test_an_ipv6_customer_is_one_party() -> None:
    assert party_of("2001:db8:1:2:3:4:5:6") == party_of("2001:db8:1:2::1") == "2001:db8:1:2::"
    assert party_of("2001:db8:1:3::1") != party_of("2001:db8:1:2::1")
    assert party_of("::ffff:192.0.2.1") == party_of("192.0.2.1")
    assert party_of("testclient") == "testclient"


# Where the counters live


def test_memory_is_bounded() -> None:
    now = [0.0]
    memory = Memory(lambda: now[0], size=100)
    for number in range(1_000):
        memory.incr(f"k{number}", 60)
    assert memory.reset() == 100
    assert memory.incr("a", 60) == 1
    assert memory.incr("a", 60) == 2
    now[0] = 60.0
    assert memory.get("a") == 0
    assert memory.incr("a", 60) == 1
    memory.clear("a")
    assert memory.get("a") == 0
    assert memory.check()


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    if shutil.which("redis-server") is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < end
        time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()
    server.wait(10)


def test_workers_count_together_in_redis(redis_url: str) -> None:
    settings = ServerSettings(issuer=ISSUER, redis=Secret(redis_url), limit_registrations=3)
    one, two = Limits(settings), Limits(settings)
    assert one.take("registrations", "a")[0] == ("x-ratelimit-limit", "3")
    assert two.count("registrations", "a")
    assert not two.is_spent("registrations", "a")
    assert one.count("registrations", "a")
    assert two.is_spent("registrations", "a")
    assert not two.count("registrations", "a")
    wait = dict(two.refusal("registrations", "a").headers)["retry-after"]
    assert 3_590 < int(wait) <= 3_601


def test_without_redis_each_worker_counts_alone(caplog: pytest.LogCaptureFixture) -> None:
    settings = ServerSettings(
        issuer=ISSUER, redis=Secret("redis://:s3cret@127.0.0.1:1/0"), limit_registrations=1
    )
    limits = Limits(settings)
    assert limits.count("registrations", "a")
    assert not limits.count("registrations", "a")
    assert limits.refusal("registrations", "a").status == 429
    assert "s3cret" not in caplog.text


def test_a_redis_that_hangs_costs_one_second_for_all(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # accepts and never answers
        address = Secret(f"redis://127.0.0.1:{hanging.getsockname()[1]}/0")
        limits = Limits(ServerSettings(issuer=ISSUER, redis=address, limit_registrations=2))
        started = time.monotonic()
        told = [limits.count("registrations", "a") for _ in range(3)]
        for _ in range(10):
            assert limits.is_spent("registrations", "a")
            assert limits.refusal("registrations", "a").status == 429
        assert time.monotonic() - started < 10  # not a second for each of 23 questions
    assert told == [True, True, False]
    assert caplog.text.count("counts on its own") == 1


def test_a_redis_that_became_a_replica_is_left_for_the_new_master(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", 0.0)
    settings = ServerSettings(issuer=ISSUER, redis=Secret(redis_url), limit_registrations=2)
    limits, admin = Limits(settings), redis.Redis.from_url(redis_url)
    assert limits.count("registrations", "replica")
    before = {each["id"] for each in admin.client_list()}
    admin.replicaof("127.0.0.1", "1")
    try:
        assert limits.count("registrations", "replica")  # alone
    finally:
        admin.replicaof("no", "one")
    assert limits.count("registrations", "replica")
    assert not limits.count("registrations", "replica")
    kept = before & {each["id"] for each in admin.client_list()}
    assert kept == {str(admin.client_id())}


def test_pending_sign_ins_are_counted_for_a_network_as_well(build: Build) -> None:
    """Counts a /48 as well: it holds 65,536 networks of the size that counts as one customer."""
    world = build(limit_pending=1)

    def opened_from(address: str) -> int:
        caller = _from(world, address)
        return int(caller.get("/authorize", params=world.request()).status_code)

    assert opened_from("2001:db8:7:0::1") == 200
    assert opened_from("2001:db8:7::2") == 429  # the same /64, written otherwise
    opened = [opened_from(f"2001:db8:7:{number:x}::1") for number in range(1, 12)]
    assert opened == [200] * 9 + [429] * 2
    for other in ("2001:db8:6:1::1", "2001:db8:8:1::1", "2001:db8::1", "2001:db8:70:1::1"):
        assert opened_from(other) == 200
    for other in ("203.0.113.1", "203.0.113.2"):
        assert opened_from(other) == 200
    world.clock.forward(601)
    assert opened_from("2001:db8:7:1::1") == 200
