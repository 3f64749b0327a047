"""The bounds of `auth-agent serve`: heads too large or without end, bodies without end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from auth_agent.cli.server import http_bounds
from auth_agent.cli.server.http_bounds import BoundedHttp
from auth_agent.server import ServerSettings, create_app
from auth_agent.server.web import body
from tests.adapters.network import free_port

GOOD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Starts a server on a real socket, with shorter time-outs than usual."""
    monkeypatch.setattr(http_bounds, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(body, "SECONDS", 0.5)
    port = free_port()
    url = f"sqlite:///{tmp_path}/auth-agent.db"
    app = create_app(ServerSettings(issuer=f"http://127.0.0.1:{port}", database=url))
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, http=BoundedHttp, log_level="critical", access_log=False
    )
    server, ready = uvicorn.Server(config), threading.Event()

    async def serve() -> None:
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        ready.set()
        await server.main_loop()
        await server.shutdown()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    yield port
    server.should_exit = True
    thread.join(30)


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def _all(connection: socket.socket) -> bytes:
    """Reads until the server closes the connection, which it must do by itself."""
    found = b""
    try:
        while part := connection.recv(65_536):
            found += part
    except ConnectionResetError:  # it closed while more was on the way
        pass
    return found


def _ask(port: int, *parts: bytes) -> bytes:
    with _connected(port) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return _all(connection)


def test_a_usual_head_is_served(port: int) -> None:
    large = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: "
    assert _ask(port, large + b"c" * 16_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 33_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"p" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 3_000_000,
    ],
)
def test_a_head_that_is_too_large_is_refused(port: int, head: bytes) -> None:
    answer = _ask(port, head)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431"), answer[:200]
    assert not answer.startswith(b"HTTP/1.1 200")


def test_trailers_count_as_well(port: int) -> None:
    head = b"POST /token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    kind = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n0\r\n"
    answer = _ask(port, head + kind + b"a: b\r\n" * 10_000 + b"\r\n")
    assert not answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begun", [b"", b"GET /health HTTP/1.1\r\nHost: local"])
def test_a_head_that_never_ends_is_given_up(port: int, begun: bytes) -> None:
    assert _ask(port, begun) == b""


def test_so_is_the_second_one_of_a_connection(port: int) -> None:
    with _connected(port) as connection:
        connection.sendall(GOOD)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /health HTTP/1.1\r\nX")
        assert _all(connection) == b""


@pytest.mark.parametrize("length", [b"Content-Length: 50", b"Transfer-Encoding: chunked"])
def test_a_body_that_never_ends_is_given_up(port: int, length: bytes) -> None:
    head = b"POST /token HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\n"
    answer: Any = _ask(port, head)
    assert answer.startswith(b"HTTP/1.1 408"), answer[:200]
    assert b"connection: close" in answer
