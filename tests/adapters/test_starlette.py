"""What is Starlette's own: every shape of endpoint behind the decorators."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from auth_agent import SettingsError
from auth_agent_starlette import AuthAgentMiddleware, no_agents, requires_agent
from tests.adapters.conftest import settings_of
from tests.services import free_port
from tests.world import SERVERS

BASE_URL = "http://127.0.0.1:8000"
JSON = {"Accept": "application/json"}


@requires_agent
async def asynchronous(request):
    return PlainTextResponse(request.state.agent.id)


@requires_agent(models=["claude-*"])
def sync(request):
    return PlainTextResponse(request.state.agent.id)


class Several(HTTPEndpoint):
    @requires_agent
    async def get(self, request):
        return PlainTextResponse(request.state.agent.id)


@no_agents
async def humans(request):
    return PlainTextResponse("welcome")


@no_agents
async def chat_of_humans(websocket):
    await websocket.accept()
    await websocket.send_text("welcome")
    await websocket.close()


ROUTES = [
    Route("/async", asynchronous),
    Route("/sync", sync),
    Route("/class", Several),
    Route("/humans", humans),
    WebSocketRoute("/chat", chat_of_humans),
]


@pytest.fixture
def client(provider):
    middleware = Middleware(AuthAgentMiddleware, settings_of(provider, BASE_URL))
    app = Starlette(routes=ROUTES, middleware=[middleware])
    with TestClient(app, base_url=BASE_URL, follow_redirects=False) as client:
        yield client


def sign_in(client, provider):
    location = client.get("/auth-agent/login").headers["location"]
    callback = urlsplit(provider.approve(location))
    assert client.get(f"{callback.path}?{callback.query}").status_code == 303


def test_every_shape_of_endpoint_is_guarded(client, provider):
    paths = ("/async", "/sync", "/class")
    assert [client.get(path, headers=JSON).status_code for path in paths] == [401] * 3
    sign_in(client, provider)
    assert [client.get(path).text for path in paths] == ["agent_7"] * 3


def test_a_place_may_be_kept_for_humans(client, provider):
    socket = {"url": "ws://127.0.0.1:8000/chat", "headers": {"Origin": BASE_URL}}
    answer = client.get("/humans")
    assert (answer.text, answer.headers["cache-control"]) == ("welcome", "private")
    with client.websocket_connect(**socket) as chat:
        assert chat.receive_text() == "welcome"
    sign_in(client, provider)
    assert client.get("/humans", headers=JSON).status_code == 403
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect(**socket):
        pass
    assert denied.value.status_code == 403


def test_an_endpoint_that_cannot_be_guarded_is_told_at_once():
    with pytest.raises(TypeError, match="needs a `request` or `websocket` argument"):
        requires_agent(lambda: None)


@pytest.mark.parametrize("place", ["app", "router", "mounted"])
def test_a_guard_above_the_route_is_told_before_anybody_is_let_in(provider, place):
    """Refuses to start: FastAPI has already registered the bare endpoint, which would be open."""
    app, inner, router = FastAPI(), FastAPI(), APIRouter()

    @requires_agent
    @{"app": app, "router": router, "mounted": inner}[place].get("/secret")
    async def secret(request: Request):
        return "secret"

    app.include_router(router, prefix="/router")
    app.mount("/mounted", inner)
    app.add_middleware(AuthAgentMiddleware, settings_of(provider, BASE_URL))
    app.add_middleware(GZipMiddleware)
    with pytest.raises(SettingsError, match=r"the view .*secret is open"):
        TestClient(app).get("/secret")


def test_an_endpoint_behind_a_decorator_of_the_sites_own_is_awaited(provider):
    def traced(endpoint):
        def call(request):
            return endpoint(request)

        return call

    @requires_agent
    @traced
    async def page(request):
        return PlainTextResponse("page")

    middleware = Middleware(AuthAgentMiddleware, settings_of(provider, BASE_URL))
    app = Starlette(routes=[Route("/", page)], middleware=[middleware])
    with TestClient(app, base_url=BASE_URL, follow_redirects=False) as client:
        sign_in(client, provider)
        assert client.get("/").text == "page"


class Note(BaseHTTPMiddleware):
    """Writes into `request.state`, and reads what the endpoint has written there."""

    async def dispatch(self, request, call_next):
        request.state.begun = "begun"
        answer = await call_next(request)
        answer.headers["x-note"] = getattr(request.state, "ended", "not ours")
        return answer


class Greet(BaseHTTPMiddleware):
    """Looks at the agent once the endpoint has answered."""

    async def dispatch(self, request, call_next):
        answer = await call_next(request)
        answer.headers["x-agent"] = request.state.agent.id if request.state.agent else "nobody"
        return answer


def test_it_stands_among_other_middleware(provider):
    async def page(request):
        request.state.ended = f"{request.state.begun}, ended"
        return PlainTextResponse("page " * 200, headers={"Cache-Control": "public"})

    ours = Middleware(AuthAgentMiddleware, settings_of(provider, BASE_URL))
    middleware = [Middleware(Note), Middleware(GZipMiddleware), ours, Middleware(Greet)]
    app = Starlette(routes=[Route("/", page)], middleware=middleware)
    with TestClient(app, base_url=BASE_URL, follow_redirects=False) as client:
        sign_in(client, provider)
        answer = client.get("/")
    assert answer.headers["x-note"] == "begun, ended"
    assert answer.headers["x-agent"] == "agent_7"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "private", "who looks late has looked"
    assert {"Cookie", "Authorization"} <= set(answer.headers["vary"].split(", "))


def test_a_script_of_another_origin_may_read_where_the_door_is(provider):
    """Puts CORS outside, as Starlette's documentation says for every refusal."""
    origin = "https://app.example"
    app = Starlette(routes=[Route("/me", asynchronous)], middleware=[
        Middleware(CORSMiddleware, allow_origins=[origin], allow_credentials=True),
        Middleware(AuthAgentMiddleware, settings_of(provider, BASE_URL)),
    ])  # fmt: skip
    with TestClient(app, base_url=BASE_URL) as client:
        answer = client.get("/me", headers={**JSON, "Origin": origin})
    assert (answer.status_code, answer.json()["error"]) == (401, "login_required")
    assert answer.headers["access-control-allow-origin"] == origin


def test_the_site_is_told_when_the_middleware_is_missing():
    with (
        TestClient(Starlette(routes=ROUTES)) as client,
        pytest.raises(SettingsError, match="AuthAgentMiddleware is missing"),
    ):
        client.get("/async")


@pytest.mark.parametrize(
    ("server", "target"),
    [("hypercorn", "examples.starlette_site:app"), ("uvicorn", "examples.fastapi_site:app")],
)
def test_a_site_with_wrong_settings_does_not_start(server, target):
    """Fails at startup: Starlette builds middleware when an exception no longer stops a server."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT_")}
    words = (word.format(port=free_port(), target=target) for word in SERVERS[server])
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**environ, "AUTH_AGENT_PROTEKT": "/private/*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "did you mean AUTH_AGENT_PROTECT?" in done.stderr
    assert "AUTH_AGENT_BASE_URL is missing" in done.stderr


def test_and_answers_nothing_in_a_test(monkeypatch):
    monkeypatch.setenv("AUTH_AGENT_ISSUER", "http://auth.example")
    client = TestClient(Starlette(routes=ROUTES, middleware=[Middleware(AuthAgentMiddleware)]))
    told = pytest.raises(SettingsError, match="AUTH_AGENT_ISSUER uses http")
    with told:
        client.get("/async")
    with told, client.websocket_connect("/chat"):
        pass
    with told, client:
        pass
