"""A small website on a loopback address, and a fetcher that may reach it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from auth_agent.flow.fetching.fetcher import Fetcher


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """Serves a small website on a loopback address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("location", "/ok")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            if self.path.startswith("/slow"):
                self.drip(b"HTTP/1.1 200 OK\r\n" + b"\r\n" * (self.path == "/slow-body"))
                return
            body = {"/big": b"x" * 70_000, "/host": self.headers["host"].encode()}
            content = body.get(self.path, b"{}")
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("X-Accept", self.headers["accept"])
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def drip(self, beginning: bytes) -> None:
            """Sends a little at a time: never silent for long, and never finished."""
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.write(beginning)
                for number in range(400):
                    self.wfile.write(b"x-%d: y\r\n" % number)
                    time.sleep(0.05)

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Discards the server's log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    made = Fetcher(loopback_allowed=True)
    yield made
    made.close()
