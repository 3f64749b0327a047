"""Decorated endpoints of Starlette and FastAPI, as a website's own type checker sees them."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from typing_extensions import assert_type

from auth_agent import Agent
from auth_agent_starlette import AuthAgentMiddleware, no_agents, requires_agent, requires_approval
from auth_agent_starlette.fastapi import CurrentAgent, agent_with

Async = Callable[[Request], Coroutine[Any, Any, PlainTextResponse]]


@requires_agent
async def bare(request: Request) -> PlainTextResponse:
    agent: Agent = request.state.agent
    return PlainTextResponse(agent.id)


@requires_agent(scopes=["reports:read"])
def called(request: Request, number: int = 1) -> PlainTextResponse:
    return PlainTextResponse(str(number))


@requires_approval(lambda request: {"type": "payment", "title": request.url.path}, max_age=60)
async def pay(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.state.approval["title"])


@no_agents
async def people(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("people")


kept: list[Async] = [bare, pay, people]
assert_type(called(Request({}), 2), PlainTextResponse)
called(Request({}), "2")  # type: ignore[arg-type]
bare()  # type: ignore[call-arg, unused-coroutine]
requires_agent(scope=["reports:read"])  # type: ignore[call-overload]
requires_agent(scopes=1)  # type: ignore[call-overload]
requires_approval({}, scope=["reports:read"])  # type: ignore[call-arg]

plain = Starlette(routes=[Route("/bare", bare), Route("/called", called), Route("/pay", pay)])
plain.add_middleware(AuthAgentMiddleware)

app = FastAPI()
app.add_middleware(AuthAgentMiddleware)


@app.get("/me")
async def me(agent: CurrentAgent) -> dict[str, str]:
    return {"id": agent.id}


@app.get("/reports")
@requires_agent(scopes=["reports:read"])
async def reports(request: Request) -> dict[str, str]:
    return {"path": request.url.path}


@app.get("/bills")
async def bills(agent: Annotated[Agent, agent_with(scopes=["bills:read"])]) -> dict[str, str]:
    return {"id": agent.id}
