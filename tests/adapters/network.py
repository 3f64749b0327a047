"""Real servers on free loopback ports, for applications and for the fake provider."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.validate import validator

import hypercorn
import hypercorn.asyncio
import uvicorn

from auth_agent.flow.exchange import HttpRequest
from auth_agent.testing import FakeServer
from tests.services import free_port

__all__ = ["free_port", "serve_asgi", "serve_hypercorn", "serve_provider", "serve_wsgi"]


@contextmanager
def serve_asgi(app, port, **options):
    server = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="error", lifespan="on", **options
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    started = threading.Event()
    startup = server.startup

    async def announce(*args, **kwargs):
        await startup(*args, **kwargs)
        started.set()

    server.startup = announce
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def serve_hypercorn(app, port):
    """Its socket listens before it runs, so that nobody has to wait for it."""
    config, ends = hypercorn.Config(), threading.Event()
    with socket.create_server(("127.0.0.1", port)) as listening:
        config.bind = [f"fd://{listening.fileno()}"]
        config.graceful_timeout, config.loglevel = 1, "WARNING"

        async def serve():
            wait = functools.partial(asyncio.to_thread, ends.wait)
            await hypercorn.asyncio.serve(app, config, shutdown_trigger=wait)

        thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join(10)
            listening.detach()  # the server has closed it


@contextmanager
def serve_wsgi(app, port):
    class Quiet(WSGIRequestHandler):
        def log_message(self, *args):
            pass

    class Server(WSGIServer):
        daemon_threads = True

    with Server(("127.0.0.1", port), Quiet) as server:
        server.set_app(validator(app))
        with _running(server):
            yield


@contextmanager
def serve_provider(provider: FakeServer, port):
    """Serves the fake server over HTTP; a value of `answers` may be a function of the handler."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            bent = provider.answers.get(self.path.partition("?")[0])
            if callable(bent):
                provider.requests.append(HttpRequest(self.command, self.path))
                self.close_connection = True
                bent(self)
                return
            url = f"{provider.issuer}{self.path}"
            headers = tuple(self.headers.items())
            response = provider.answer(HttpRequest(self.command, url, headers, body))
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # a relying party that hangs up on us is what some tests are about

    with Server(("127.0.0.1", port), Handler) as server, _running(server):
        yield


@contextmanager
def _running(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)
