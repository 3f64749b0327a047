"""Decorators for endpoints, and the paths behind the buttons."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from auth_agent.asgi import Entry
from auth_agent.errors import SettingsError
from auth_agent.policy import Requirement

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def requires_agent(endpoint: Endpoint | None = None, **requirement: Any) -> Any:
    """Lets only a signed-in agent in; takes what `Requirement` takes, e.g. `scopes=["a"]`.

    For sync and async endpoints that have a `request` argument.
    """
    wanted = Requirement(**requirement)
    if endpoint is None:
        return functools.partial(_guard, requirement=wanted)
    return _guard(endpoint, requirement=wanted)


def login_path(connection: HTTPConnection, next_path: str = "/") -> str:
    """Where the button "Sign in with Auth Agent" leads, and where the agent returns to."""
    return _entry(connection).relying_party.login_path(next_path)


def logout_path(connection: HTTPConnection) -> str:
    """Where the button "Sign out" posts to."""
    return _entry(connection).relying_party.logout_path()


def _guard(endpoint: Endpoint, *, requirement: Requirement) -> Any:
    parameters = list(inspect.signature(endpoint).parameters)
    if "request" not in parameters:
        raise TypeError(f"{endpoint.__qualname__} needs a `request` argument for requires_agent")
    position = parameters.index("request")
    is_async = inspect.iscoroutinefunction(endpoint)

    @functools.wraps(endpoint)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        request: Request = kwargs["request"] if "request" in kwargs else args[position]
        refusal = refuse(request, requirement)
        if refusal is not None:
            return refusal
        if is_async:
            return await endpoint(*args, **kwargs)
        return await run_in_threadpool(endpoint, *args, **kwargs)

    return guarded


def refuse(request: HTTPConnection, requirement: Requirement) -> Response | None:
    """The response for an agent that may not come in, or None."""
    entry = _entry(request)
    entry.read = True
    reply = entry.relying_party.require(entry.visit, entry.agent, requirement)
    if reply is None:
        return None
    response = Response(reply.body, reply.status)
    response.raw_headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in reply.header_list()
    ]
    return response


def _entry(connection: HTTPConnection) -> Entry:
    entry = connection.scope.get("auth_agent.entry")
    if not isinstance(entry, Entry):
        raise SettingsError(
            ["AuthAgentMiddleware is missing: app.add_middleware(AuthAgentMiddleware)"]
        )
    return entry
