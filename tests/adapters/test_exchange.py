"""What the server may do to an exchange over real HTTP, and what the website makes of it."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx2
import pytest

from auth_agent import RelyingParty, ServerMisbehaved, ServerUnavailable
from auth_agent.flow import drive, places
from auth_agent.flow.connections import transport
from auth_agent.flow.effects import join, send
from auth_agent.flow.exchange import HttpRequest
from auth_agent.testing import FakeServer
from auth_agent.website.web.visit import Visit
from tests.adapters.conftest import settings_of
from tests.adapters.network import free_port, serve_provider
from tests.flow.test_flights import in_a_child
from tests.website.browser import Clock


def run_sync(flow):
    return drive.run(flow())


def run_async(flow):
    async def main():
        try:
            return await drive.arun(flow())
        finally:
            await drive.aclose()

    return anyio.run(main)


@pytest.fixture(params=[run_sync, run_async], ids=["threads", "tasks"])
def run(request):
    return request.param


@pytest.fixture
def fetch(run, provider):
    """Asks the provider for /x, which does what `answer` does with the connection."""

    def ask(answer):
        provider.answers["/x"] = answer
        return run(lambda: send(HttpRequest("GET", f"{provider.issuer}/x")))

    return ask


@pytest.fixture
def short_deadline(monkeypatch):
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.5)


def begin(handler, *lines):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"".join(line + b"\r\n" for line in lines))


def hang(handler):
    handler.connection.settimeout(5)
    handler.connection.recv(1)  # until the other side gives up


def drip_headers(handler):
    begin(handler)
    for number in range(100):
        handler.wfile.write(f"X-{number}: y\r\n".encode())
        time.sleep(0.05)


def drip_body(handler):
    begin(handler, b"Content-Length: 1000", b"")
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.05)


@pytest.mark.usefixtures("short_deadline")
@pytest.mark.parametrize("answer", [hang, drip_headers, drip_body])
def test_an_exchange_ends_at_its_deadline(fetch, answer):
    started = time.monotonic()
    with pytest.raises(ServerUnavailable):
        fetch(answer)
    assert time.monotonic() - started < 3


@pytest.mark.usefixtures("short_deadline")
@pytest.mark.parametrize("answer", [hang, drip_headers, drip_body])
def test_a_proxy_makes_no_exchange_longer(run, provider, monkeypatch, answer):
    monkeypatch.setenv("http_proxy", provider.issuer)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    provider.answers["http://auth.invalid/x"] = answer
    drive.close()
    started = time.monotonic()
    try:
        with pytest.raises(ServerUnavailable):
            run(lambda: send(HttpRequest("GET", "http://auth.invalid/x")))
    finally:
        drive.close()
    assert time.monotonic() - started < 3
    assert [request.url for request in provider.requests] == ["http://auth.invalid/x"]


def endless(handler):
    begin(handler, b"")
    for _ in range(10_000):
        handler.wfile.write(b"x" * 65_536)


def compressed(handler):
    begin(handler, b"Content-Encoding: gzip", b"Content-Length: 2", b"", b"")


@pytest.mark.parametrize(
    ("answer", "code"), [(endless, "answer_too_large"), (compressed, "answer_compressed")]
)
def test_an_answer_is_bounded(fetch, answer, code):
    with pytest.raises(ServerMisbehaved) as caught:
        fetch(answer)
    assert caught.value.code == code


def garbage(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def hang_up(handler):
    handler.connection.close()


@pytest.mark.parametrize("answer", [garbage, hang_up])
def test_no_http_is_no_answer(fetch, answer):
    with pytest.raises(ServerUnavailable):
        fetch(answer)


@pytest.mark.parametrize(
    "host", ["a" * 64 + ".example", "a..example", "[::1", "[fe80::1%25lo]:1", "xn--a.example"]
)
def test_what_is_no_host_gives_no_answer(run, host):
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        run(lambda: send(HttpRequest("GET", f"http://{host}/")))


def test_nobody_there_is_no_answer(run):
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        run(lambda: send(HttpRequest("GET", url)))


class TestRepetition:
    @pytest.fixture
    def hang_up_once(self, provider):
        seen = []

        def answer(handler):
            seen.append(handler.command)
            if len(seen) > 1:
                begin(handler, b"Content-Length: 2", b"", b"ok")
            else:
                handler.connection.close()

        provider.answers["/x"] = answer
        return seen

    def test_a_question_is_asked_again_once(self, run, provider, hang_up_once):
        response = run(lambda: send(HttpRequest("GET", f"{provider.issuer}/x")))
        assert (response.status, hang_up_once) == (200, ["GET", "GET"])

    def test_a_code_is_never_sent_twice(self, run, provider, hang_up_once):
        with pytest.raises(ServerUnavailable):
            run(lambda: send(HttpRequest("POST", f"{provider.issuer}/x", (), b"code=ac")))
        assert hang_up_once == ["POST"]


def elsewhere(handler):
    handler.wfile.write(b"HTTP/1.1 307 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")


def test_a_redirect_is_not_followed(fetch, provider):
    assert fetch(elsewhere).status == 307
    assert not any(request.url.endswith("/y") for request in provider.requests)


def test_fifty_threads_cost_one_fetch(provider):
    """Threads: a cold start waits, and everybody gets the one result."""

    def flow():
        return join("key", lambda: send(HttpRequest("GET", f"{provider.issuer}/slow")))

    def slow(handler):
        time.sleep(0.3)
        begin(handler, b"Content-Length: 2", b"", b"ok")

    provider.answers["/slow"] = slow
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda _: drive.run(flow()).status, range(50)))
    assert results == [200] * 50
    assert sum(request.url.endswith("/slow") for request in provider.requests) == 1


def test_five_hundred_tasks_cost_one_fetch(provider):
    def flow():
        return join("key", lambda: send(HttpRequest("GET", f"{provider.issuer}/slow")))

    def slow(handler):
        time.sleep(0.2)
        begin(handler, b"Content-Length: 2", b"", b"ok")

    async def main():
        statuses = []

        async def one():
            statuses.append((await drive.arun(flow())).status)

        async with anyio.create_task_group() as tasks:
            for _ in range(500):
                tasks.start_soon(one)
        await drive.aclose()
        return statuses

    provider.answers["/slow"] = slow
    assert anyio.run(main) == [200] * 500
    assert sum(request.url.endswith("/slow") for request in provider.requests) == 1


def test_those_who_wait_hear_of_a_failure(provider):
    def slow(handler):
        time.sleep(0.2)
        handler.connection.close()

    provider.answers["/slow"] = slow

    def flow():
        return join("key", lambda: send(HttpRequest("GET", f"{provider.issuer}/slow")))

    async def main():
        failures = []

        async def one():
            try:
                await drive.arun(flow())
            except ServerUnavailable as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
        await drive.aclose()
        return failures

    assert len(anyio.run(main)) == 20


def slow_exchange(provider):
    """Returns a flow that several callers join, and events: the server was asked, it may answer."""
    asked, go_on = threading.Event(), threading.Event()

    def slow(handler):
        asked.set()
        assert go_on.wait(10)
        begin(handler, b"Content-Length: 2", b"", b"ok")

    provider.answers["/slow"] = slow

    def flow():
        return join("key", lambda: send(HttpRequest("GET", f"{provider.issuer}/slow")))

    return flow, asked, go_on


def test_what_was_asked_for_arrives_although_the_one_who_asked_is_cancelled(provider):
    """Cancels one visitor's request; the others, and the visitor's next one, are answered."""
    flow, asked, go_on = slow_exchange(provider)

    async def main():
        statuses = []

        async def wait():
            statuses.append((await drive.arun(flow())).status)

        async with anyio.create_task_group() as tasks:
            leader = anyio.CancelScope()

            async def lead():
                with leader:
                    await drive.arun(flow())

            tasks.start_soon(lead)
            await anyio.to_thread.run_sync(asked.wait, 10)
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            leader.cancel()
            await anyio.lowlevel.checkpoint()
            go_on.set()
        await drive.aclose()
        return statuses

    assert anyio.run(main) == [200]
    assert provider.count("/slow") == 1


def test_a_task_that_is_killed_takes_nothing_with_it(provider):
    """Cancels the task itself, as Django does, and not one of its scopes."""
    flow, asked, go_on = slow_exchange(provider)

    async def main():
        leader = asyncio.create_task(drive.arun(flow()))
        await anyio.to_thread.run_sync(asked.wait, 10)
        follower = asyncio.create_task(drive.arun(flow()))
        await anyio.wait_all_tasks_blocked()
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        go_on.set()
        response = await follower
        await drive.aclose()
        return response.status

    assert asyncio.run(main()) == 200
    assert provider.count("/slow") == 1


def test_a_site_starts_although_its_server_is_down(serve, provider):
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    base_url = serve("starlette", issuer=issuer)
    with httpx2.Client(base_url=base_url) as client:
        assert client.get("/").status_code == 200
        answer = client.get("/auth-agent/login")
        assert (answer.status_code, int(answer.headers["retry-after"])) == (503, 5)
        with serve_provider(FakeServer(issuer), port):
            assert client.get("/auth-agent/login").status_code == 303


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_five_hundred_cold_verifications_cost_two_fetches(provider, colour, monkeypatch):
    """Fetches the metadata and the keys once each, whichever request comes first."""
    monkeypatch.setattr(places, "SECONDS", 30)  # however busy this machine is
    party = RelyingParty(settings_of(provider, "http://127.0.0.1:1"))
    tokens = [provider.access_token(aud="http://127.0.0.1:1") for _ in range(500)]
    visits = [TokenVisit(token) for token in tokens]
    if colour == "threads":
        with ThreadPoolExecutor(50) as pool:
            seen = list(pool.map(lambda visit: drive.run(party.enter(visit)).agent.id, visits))
    else:
        seen = anyio.run(_enter_all, party, visits)
    assert seen == ["agent_7"] * 500
    path = "/.well-known/oauth-authorization-server"
    assert (provider.count(path), provider.count("/.well-known/jwks.json")) == (1, 1)


async def _enter_all(party, visits):
    seen = []

    async def one(visit):
        seen.append((await drive.arun(party.enter(visit))).agent.id)

    async with anyio.create_task_group() as tasks:
        for visit in visits:
            tasks.start_soon(one, visit)
    await drive.aclose()
    return seen


class TokenVisit(Visit):
    def __init__(self, token):
        super().__init__("GET", "/")
        self.token = token

    def header(self, name):
        return f"Bearer {self.token}" if name == "authorization" else None


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_while_its_parent_fetches_asks_itself(provider):
    """Forks while a thread fetches: the thread and its locks stay behind in the parent."""
    asked, go = threading.Event(), threading.Event()
    path = "/.well-known/oauth-authorization-server"

    def wait(handler):
        asked.set()
        assert go.wait(20)
        handler.close_connection = True

    provider.answers[path] = wait
    party = RelyingParty(settings_of(provider, "https://shop.example"))
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(drive.run, party._site.provider.metadata())
        assert asked.wait(10)
        del provider.answers[path]

        def ask():
            started_at = time.monotonic()
            found = drive.run(party._site.provider.metadata())
            return found.issuer == provider.issuer and time.monotonic() - started_at < 8

        code = in_a_child(ask)
        go.set()
        assert fetching.exception(20) is None, "what fails without an answer is asked again"
    assert code == 0


@pytest.mark.parametrize("is_warm", [False, True])
def test_a_thread_that_does_not_start_once_spoils_no_later_request(provider, is_warm, monkeypatch):
    """Fails to renew in the background: "can't start new thread" at a process limit."""
    clock = Clock(1_800_000_000.0)
    provider.clock = clock
    party = RelyingParty(settings_of(provider, "https://shop.example"), clock=clock)
    metadata = party._site.provider.metadata
    if is_warm:
        drive.run(metadata())
        clock.advance(3_590)  # of an hour: time to renew it beforehand
    start, failed = threading.Thread.start, []

    def fail_once(thread):
        if thread.name == "auth-agent" and not failed:
            failed.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_once)
    assert drive.run(metadata()).issuer == provider.issuer
    assert bool(failed) is is_warm
    clock.advance(86_400)
    asked = len(provider.requests)
    assert drive.run(metadata()).issuer == provider.issuer
    assert len(provider.requests) > asked
