"""Nothing is kept back: what is streamed in or out goes through the middleware piece by piece."""

from __future__ import annotations

from threading import Event

import pytest
from anyio import to_thread
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from flask import Flask, request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from auth_agent import asgi, wsgi
from auth_agent_flask import AuthAgent, current_agent
from auth_agent_starlette import AuthAgentMiddleware
from auth_agent_starlette.fastapi import CurrentAgent
from tests.adapters.conftest import Visitor, settings_of
from tests.adapters.network import free_port, serve_asgi, serve_wsgi

EVENTS = "text/event-stream"
PIECE = 5


class Wire:
    """Lets each side see that the other has had the first piece before there is a second."""

    def __init__(self):
        self.first_has_arrived = Event()
        self.pieces = []

    def events(self):
        yield b"first"
        yield b"then." if self.first_has_arrived.wait(10) else b"late."

    async def events_async(self):
        yield b"first"
        arrived = await to_thread.run_sync(self.first_has_arrived.wait, 10)
        yield b"then." if arrived else b"late."

    def upload(self):
        yield b"first"
        yield b"then." if self.first_has_arrived.wait(10) else b"late."

    def note(self, piece):
        if piece:
            self.pieces.append(piece)
            self.first_has_arrived.set()


def build_asgi(settings, wire):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        if scope["path"] == "/events":
            response = StreamingResponse(wire.events_async(), media_type=EVENTS)
        else:
            async for piece in Request(scope, receive).stream():
                wire.note(piece)
            response = Response()
        await response(scope, receive, send)

    return asgi.AuthAgentMiddleware(app, settings)


def build_starlette(settings, wire):
    async def events(request):
        assert request.state.agent is not None
        return StreamingResponse(wire.events_async(), media_type=EVENTS)

    async def upload(request):
        async for piece in request.stream():
            wire.note(piece)
        return Response()

    routes = [Route("/events", events), Route("/upload", upload, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(AuthAgentMiddleware, settings)])


def build_fastapi(settings, wire):
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, settings)

    @app.get("/events")
    async def events(agent: CurrentAgent):
        return StreamingResponse(wire.events_async(), media_type=EVENTS)

    @app.post("/upload")
    async def upload(request: FastAPIRequest, agent: CurrentAgent):
        async for piece in request.stream():
            wire.note(piece)

    return app


def build_wsgi(settings, wire):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", EVENTS)])
        if environ["PATH_INFO"] == "/events":
            return wire.events()
        for _ in range(2):
            wire.note(environ["wsgi.input"].read(PIECE))
        return []

    return wsgi.AuthAgentMiddleware(app, settings)


def build_flask(settings, wire):
    app = Flask(__name__)
    AuthAgent(app, settings)

    @app.get("/events")
    def events():
        assert current_agent
        return app.response_class(wire.events(), mimetype=EVENTS)

    @app.post("/upload")
    def upload():
        for _ in range(2):
            wire.note(request.stream.read(PIECE))
        return ""

    return app


STACKS = {
    "asgi": (build_asgi, serve_asgi),
    "starlette": (build_starlette, serve_asgi),
    "fastapi": (build_fastapi, serve_asgi),
    "wsgi": (build_wsgi, serve_wsgi),
    "flask": (build_flask, serve_wsgi),
}


@pytest.fixture(params=STACKS)
def site(request, provider):
    build, serve = STACKS[request.param]
    port, wire = free_port(), Wire()
    base_url = f"http://127.0.0.1:{port}"
    app = build(settings_of(provider, base_url), wire)
    with serve(app, port), Visitor(base_url, provider, request.param) as visitor:
        visitor.sign_in()
        visitor.wire = wire
        yield visitor


def test_each_event_arrives_when_it_is_sent(site):
    with site.stream("GET", "/events") as answer:
        pieces = answer.iter_bytes()
        assert next(pieces) == b"first"
        site.wire.first_has_arrived.set()
        assert b"".join(pieces) == b"then."
    assert answer.headers["content-type"].startswith(EVENTS)
    assert answer.headers["cache-control"] == "private"
    assert "content-length" not in answer.headers


def test_each_piece_of_an_upload_arrives_when_it_is_sent(site):
    headers = {"Content-Length": str(2 * PIECE)}
    answer = site.post("/upload", content=site.wire.upload(), headers=headers)
    assert answer.status_code == 200
    assert site.wire.pieces == [b"first", b"then."]
