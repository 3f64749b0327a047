"""Sign in with Auth Agent for FastAPI.

app.add_middleware(AuthAgentMiddleware)     # settings from AUTH_AGENT_*

@app.get("/me")
async def me(agent: CurrentAgent): ...      # OptionalAgent where nobody has to sign in

@app.get("/reports")
async def reports(agent: Annotated[Agent, agent_with(scopes=["reports:read"])]): ...

For HTTP and WebSocket endpoints, and in `dependencies=[…]` of a router; /docs shows the lock.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any

from fastapi import HTTPException, Security
from fastapi.openapi.models import APIKey, HTTPBearer
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from auth_agent.website.agent import Agent
from auth_agent.website.entry import Entry
from auth_agent.website.policy.requirement import Requirement
from auth_agent.website.web.outcome import Reply
from auth_agent_starlette.endpoints import Judge, deny, entry_of, login_path, logout_path, response
from auth_agent_starlette.middleware import AuthAgentMiddleware

__all__ = [
    "AgentRefused",
    "AuthAgentMiddleware",
    "CurrentAgent",
    "OptionalAgent",
    "agent_with",
    "login_path",
    "logout_path",
    "no_agents",
]


class AgentRefused(HTTPException):
    """No agent, or not the one that is required; answers itself as the core says.

    `@app.exception_handler(AgentRefused)` changes the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, headers=dict(reply.headers))
        self.reply = reply


class _Scheme(SecurityBase):
    """What OpenAPI shows; the middleware has checked it all before any endpoint is reached."""

    def __init__(self, name: str, model: SecurityModel) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        pass


_session = _Scheme(
    "AuthAgentSession",
    APIKey.model_validate(
        {
            "in": "cookie",
            "name": "__Host-auth_agent",
            "description": "The session of an agent that signed in under `/auth-agent/login`.",
        }
    ),
)
_bearer = _Scheme(
    "AuthAgentBearer",
    HTTPBearer(bearerFormat="JWT", description="An access token of the Auth Agent server."),
)


def agent_with(requirement: Requirement | None = None, /, **fields: Any) -> Any:
    """A dependency on an agent that brings what `Requirement` says, e.g. `scopes=["a"]`."""
    wanted = requirement or Requirement(**fields)
    judge = functools.partial(Entry.require, requirement=wanted)

    async def agent(connection: HTTPConnection, _locks: Locks) -> Agent | None:
        return _judged(connection, judge)

    return Security(agent, scopes=list(wanted.scopes))


async def _locks(
    _session: Annotated[None, Security(_session)], _bearer: Annotated[None, Security(_bearer)]
) -> None:
    pass


Locks = Annotated[None, Security(_locks)]


async def _optional_agent(connection: HTTPConnection, _locks: Locks) -> Agent | None:
    return entry_of(connection).look()


async def _no_agent(connection: HTTPConnection) -> None:
    _judged(connection, Entry.require_no_agent)


CurrentAgent = Annotated[Agent, agent_with()]
OptionalAgent = Annotated[Agent | None, Security(_optional_agent)]
no_agents = Security(_no_agent)
"""In `dependencies=[no_agents]`: keeps a place for humans."""


def _judged(connection: HTTPConnection, judge: Judge) -> Agent | None:
    entry = entry_of(connection)
    reply = judge(entry)
    if reply is not None:
        raise _refused(connection, reply)
    return entry.agent


def _refused(connection: HTTPConnection, reply: Reply) -> AgentRefused:
    """Starlette looks for handlers here, so that no website has to register ours."""
    handlers, _ = connection.scope["starlette.exception_handlers"]
    handlers.setdefault(AgentRefused, _answer)
    return AgentRefused(reply)


async def _answer(connection: HTTPConnection, error: AgentRefused) -> Any:
    if isinstance(connection, WebSocket):
        return await deny(connection, error.reply)
    return response(error.reply)
