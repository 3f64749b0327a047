"""Sign in with Auth Agent for FastAPI.

app.add_middleware(AuthAgentMiddleware)     # settings from AUTH_AGENT_*

@app.get("/me")
async def me(agent: CurrentAgent): ...      # OptionalAgent where a sign-in is optional

@app.get("/reports")
async def reports(agent: Annotated[Agent, agent_with(scopes=["reports:read"])]): ...

@app.post("/pay/{number}")
async def pay(approval: Annotated[dict, approval_of(payment)]): ...   # `payment(number: str)`

For HTTP and WebSocket endpoints, and in `dependencies=[…]` of a router; /docs shows the lock.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from auth_agent.extras import needed_for

with needed_for("fastapi"):
    from fastapi import Depends, HTTPException
    from fastapi.openapi.models import APIKey, HTTPBearer
    from fastapi.params import Security
    from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from auth_agent.flow.drive import arun
from auth_agent.protocol.details import Act
from auth_agent.website.agent import Agent
from auth_agent.website.policy.approval import check_source
from auth_agent.website.policy.requirement import Requirement, RequirementFields
from auth_agent.website.web.button import login_button_style
from auth_agent.website.web.outcome import Reply
from auth_agent_starlette.middleware import AuthAgentMiddleware
from auth_agent_starlette.views import (
    deny,
    entry_of,
    login_button,
    login_path,
    logout_path,
    response,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "AgentRefused",
    "AuthAgentMiddleware",
    "CurrentAgent",
    "OptionalAgent",
    "agent_with",
    "approval_of",
    "get_agent",
    "login_button",
    "login_button_style",
    "login_path",
    "logout_path",
    "no_agents",
]


class AgentRefused(HTTPException):
    """The agent is missing or does not meet the requirement; answers with the core's reply.

    `@app.exception_handler(AgentRefused)` changes the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, headers=dict(reply.headers))
        self.reply = reply


class _SignedIn(SecurityBase):
    """Returns the signed-in agent, or None; shown by OpenAPI as the bearer scheme.

    In a test `app.dependency_overrides[get_agent] = make_agent` replaces the agent everywhere;
    every requirement is checked against the one that the override returns.
    """

    scheme_name = "AuthAgentBearer"
    model = HTTPBearer(bearerFormat="JWT", description="An access token of the Auth Agent server.")

    async def __call__(self, connection: HTTPConnection) -> Agent | None:
        return entry_of(connection).look()


get_agent = _SignedIn()


# Two nested dependencies, each of them a scheme: OpenAPI shows both as alternatives, and a request
# pays for no third one. FastAPI is told their scope because it otherwise works it out each time.
class _Guard(SecurityBase):
    """Returns the agent that meets a requirement; shown by OpenAPI as the session scheme."""

    scheme_name = "AuthAgentSession"
    model = APIKey.model_validate(
        {
            "in": "cookie",
            "name": "__Host-auth_agent_*",  # the settings are not known yet
            "description": (
                "The session of an agent that has signed in. The `*` stands for letters that "
                "differ from website to website; without https the name has no `__Host-`."
            ),
        }
    )

    def __init__(self, requirement: Requirement | None) -> None:
        self.requirement = requirement

    async def __call__(
        self,
        connection: HTTPConnection,
        agent: Annotated[Agent | None, Security(get_agent, scope="request")],
    ) -> Agent | None:
        if self.requirement is not None:
            entry = entry_of(connection)
            reply = entry.relying_party.require(entry.visit, agent, self.requirement)
            if reply is not None:
                raise _refused(connection, reply)
        return agent


def agent_with(
    requirement: Requirement | None = None, /, **fields: Unpack[RequirementFields]
) -> Any:
    """Returns a dependency on an agent that meets a requirement, e.g. `agent_with(scopes=["a"])`.

    Equal requirements give the same callable, so that `dependency_overrides` finds it.
    """
    wanted = Requirement.of(**fields) if requirement is None else requirement
    return Security(_guard(wanted), scope="request", scopes=list(wanted.scopes))


def approval_of(act: Act | Callable[..., Any], /, **fields: Unpack[RequirementFields]) -> Any:
    """Returns a dependency on the owner's approval of one act, which it gives to the endpoint.

    `act` is an object of RFC 9396 with `type` and `title`, or a dependency that gives one: FastAPI
    fills its parameters, after the agent was admitted.
    """
    check_source(act)
    guard = agent_with(**fields)
    wanted = Depends(act if callable(act) else lambda: act)

    async def approve(connection: HTTPConnection, agent: Any, wanted: Any) -> Any:
        entry = entry_of(connection)
        found = await arun(entry.relying_party.use_approval(entry.visit, agent, wanted))
        if isinstance(found, Reply):
            raise _refused(connection, found)
        return found

    # The annotations as objects: FastAPI could not resolve names of this function.
    kinds = {
        "connection": HTTPConnection,
        "agent": Annotated[Any, guard],
        "wanted": Annotated[Any, wanted],
    }
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
        for name, kind in kinds.items()
    ]
    approve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return Depends(approve)


@functools.lru_cache(maxsize=1_024)
def _guard(requirement: Requirement | None) -> _Guard:
    return _Guard(requirement)


async def _no_agent(connection: HTTPConnection) -> None:
    """Depends on no scheme, so that OpenAPI shows no lock on a place for people."""
    entry, overrides = entry_of(connection), connection.app.dependency_overrides
    agent = entry.look() if get_agent not in overrides else overrides[get_agent]()
    if inspect.isawaitable(agent):
        agent = await agent
    reply = entry.relying_party.require_no_agent(entry.visit, agent)
    if reply is not None:
        raise _refused(connection, reply)


CurrentAgent = Annotated[Agent, agent_with()]
OptionalAgent = Annotated[Agent | None, Security(_guard(None), scope="request")]
no_agents = Security(_no_agent)
"""In `dependencies=[no_agents]`: refuses agents, for a place that is meant for people."""


def _refused(connection: HTTPConnection, reply: Reply) -> AgentRefused:
    """Answers a refusal; Starlette looks for handlers here, so no website has to register ours."""
    handlers, _ = connection.scope["starlette.exception_handlers"]
    handlers.setdefault(AgentRefused, _answer)
    return AgentRefused(reply)


async def _answer(connection: HTTPConnection, error: AgentRefused) -> Any:
    if isinstance(connection, WebSocket):
        return await deny(connection, error.reply)
    return response(error.reply)
