"""Quick handlers do nothing slow on the event loop's thread; each is driven to what is slow."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from auth_agent.secret import Secret
from auth_agent.server import Database
from auth_agent.server.api import routes as api
from auth_agent.server.oauth import routes as oauth
from auth_agent.server.registry import clients
from auth_agent.server.sign_in import routes as sign_in
from auth_agent.server.web import at_once
from tests.server.conftest import Build
from tests.server.keys import JWT_BEARER, Pair
from tests.server.world import REDIRECT, World

KEYS = "https://keys.example/jwks.json"
QUICK = {
    (route.method, route.path)
    for route in (*sign_in.ROUTES, *oauth.ROUTES, *api.ROUTES, *api.VERIFICATION)
    if route.is_quick
}


class Doors:
    """Notes which slow doors were opened, and by which thread."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.opened: list[str] = []
        self.on_the_loop: list[str] = []

    def through(self, name: str, function: Any) -> Any:
        def opened(*arguments: Any, **named: Any) -> Any:
            self.opened.append(name)
            quick = self._world.database._quick
            if quick is not None and quick.is_mine():
                self.on_the_loop.append(name)
            return function(*arguments, **named)

        return opened


def _unreachable(*_: Any, **__: Any) -> Any:
    raise OSError("no network here")


@pytest.fixture
def doors(build: Build, monkeypatch: pytest.MonkeyPatch) -> tuple[World, Doors]:
    """Starts a server with Redis and client documents, and watches its slow functions."""
    world = build(client_documents=True, redis=Secret("redis://redis.invalid:1"))
    doors = Doors(world)
    for module, name, function in (
        (bcrypt, "checkpw", bcrypt.checkpw),
        (bcrypt, "hashpw", bcrypt.hashpw),
        (socket, "getaddrinfo", _unreachable),
        (socket, "create_connection", _unreachable),
    ):
        monkeypatch.setattr(module, name, doors.through(name, function))
    return world, doors


def _calls(world: World) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Returns for each quick route the requests that need something slow, if there are any."""
    signer = clients.add_client(world.database, "Signs", [REDIRECT], jwks_uri=KEYS, now=1)
    assertion = Pair().assertion(signer.client_id, world.clock.now)
    proof = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER}
    wrong = {"client_id": world.shop.client_id, "client_secret": "wrong"}
    pending = world.open(world.browser())
    answer = {"request_id": pending, "agent_id": "agent_unknown", "agent_secret": "wrong"}
    token = [
        {"data": {"grant_type": "refresh_token", "refresh_token": "x", **how}}
        for how in (wrong, proof)
    ]
    either = [{"data": {"token": "x", **how}} for how in (wrong, proof)]
    document = {"params": world.request(client_id="https://app.example/client.json")}
    unknown = {"params": {"request_id": "req_unknown"}}
    return {
        ("GET", "/authorize"): [document],
        ("GET", "/oauth2/authorize"): [document],
        ("POST", "/authorize"): [{"data": document["params"]}],
        ("POST", "/oauth2/authorize"): [{"data": document["params"]}],
        ("GET", "/api/check-status"): [unknown],
        ("GET", "/authorize/continue"): [],
        ("POST", "/api/agent/authenticate"): [{"json": answer}],
        ("GET", "/api/auth-requests/{request_id}"): [{}],
        ("POST", "/token"): token,
        ("POST", "/oauth2/token"): token,
        ("POST", "/introspect"): either,
        ("POST", "/revoke"): either,
        **{
            (method, path): []
            for method in ("GET", "POST")
            for path in ("/userinfo", "/oauth2/userinfo")
        },
        **{
            ("GET", f"/.well-known/{name}"): []
            for name in ("oauth-authorization-server", "openid-configuration", "jwks.json")
        },
        ("GET", "/agents/{id}"): [],
        ("GET", "/health"): [],
        ("GET", "/api/health"): [],
    }


def test_slow_doors_are_opened_in_threads_alone(doors: tuple[World, Doors]) -> None:
    world, watched = doors
    calls = _calls(world)
    assert set(calls) == QUICK  # a new quick route says here what it may have to wait for
    for (method, path), requests in calls.items():
        for request in requests or [{}]:
            watched.opened.clear()
            world.context.limits._breaker.reset()  # the Redis is asked again each time
            answer = world.browser().request(method, re.sub(r"{\w+}", "req_x", path), **request)
            assert answer.status_code < 500, (path, answer.text)
            assert bool(watched.opened) == bool(requests), path
    assert watched.on_the_loop == []


@pytest.fixture
def locked(build: Build, backend: Any) -> Iterator[World]:
    """Starts a server while another process writes to its database."""
    if backend is not None:
        pytest.skip("PostgreSQL has no single writer, and is always asked from a thread")
    world = build()
    other = Database.open(str(world.database.engine.url))
    with other.begin():
        yield world
    other.close()


def test_a_refusal_does_not_wait_for_a_writer_on_the_loop(
    locked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lets the refused call wait in a thread; meanwhile the event loop answers others."""
    waits, held = threading.Event(), threading.Event()
    event.listen(locked.database.engine, "checkout", _hurry)
    real = locked.database._begin

    def begin() -> Any:
        assert not at_once.is_trying()
        waits.set()
        assert held.wait(20)
        return real()

    monkeypatch.setattr(locked.database, "_begin", begin)
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    answers: list[Any] = []
    refused = threading.Thread(
        target=lambda: answers.append(
            locked.browser().post("/token", data=form, auth=locked.basic())
        )
    )
    refused.start()
    assert waits.wait(20)
    assert locked.browser().get("/health").status_code == 200
    held.set()
    refused.join(30)
    assert [answer.status_code for answer in answers] == [503]
    assert answers[0].headers["retry-after"]


def _hurry(connection: Any, *_: Any) -> None:
    """Shortens the wait, which is ten seconds in SQLite."""
    connection.execute("PRAGMA busy_timeout = 100")


def test_the_loop_waits_a_moment_only_even_when_it_cannot_go_back(locked: World) -> None:
    database = locked.database
    with database.at_once():
        at_once.happened()
        with pytest.raises(OperationalError), database.begin():
            pass


@pytest.mark.parametrize("path", ["/agents/{id}", "/api/auth-requests/{request_id}"])
def test_a_parameter_sent_literally_is_a_value_like_another(world: World, path: str) -> None:
    assert world.browser().get(path).status_code == 404
