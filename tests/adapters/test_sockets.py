"""WebSockets over a real server, on every ASGI stack: refused before they are open, or let in."""

from __future__ import annotations

import itertools
from typing import Annotated

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from auth_agent import Agent, asgi
from auth_agent_starlette import AuthAgentMiddleware, requires_agent
from auth_agent_starlette.fastapi import CurrentAgent, OptionalAgent, agent_with
from tests.adapters.conftest import Visitor, settings_of
from tests.adapters.network import free_port, serve_asgi, serve_hypercorn


async def greet(websocket, agent):
    """Says who is there, then repeats what it hears."""
    await websocket.accept()
    await websocket.send_text(agent.id if agent else "nobody")
    await websocket.send_bytes(await websocket.receive_bytes())
    await websocket.close()


def build_asgi(settings):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        agent, entry = scope["auth_agent"], scope["auth_agent.entry"]
        if scope["path"] in ("/chat", "/hall"):
            reply = entry.relying_party.require(entry.visit, agent)
            if reply is not None:
                await asgi.send_reply(scope, receive, send, reply)
                return
        await greet(WebSocket(scope, receive, send), agent)

    return asgi.AuthAgentMiddleware(app, settings)


def build_starlette(settings):
    @requires_agent
    async def chat(websocket):
        await greet(websocket, websocket.state.agent)

    class Hall(WebSocketEndpoint):
        @requires_agent
        async def on_connect(self, websocket):
            await websocket.accept()
            await websocket.send_text(websocket.state.agent.id)

        async def on_receive(self, websocket, data):
            await websocket.send_bytes(data)

    async def anybody(websocket):
        await greet(websocket, websocket.state.agent)

    routes = [
        WebSocketRoute("/chat", chat),
        WebSocketRoute("/hall", Hall),
        WebSocketRoute("/open", anybody),
        WebSocketRoute("/private/chat", anybody),
    ]
    return Starlette(routes=routes, middleware=[Middleware(AuthAgentMiddleware, settings)])


def build_fastapi(settings):
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, settings)

    @app.websocket("/chat")
    async def chat(websocket: WebSocket, agent: CurrentAgent):
        await greet(websocket, agent)

    @app.websocket("/hall", dependencies=[agent_with()])
    async def hall(websocket: WebSocket):
        await greet(websocket, websocket.state.agent)

    @app.websocket("/open")
    @app.websocket("/private/chat")
    async def anybody(websocket: WebSocket, agent: OptionalAgent):
        await greet(websocket, agent)

    @app.websocket("/reports")
    async def reports(
        websocket: WebSocket, agent: Annotated[Agent, agent_with(scopes=["reports:read"])]
    ):
        await greet(websocket, agent)

    return app


STACKS = {"asgi": build_asgi, "starlette": build_starlette, "fastapi": build_fastapi}
SERVERS = {"uvicorn": serve_asgi, "hypercorn": serve_hypercorn}


@pytest.fixture(params=itertools.product(SERVERS, STACKS), ids="-".join)
def site(request, provider):
    server, stack = request.param
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = STACKS[stack](settings_of(provider, base_url))
    with SERVERS[server](app, port), Visitor(base_url, provider, stack) as visitor:
        visitor.origin = base_url
        yield visitor


def open_socket(site, path, *, extra=(), **options):
    """Opens a handshake as a browser does: with the site's cookies and the page's origin."""
    cookies = "; ".join(f"{name}={value}" for name, value in site.cookies.items())
    headers = {**dict(extra), **({"Cookie": cookies} if cookies else {})}
    url = site.origin.replace("http:", "ws:") + path
    return connect(url, additional_headers=headers, compression=None, **options)


def greeting(site, path, **options):
    with open_socket(site, path, **options) as socket:
        name = socket.recv(10)
        message = b"\x00" * 70_000
        socket.send(message)
        assert socket.recv(10) == message
    return name


def refusal(site, path, **options):
    with pytest.raises(InvalidStatus) as refused:
        open_socket(site, path, **options).close()
    return refused.value.response


def test_an_agent_of_this_origin_is_there(site):
    site.sign_in()
    for path in ("/open", "/chat", "/hall", "/private/chat"):
        assert greeting(site, path, origin=site.origin) == "agent_7", path


def test_a_page_of_another_origin_brings_no_agent(site):
    site.sign_in()
    for origin in ("https://evil.example", "null", None):
        assert greeting(site, "/open", origin=origin) == "nobody"
        refused = refusal(site, "/chat", origin=origin)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert b'"origin_required"' in refused.body
        assert f"`Origin: {site.origin}`".encode() in refused.body


def test_a_token_needs_no_origin(site):
    """Accepts it from anywhere: no page can send a token, only the agent itself."""
    token = site.provider.access_token(aud=site.origin)
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/open", "/chat", "/private/chat"):
        assert greeting(site, path, origin=None, extra=headers) == "agent_7"


def test_a_stranger_is_refused_before_the_socket_opens(site):
    for path in ("/chat", "/hall", "/private/chat"):
        answer = refusal(site, path, origin=site.origin)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert b'"login_required"' in answer.body


@pytest.mark.parametrize("stack", STACKS)
def test_a_server_that_cannot_send_an_answer_refuses_all_the_same(provider, stack):
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = STACKS[stack](settings_of(provider, base_url))

    async def plain(scope, receive, send):
        await app({**scope, "extensions": {}}, receive, send)

    with serve_asgi(plain, port), Visitor(base_url, provider, stack) as site:
        site.origin = base_url
        for path in ("/chat", "/hall", "/private/chat"):
            assert refusal(site, path, origin=base_url).status_code == 403


def test_a_missing_scope_refuses_a_socket(provider):
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = build_fastapi(settings_of(provider, base_url))
    with serve_asgi(app, port), Visitor(base_url, provider, "fastapi") as site:
        site.origin = base_url
        site.sign_in()
        answer = refusal(site, "/reports", origin=base_url)
    assert answer.status_code == 403
    assert 'scope="reports:read"' in answer.headers["WWW-Authenticate"]
