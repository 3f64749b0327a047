"""What is FastAPI's own: dependencies, routers, how a refusal travels, and what /docs shows."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient, WebSocketDenialResponse

from auth_agent import Agent, RelyingParty, Requirement, SettingsError
from auth_agent_starlette.fastapi import (
    AgentRefused,
    AuthAgentMiddleware,
    CurrentAgent,
    OptionalAgent,
    agent_with,
    login_path,
    logout_path,
    no_agents,
)
from tests.adapters.conftest import settings_of
from tests.services import website_environ
from tests.test_readme import example

BASE_URL = "http://127.0.0.1:8000"
JSON = {"Accept": "application/json"}
PAGE = {"Accept": "text/html"}
ReportsAgent = Annotated[Agent, agent_with(scopes=["reports:read"])]


@pytest.fixture
def app(provider):
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, settings_of(provider, BASE_URL))
    app.state.provider = provider
    return app


@pytest.fixture
def visit(app):
    """Opens clients of the app, which has all its routes by then."""
    clients = []

    def client():
        opened = TestClient(app, base_url=BASE_URL, follow_redirects=False)
        clients.append(opened.__enter__())
        return opened

    yield client
    for opened in clients:
        opened.__exit__(None, None, None)


def sign_in(client, next_path="/"):
    begun = client.get("/auth-agent/login", params={"next": next_path})
    callback = urlsplit(client.app.state.provider.approve(begun.headers["location"]))
    back = client.get(f"{callback.path}?{callback.query}")
    assert (back.status_code, back.headers["location"]) == (303, next_path)
    return client


def test_an_endpoint_is_handed_its_agent(app, visit):
    @app.get("/me")
    async def me(agent: CurrentAgent):
        return {"agent": agent.id}

    @app.get("/sync")
    def sync(agent: CurrentAgent):
        return {"agent": agent.id}

    @app.get("/anybody")
    async def anybody(agent: OptionalAgent):
        return {"agent": agent.id if agent else None}

    client = visit()
    assert client.get("/anybody").json() == {"agent": None}
    assert client.get("/me", headers=JSON).status_code == 401
    sign_in(client)
    for path in ("/me", "/sync", "/anybody"):
        answer = client.get(path)
        assert answer.json() == {"agent": "agent_7"}
        assert answer.headers["cache-control"] == "private"


def test_a_refusal_is_the_cores_own_answer(app, visit):
    app.get("/me")(_me)
    client = visit()
    program = client.get("/me?a=b", headers=JSON)
    assert program.status_code == 401
    assert program.headers["www-authenticate"].startswith("Bearer")
    assert program.headers["link"] == f'<{program.json()["login_url"]}>; rel="login"'
    assert program.json()["error"] == "login_required"
    person = client.get("/me?a=b", headers=PAGE)
    assert person.status_code == 303
    assert person.headers["location"] == "/auth-agent/login?next=/me%3Fa%3Db"


async def _account(agent: CurrentAgent):
    return f"account of {agent.id}"


async def _me(agent: CurrentAgent):
    return {"agent": agent.id}


@pytest.mark.parametrize("requirement", [{"scopes": ["reports:read"]}, {"models": ["gpt-*"]}])
def test_a_requirement_may_be_a_value_or_its_fields(app, visit, requirement):
    app.get("/value", dependencies=[agent_with(Requirement(**requirement))])(lambda: "in")
    app.get("/fields", dependencies=[agent_with(**requirement)])(lambda: "in")
    client = sign_in(visit())
    answers = [client.get(path, headers=JSON) for path in ("/value", "/fields")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()


def test_two_requirements_in_one_request_are_judged_apart(app, visit):
    @app.get("/both")
    async def both(agent: CurrentAgent, reader: ReportsAgent):
        return {}

    client = sign_in(visit())
    assert client.get("/both", headers=JSON).status_code == 403
    app.state.provider.token_response["scope"] = "openid reports:read"
    assert sign_in(visit()).get("/both").status_code == 200


def test_a_router_is_guarded_as_a_whole(app, visit):
    router = APIRouter(prefix="/orders", dependencies=[agent_with()])
    router.get("/{number}")(lambda number: {"number": number})
    app.include_router(router)
    client = visit()
    assert client.get("/orders/7", headers=JSON).status_code == 401
    assert sign_in(client).get("/orders/7").json() == {"number": "7"}


def test_a_place_may_be_kept_for_humans(app, visit):
    app.get("/humans", dependencies=[no_agents])(lambda: "welcome")
    client = visit()
    assert client.get("/humans").json() == "welcome"
    assert sign_in(client).get("/humans", headers=JSON).status_code == 403


def test_a_dependency_of_the_site_builds_on_the_agent(app, visit):
    @app.get("/account")
    async def show(account: Annotated[str, Depends(_account)]):
        return {"account": account}

    client = visit()
    assert client.get("/account", headers=JSON).status_code == 401
    assert sign_in(client).get("/account").json() == {"account": "account of agent_7"}


def test_an_application_in_another_is_guarded_too(app, visit):
    inner = FastAPI()
    inner.get("/me")(_me)
    app.mount("/inner", inner)
    client = visit()
    answer = client.get("/inner/me", headers=PAGE)
    assert answer.headers["location"] == "/auth-agent/login?next=/inner/me"
    assert sign_in(client).get("/inner/me").json() == {"agent": "agent_7"}


def test_a_refusal_passes_the_sites_other_middleware_as_an_answer(app, visit):
    """Sends an answer, not an exception: CORS headers are added, transactions see no failure."""
    statuses = []

    async def watch(request, call_next):
        response = await call_next(request)
        statuses.append(response.status_code)
        return response

    app.middleware("http")(watch)
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
    app.user_middleware.append(app.user_middleware.pop(0))  # the innermost
    app.get("/me")(_me)
    answer = visit().get("/me", headers={**JSON, "Origin": "https://app.example"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert statuses == [401]


def test_a_site_may_answer_a_refusal_in_its_own_words(app, visit):
    @app.exception_handler(AgentRefused)
    async def refused(request, error):
        return PlainTextResponse(f"Please sign in ({error.reply.status})", error.status_code)

    app.get("/me")(_me)
    answer = visit().get("/me", headers=JSON)
    assert (answer.status_code, answer.text) == (401, "Please sign in (401)")


def test_a_refusal_is_an_http_exception_to_whoever_catches_it(app, visit):
    caught = []

    async def transaction():
        try:
            yield
        except HTTPException as error:
            caught.append((error.status_code, "Link" in error.headers))
            raise

    app.get("/me", dependencies=[Depends(transaction)])(_me)
    assert visit().get("/me", headers=JSON).status_code == 401
    assert caught == [(401, True)]


def test_the_site_is_told_when_the_middleware_is_missing():
    app = FastAPI()
    app.get("/me")(_me)
    with TestClient(app) as client, pytest.raises(SettingsError, match="add_middleware"):
        client.get("/me")


async def _indirect(agent=Depends(CurrentAgent)):  # noqa: B008
    return agent


@pytest.mark.parametrize(
    "source", [Depends(Agent), Depends(CurrentAgent), Depends(OptionalAgent), Depends(_indirect)]
)
def test_an_agent_is_never_made_of_the_query(app, visit, source):
    """Refuses a class as a dependency: FastAPI would fill its fields from the visitor's query."""

    @app.get("/me")
    async def me(agent=source):
        return {}

    with pytest.raises(SettingsError, match="/me takes its agent from the query"):
        visit()


def test_nor_at_a_socket(app, visit):
    @app.websocket("/chat")
    async def chat(websocket: WebSocket, agent: Annotated[Agent, Depends()]):
        await websocket.accept()

    with pytest.raises(SettingsError, match="/chat takes its agent from the query"):
        visit()


def test_nor_where_the_type_alone_says_so(app, visit):
    router = APIRouter()

    @router.get("/me")
    async def me(agent: Annotated[Agent, Depends()]):
        return {}

    app.include_router(router, prefix="/v1")
    with pytest.raises(SettingsError, match="/me takes its agent from the query"):
        visit()


def test_docs_show_the_lock(app, visit):
    app.get("/anybody")(lambda: "in")
    app.get("/me")(_me)

    @app.get("/reports")
    async def reports(agent: ReportsAgent):
        return {}

    @app.get("/optional")
    async def optional(agent: OptionalAgent):
        return {}

    document = visit().get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    cookie, bearer = schemes["AuthAgentSession"], schemes["AuthAgentBearer"]
    assert (cookie["type"], cookie["in"]) == ("apiKey", "cookie")
    assert (bearer["type"], bearer["scheme"]) == ("http", "bearer")
    locks = {path: document["paths"][path]["get"].get("security") for path in document["paths"]}
    assert locks == {
        "/anybody": None,
        "/me": [{"AuthAgentSession": []}, {"AuthAgentBearer": []}],
        "/reports": [{"AuthAgentSession": ["reports:read"]}, {"AuthAgentBearer": ["reports:read"]}],
        "/optional": [{"AuthAgentSession": []}, {"AuthAgentBearer": []}],
    }
    assert document["paths"]["/me"]["get"].get("parameters", []) == []


def test_the_buttons_lead_to_the_relying_party(app, visit):
    @app.get("/buttons")
    async def buttons(request: Request):
        return [login_path(request, "/me"), logout_path(request)]

    answer = visit().get("/buttons")
    assert answer.json() == ["/auth-agent/login?next=/me", "/auth-agent/logout"]
    assert "vary" not in answer.headers


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_account_of_the_site_stays_with_the_agent(provider, colour):
    def account(agent):
        return 42

    async def async_account(agent):
        return 42

    hook = account if colour == "sync" else async_account
    relying_party = RelyingParty(settings_of(provider, BASE_URL), on_sign_in=hook)
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, relying_party=relying_party)
    app.state.provider = provider

    @app.get("/account")
    async def show(agent: CurrentAgent):
        return agent.account_id

    with TestClient(app, base_url=BASE_URL, follow_redirects=False) as client:
        assert sign_in(client).get("/account").json() == "42"


def test_a_socket_is_handed_its_agent(app, visit):
    @app.websocket("/chat")
    async def chat(websocket: WebSocket, agent: CurrentAgent):
        await websocket.accept()
        await websocket.send_text(agent.id)
        await websocket.close()

    @app.websocket("/open")
    async def free(websocket: WebSocket, agent: OptionalAgent):
        await websocket.accept()
        await websocket.send_text(str(agent))
        await websocket.close()

    client = visit()
    with client.websocket_connect("/open") as socket:
        assert socket.receive_text() == "None"
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/chat"):
        pass
    assert denied.value.status_code == 401
    assert denied.value.json()["error"] == "login_required"
    sign_in(client)
    with client.websocket_connect(
        "ws://127.0.0.1:8000/chat", headers={"Origin": BASE_URL}
    ) as socket:
        assert socket.receive_text() == "agent_7"


def test_the_readmes_example_lets_agents_in(provider, monkeypatch):
    environ = website_environ(provider, BASE_URL)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    namespace = {}
    exec(example("fastapi"), namespace)  # noqa: S102  # our own README
    app = namespace["app"]
    app.state.provider = provider
    with TestClient(app, base_url=BASE_URL, follow_redirects=False) as client:
        assert client.get("/me", headers=JSON).status_code == 401
        answer = sign_in(client, "/me").get("/me")
    assert answer.json() == {"agent": "agent_7", "model": "claude-opus-4"}
