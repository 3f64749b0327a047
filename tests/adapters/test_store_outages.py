"""What a real Redis may do while a website runs: fail over, hang, or be a cluster."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress

import pytest
import redis
from anyio.from_thread import start_blocking_portal

from auth_agent import RelyingParty, SignInRefused
from auth_agent.doctor import examine
from auth_agent.flow import drive
from auth_agent.flow.connections import redis_exchange
from auth_agent.website.recognition.session import cookie_name
from tests.adapters.conftest import settings_of
from tests.flow.network import Listener, listening
from tests.services import free_port, redis_server
from tests.website.browser import Browser, cause

JSON = {"accept": "application/json"}
BASE_URL = "https://shop.example"


@pytest.fixture(params=["threads", "tasks"])
def run(request):
    """Performs every flow in this thread, or in one event loop that keeps its connections."""
    if request.param == "threads":
        yield lambda flow, server, *body: drive.run(flow, *body)
        drive.close()
        return
    with start_blocking_portal() as portal:

        def in_tasks(flow, server, *body):
            return portal.call(drive.arun, flow, *body)

        yield in_tasks
        portal.call(drive.aclose)


@pytest.fixture
def visit(run, provider):
    def open_browser(url, **changes):
        settings = settings_of(provider, BASE_URL, session_store=url, **changes)
        return Browser(RelyingParty(settings), provider, run)

    return open_browser


@pytest.fixture
def hanging():
    """Starts a Redis that accepts connections and never answers."""
    with listening() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


def timed(act):
    started_at = time.monotonic()
    result = act()
    return result, time.monotonic() - started_at


class Forwarder(Listener):
    """Passes bytes on to the port that `target` is when somebody connects."""

    def __init__(self, target):
        self.target = target
        super().__init__(self._forward)

    def _forward(self, connection):
        other = socket.create_connection(("127.0.0.1", self.target))
        threading.Thread(target=_pump, args=(other, connection), daemon=True).start()
        _pump(connection, other)


def _pump(source, sink):
    with source, sink, suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def nodes(tmp_path):
    """Starts a master, its replica, and a forwarder in front of the master."""
    options = ("--repl-diskless-sync-delay", "0", "--dir", str(tmp_path))
    with redis_server(*options) as first, redis_server(*options) as second:
        master, replica = redis.Redis.from_url(first), redis.Redis.from_url(second)
        with master, replica:
            replica.replicaof("127.0.0.1", _port(master))
            forwarder = Forwarder(_port(master))
            try:
                yield master, replica, forwarder
            finally:
                forwarder.close()


def _port(client):
    return client.connection_pool.connection_kwargs["port"]


def _fail_over(master, replica, forwarder):
    """Leaves open connections at the old master, which is a replica from now on."""
    assert master.wait(1, 10_000) == 1
    replica.replicaof("NO", "ONE")
    master.replicaof("127.0.0.1", _port(replica))
    forwarder.target = _port(replica)


def test_after_a_failover_the_next_sign_in_succeeds(visit, nodes):
    master, _, forwarder = nodes
    site = visit(f"redis://127.0.0.1:{forwarder.port}/0")
    assert site.sign_in().status == 303
    _fail_over(*nodes)
    other = site.twin()
    reply = other.sign_in()
    assert reply.status == 303, cause(reply)
    assert other.agent is not None
    assert site.agent is not None, "who had signed in before still is"
    assert master.info("replication")["role"] == "slave"


def test_after_a_failover_a_session_can_be_ended(visit, nodes):
    _, replica, forwarder = nodes
    site = visit(f"redis://127.0.0.1:{forwarder.port}/0")
    site.sign_in()
    _fail_over(*nodes)
    headers = {"sec-fetch-site": "same-origin"}
    assert site.request("/auth-agent/logout", method="POST", headers=headers).status == 303
    assert list(replica.scan_iter("*:session:*")) == []


def test_a_redis_that_hangs_costs_three_seconds_once(visit, hanging):
    site = visit(hanging)
    site.cookies[cookie_name(site.relying_party.settings)] = "x" * 43
    public, seconds = timed(lambda: site.request("/"))
    assert public.agent is None
    assert seconds < redis_exchange.SECONDS + 1
    for _ in range(10):
        private, seconds = timed(lambda: site.request("/private/x", headers=JSON))
        assert (private.status, cause(private)) == (503, "store_unavailable")
        assert seconds < 1


def test_a_callback_that_asks_often_waits_once(visit, hanging):
    site = visit(hanging)
    begun = site.begin()
    reply, seconds = timed(lambda: site.end(begun))
    assert (reply.status, cause(reply)) == (503, "store_unavailable")
    assert seconds < redis_exchange.SECONDS + 1
    begun = site.begin()
    reply, seconds = timed(lambda: site.end(begun))
    assert (reply.status, cause(reply)) == (503, "store_unavailable")
    assert seconds < 1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--dir", str(folder))
    with redis_server(*options) as url:
        yield url


def test_the_first_answer_says_that_it_is_a_cluster(visit, cluster):
    site = visit(cluster)
    approved = site.server.approve(site.begin()).removeprefix(BASE_URL)
    reply = site.request(approved, headers=JSON)
    content = json.loads(reply.body)
    assert (reply.status, content["error"]) == (503, "store_unsupported")
    assert "Redis cluster, which is not supported" in content["error_description"]


def test_the_doctor_says_that_it_is_a_cluster(run, provider, cluster):
    settings = settings_of(provider, BASE_URL, session_store=cluster)
    found = {one.check: one for one in run(examine(settings, visited=provider.issuer), None)}
    finding = found["sessions.cluster"]
    assert finding.level == "failure"
    assert "AUTH_AGENT_SESSION_STORE" in finding.remedy


def test_a_hook_hears_of_no_sign_in_that_was_not_stored(run, provider, tmp_path):
    """Redis may count, but write no session."""
    told = []
    with redis_server("--dir", str(tmp_path)) as url, redis.Redis.from_url(url) as client:
        settings = settings_of(provider, BASE_URL, session_store=url)
        party = RelyingParty(settings, on_sign_in=lambda agent: told.append(agent.id))
        site = Browser(party, provider, run)
        client.acl_setuser(
            "default", nopass=True, enabled=True, reset_keys=True, keys=["*:ends", "*:spent:*"]
        )
        reply = site.sign_in()
        assert (reply.status, cause(reply)) == (503, "store_unavailable")
        assert told == []
        assert not provider.active, "its tokens are revoked"
        client.acl_setuser("default", nopass=True, enabled=True, keys=["*"])
        assert site.sign_in().status == 303
        assert told == ["agent_7"]
        assert site.agent is not None


def test_a_hook_that_refuses_leaves_no_session(run, provider, tmp_path):
    def refuse(agent):
        raise SignInRefused("Not you.", code="not_you", status_code=403)

    with redis_server("--dir", str(tmp_path)) as url, redis.Redis.from_url(url) as client:
        settings = settings_of(provider, BASE_URL, session_store=url)
        site = Browser(RelyingParty(settings, on_sign_in=refuse), provider, run)
        assert cause(site.sign_in()) == "not_you"
        assert list(client.scan_iter("*:session:*")) == []


def dripping(target, seconds):
    """Starts a Redis that answers byte by byte, each of them in time."""

    def serve(connection):
        other = socket.create_connection(("127.0.0.1", target))
        threading.Thread(target=_pump, args=(connection, other), daemon=True).start()
        with suppress(OSError):
            while data := other.recv(65_536):
                for byte in data:
                    connection.sendall(bytes([byte]))
                    over.wait(seconds)

    over = threading.Event()
    return serve


def late(target, seconds):
    """Starts a Redis that answers in one piece, and late."""

    def serve(connection):
        other = socket.create_connection(("127.0.0.1", target))
        threading.Thread(target=_pump, args=(connection, other), daemon=True).start()
        with suppress(OSError):
            while data := other.recv(65_536):
                over.wait(seconds)
                connection.sendall(data)

    over = threading.Event()
    return serve


@pytest.mark.parametrize(("slow", "part"), [(dripping, 0.1), (late, 0.7)])
def test_a_redis_that_answers_slowly_costs_a_visit_no_more_than_one_that_hangs(
    run, provider, monkeypatch, slow, part
):
    """Keeps each read within its time-out; one budget covers all the commands of a visit."""
    monkeypatch.setattr(redis_exchange, "SECONDS", 1.0)
    with redis_server() as url, redis.Redis.from_url(url) as client:
        with listening(slow(_port(client), part)) as between:
            settings = settings_of(
                provider, BASE_URL, session_store=f"redis://127.0.0.1:{between.port}/0"
            )
            site = Browser(RelyingParty(settings), provider, with_body(run))
            begun = site.begin()
            reply, seconds = timed(lambda: site.end(begun))
            assert (reply.status, cause(reply)) == (503, "store_unavailable")
            assert seconds < 2.5
        assert client.dbsize() <= 1, "no session is left, at most the count of ended ones"


def with_body(run):
    """As an adapter drives a visit: it can read the body, which tells a visit from other work."""

    async def no_body_async(_limit):
        return b""

    def drive_visit(flow, server):
        reader = no_body_async if run.__name__ == "in_tasks" else lambda _limit: b""
        return run(flow, server, reader)

    return drive_visit


def test_a_store_that_goes_away_between_the_hook_and_the_end_is_told_of(run, provider, tmp_path):
    """Reports the refusal, because the hook has already been called for the sign-in."""
    told, refused = [], []
    with redis_server("--dir", str(tmp_path)) as url, redis.Redis.from_url(url) as client:

        def go_away(agent):
            told.append(agent.id)
            client.acl_setuser("default", nopass=True, enabled=True, reset_keys=True, keys=["*:x"])

        settings = settings_of(provider, BASE_URL, session_store=url)
        party = RelyingParty(
            settings, on_sign_in=go_away, on_refused=lambda error: refused.append(error.code)
        )
        site = Browser(party, provider, run)
        reply = site.sign_in()
        assert (reply.status, cause(reply)) == (503, "store_unavailable")
        assert (told, refused) == (["agent_7"], ["store_unavailable"])
        assert not provider.active, "its tokens are revoked"
        client.acl_setuser("default", nopass=True, enabled=True, keys=["*"])
        assert site.agent is None
        assert not [name for name in site.cookies if "login" not in name]
