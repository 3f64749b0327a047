"""What FastAPI's OpenAPI document says of agents, and how dependencies are replaced in tests."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI
from starlette.testclient import TestClient

from auth_agent import Agent, Requirement
from auth_agent.testing import make_agent
from auth_agent.website.recognition.session import cookie_name
from auth_agent_starlette.fastapi import (
    AuthAgentMiddleware,
    CurrentAgent,
    OptionalAgent,
    agent_with,
    get_agent,
    no_agents,
)
from tests.adapters.conftest import settings_of

JSON = {"Accept": "application/json"}
SCHEMES = {
    "AuthAgentSession": {
        "type": "apiKey",
        "description": (
            "The session of an agent that has signed in. The `*` stands for letters that differ "
            "from website to website; without https the name has no `__Host-`."
        ),
        "in": "cookie",
        "name": "__Host-auth_agent_*",
    },
    "AuthAgentBearer": {
        "type": "http",
        "description": "An access token of the Auth Agent server.",
        "scheme": "bearer",
        "bearerFormat": "JWT",
    },
}


def either(*scopes):
    return [{"AuthAgentSession": list(scopes)}, {"AuthAgentBearer": list(scopes)}]


@pytest.fixture
def app(provider):
    app = FastAPI()
    app.add_middleware(AuthAgentMiddleware, settings_of(provider, "http://127.0.0.1:8000"))

    @app.get("/free")
    async def free():
        return {}

    @app.get("/me")
    async def me(agent: CurrentAgent):
        return agent.id

    @app.get("/optional")
    async def optional(agent: OptionalAgent):
        return agent.id if agent else None

    @app.get("/reports")
    async def reports(agent: Annotated[Agent, agent_with(scopes=["reports:read"])]):
        return agent.id

    @app.get("/both")
    async def both(agent: CurrentAgent, reader: Annotated[Agent, agent_with(scopes="a b")]):
        return [agent.id, reader.id]

    @app.get("/humans", dependencies=[no_agents])
    async def humans():
        return {}

    router = APIRouter(prefix="/orders", dependencies=[agent_with(Requirement(scopes=["c"]))])
    router.get("/all")(free)
    app.include_router(router)
    return app


def test_both_schemes_are_alternatives_with_their_scopes(app):
    document = app.openapi()
    assert document["components"]["securitySchemes"] == SCHEMES
    locks = {path: item["get"].get("security") for path, item in document["paths"].items()}
    assert locks == {
        "/free": None,
        "/me": either(),
        "/optional": either(),
        "/reports": either("reports:read"),
        "/both": either("a", "b"),
        "/humans": None,
        "/orders/all": either("c"),
    }
    parameters = [item["get"].get("parameters", []) for item in document["paths"].values()]
    assert parameters == [[]] * 7


@pytest.mark.parametrize("base_url", ["https://shop.example", "http://127.0.0.1:8000"])
def test_the_name_of_the_cookie_is_what_the_document_says(app, provider, base_url):
    scheme = app.openapi()["components"]["securitySchemes"]["AuthAgentSession"]
    pattern = scheme["name"].removeprefix("" if base_url.startswith("https") else "__Host-")
    for client_id in ("client_shop", "another"):
        settings = settings_of(provider, base_url, client_id=client_id)
        assert fnmatchcase(cookie_name(settings), pattern)


def test_equal_requirements_are_one_dependency():
    written = agent_with(scopes=["x"], max_age=60)
    assert agent_with(max_age=60, scopes="x").dependency is written.dependency
    assert agent_with(Requirement(scopes=("x",), max_age=60)).dependency is written.dependency
    assert agent_with(scopes=["x"], max_age=61).dependency is not written.dependency
    assert CurrentAgent.__metadata__[0].dependency is agent_with().dependency


def agent(**fields):
    known = {"id": "agent_1", "issuer": "https://i.example", "client_id": "c"}
    return Agent(**known, authenticated_at=0, expires_at=2**40, **fields)


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_one_override_reaches_every_form(app, kind):
    who = agent(scopes=("reports:read", "a", "b", "c"))

    async def later():
        return who

    app.dependency_overrides[get_agent] = later if kind == "coroutine" else lambda: who
    with TestClient(app) as client:
        assert client.get("/me").json() == "agent_1"
        assert client.get("/optional").json() == "agent_1"
        assert client.get("/reports").json() == "agent_1"
        assert client.get("/both").json() == ["agent_1", "agent_1"]
        assert client.get("/orders/all").json() == {}
        assert client.get("/humans", headers=JSON).status_code == 403


def test_a_requirement_holds_for_the_agent_of_an_override(app):
    app.dependency_overrides[get_agent] = lambda: agent(scopes=("a",))
    with TestClient(app) as client:
        assert client.get("/me").status_code == 200
        refused = client.get("/reports", headers=JSON)
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        app.dependency_overrides[get_agent] = lambda: None
        assert client.get("/me", headers=JSON).status_code == 401
        assert client.get("/humans").status_code == 200


def test_one_requirement_can_be_replaced_alone(app):
    reports = agent_with(scopes=["reports:read"])
    app.dependency_overrides[reports.dependency] = make_agent
    with TestClient(app) as client:
        assert client.get("/reports").json() == make_agent().id
        assert client.get("/me", headers=JSON).status_code == 401
