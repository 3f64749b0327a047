"""Decorators of endpoints, and the paths of the buttons."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from auth_agent.asgi import send_reply
from auth_agent.errors import SettingsError
from auth_agent.flow.drive import arun
from auth_agent.protocol.details import Act
from auth_agent.website.entry import Entry
from auth_agent.website.policy.approval import check_source
from auth_agent.website.policy.guard import check_view, remember
from auth_agent.website.policy.requirement import Requirement, RequirementFields
from auth_agent.website.web.button import ButtonFields, Html
from auth_agent.website.web.button import login_button as button
from auth_agent.website.web.outcome import Reply

if TYPE_CHECKING:
    from typing_extensions import Unpack

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Judge = Callable[[Entry], Reply | None]
Approve = Callable[[HTTPConnection], Awaitable[Reply | None]]


@overload
def requires_agent(endpoint: Endpoint, **requirement: Unpack[RequirementFields]) -> Endpoint: ...
@overload
def requires_agent(
    endpoint: None = None, **requirement: Unpack[RequirementFields]
) -> Callable[[Endpoint], Endpoint]: ...
def requires_agent(
    endpoint: Endpoint | None = None, **requirement: Unpack[RequirementFields]
) -> Endpoint | Callable[[Endpoint], Endpoint]:
    """Lets only a signed-in agent in; takes what `Requirement` takes, e.g. `scopes=["a"]`.

    For sync and async endpoints that have a `request` argument, and for WebSocket endpoints, where
    it is `websocket`: they are refused before they accept.
    """
    judge = functools.partial(Entry.require, requirement=Requirement.of(**requirement))
    if endpoint is None:
        return functools.partial(_guard, judge=judge)
    return _guard(endpoint, judge)


def requires_approval(
    act: Act | Callable[[Any], Any], /, **requirement: Unpack[RequirementFields]
) -> Callable[[Endpoint], Endpoint]:
    """Lets an agent do one act that its owner has approved: `request.state.approval`.

    `act` is what the owner sees, an object of RFC 9396 with `type` and `title`, or a function of
    the request that gives one (sync or async). Takes what `Requirement` takes, too.
    """
    check_source(act)
    judge = functools.partial(Entry.require, requirement=Requirement.of(**requirement))
    return functools.partial(_guard, judge=judge, approve=functools.partial(_approve, act))


def no_agents(endpoint: Endpoint) -> Endpoint:
    """Refuses signed-in agents, for an endpoint that is meant for people."""
    return _guard(endpoint, Entry.require_no_agent)


def login_path(connection: HTTPConnection, next_path: str = "/") -> str:
    """Returns the path of the sign-in, which afterwards returns the agent to `next_path`."""
    return entry_of(connection).relying_party.login_path(next_path)


def login_button(
    connection: HTTPConnection, next_path: str = "/", **shown: Unpack[ButtonFields]
) -> Html:
    """Returns the button "Sign in with Auth Agent"; `shown` is look, large, icon_only, text."""
    return button(login_path(connection, next_path), **shown)


def logout_path(connection: HTTPConnection) -> str:
    """Returns the path that the "Sign out" button posts to."""
    return entry_of(connection).relying_party.logout_path()


def _guard(endpoint: Endpoint, judge: Judge, approve: Approve | None = None) -> Endpoint:
    check_view(endpoint)
    parameters = list(inspect.signature(endpoint).parameters)
    name = next((name for name in ("request", "websocket") if name in parameters), None)
    if name is None:
        raise TypeError(
            f"{endpoint.__qualname__} needs a `request` or `websocket` argument for requires_agent"
        )
    position = parameters.index(name)
    is_async = inspect.iscoroutinefunction(endpoint)

    @functools.wraps(endpoint)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        connection = kwargs[name] if name in kwargs else args[position]
        reply = judge(entry_of(connection))
        if reply is None and approve is not None:
            reply = await approve(connection)
        if reply is not None and isinstance(connection, WebSocket):
            return await deny(connection, reply)
        if reply is not None:
            return response(reply)
        if is_async:
            return await endpoint(*args, **kwargs)
        answer = await run_in_threadpool(endpoint, *args, **kwargs)
        return await answer if inspect.isawaitable(answer) else answer

    remember(endpoint, guarded)
    return cast(Endpoint, guarded)


async def _approve(act: Any, connection: HTTPConnection) -> Reply | None:
    wanted = act(connection) if callable(act) else act
    if inspect.isawaitable(wanted):
        wanted = await wanted
    found = await arun(entry_of(connection).use_approval(wanted))
    if isinstance(found, Reply):
        return found
    connection.state.approval = found
    return None


def response(reply: Reply) -> Response:
    answer = Response(reply.body, reply.status)
    answer.raw_headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in reply.header_list()
    ]
    return answer


async def deny(websocket: WebSocket, reply: Reply) -> None:
    """Answers the handshake before the socket opens."""
    await send_reply(websocket.scope, websocket.receive, websocket.send, reply)


def entry_of(connection: HTTPConnection) -> Entry:
    """Returns the entry. Raises `SettingsError` if the middleware has not seen the request."""
    try:
        entry: Entry = connection.scope["auth_agent.entry"]
    except KeyError:
        raise SettingsError(
            [
                "AuthAgentMiddleware is missing: app.add_middleware(AuthAgentMiddleware). In a "
                "test of one endpoint, use the application's client: "
                "auth_agent.testing.sign_in(TestClient(app), make_agent())."
            ]
        ) from None
    return entry
