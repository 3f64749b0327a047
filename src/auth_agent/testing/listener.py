"""An HTTP listener on a free port of 127.0.0.1, for the fake server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from auth_agent.flow.exchange import HttpRequest, HttpResponse

MAX_BODY = 262_144


@contextmanager
def listen(respond: Callable[[HttpRequest], HttpResponse], port: int = 0) -> Iterator[str]:
    """Yields the address; an exception of `respond` closes the connection without an answer."""
    with _Server(("127.0.0.1", port), _handler(respond)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield _address(server)
        finally:
            server.shutdown()
            thread.join(10)


def _handler(respond: Callable[[HttpRequest], HttpResponse]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:  # http.server's name
            length = int(self.headers.get("Content-Length") or 0)
            self.close_connection = length > MAX_BODY
            body = self.rfile.read(min(length, MAX_BODY))
            url = f"{_address(self.server)}{self.path}"
            try:
                response = respond(
                    HttpRequest(self.command, url, tuple(self.headers.items()), body)
                )
            except Exception:  # noqa: BLE001  # a broken connection is what was asked for
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _address(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_port}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # some tests are about websites that hang up
