"""The declaration at a tool, `requires_agent`, and `agent_of` inside of it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from auth_agent.errors import SettingsError, TokenRefused
from auth_agent.flow.drive import arun
from auth_agent.protocol.details import Act
from auth_agent.website.agent import Agent
from auth_agent.website.entry import Entry
from auth_agent.website.mcp.door import refusal_text, remedy_text
from auth_agent.website.policy.approval import Approval, check_source
from auth_agent.website.policy.guard import check_view
from auth_agent.website.policy.requirement import Requirement, RequirementFields
from auth_agent.website.web.outcome import Reply
from auth_agent_mcpserver.acts import with_approval

if TYPE_CHECKING:
    from typing_extensions import Unpack

Function = TypeVar("Function", bound=Callable[..., Any])

_MARK = "__auth_agent_requirements__"
_PACKAGES = ("mcp.", "fastmcp.")
_current: ContextVar[Entry | None] = ContextVar("auth_agent_entry", default=None)


@overload
def requires_agent(function: Function, /, **requirement: Unpack[RequirementFields]) -> Function: ...
@overload
def requires_agent(
    function: None = None, /, **requirement: Unpack[RequirementFields]
) -> Callable[[Function], Function]: ...
def requires_agent(
    function: Function | None = None, /, **requirement: Unpack[RequirementFields]
) -> Function | Callable[[Function], Function]:
    """Lets only an agent that meets the requirement call a tool, a resource or a prompt.

    Takes what `Requirement` takes, e.g. `scopes=["a"]`. `protect` finds it and answers with a real
    403; the function itself checks again when something inside the server calls it.
    """
    wanted = Requirement.of(**requirement)
    if function is None:
        return functools.partial(_guard, wanted=wanted)
    return _guard(function, wanted)


def requires_approval(
    act: Act | Callable[..., Any], /, **requirement: Unpack[RequirementFields]
) -> Callable[[Function], Function]:
    """Lets an agent call a tool whose act its owner has approved; `approval_of()` gives it inside.

    `act` is what the owner sees, an object of RFC 9396 with `type` and `title`, or a function of
    the tool's arguments that gives one. Takes what `Requirement` takes, too.
    """
    check_source(act)
    wanted = Requirement.of(**requirement)

    def guard(function: Function) -> Function:
        return _guard(with_approval(function, act, _use_approval), wanted)

    return guard


async def _use_approval(values: Iterable[object], wanted: object) -> Approval:
    """Returns the approval of this call's act; raises a refusal that says what to ask for."""
    entry = _need_entry(values)
    found = await arun(entry.use_approval(cast(Act, wanted)))
    if isinstance(found, Reply):
        raise refused(remedy_text(found))
    return found


def agent_of(ctx: object = None) -> Agent:
    """Returns the agent of this call; `ctx` is the context that both packages pass to tools.

    Raises `SettingsError` outside of a server that `protect` guards, and `TokenRefused` if
    AUTH_AGENT_REPORT_ONLY has let a call without an agent pass.
    """
    entry = _entry_in(() if ctx is None else (ctx,))
    if entry is None:
        raise SettingsError(["protect() is missing: app = protect(server), and serve this app"])
    agent = entry.look()
    if agent is None:
        raise TokenRefused("This call has no agent; AUTH_AGENT_REPORT_ONLY let it pass.")
    return agent


def requirements_of(function: object) -> tuple[Requirement, ...]:
    """Returns the requirements of `requires_agent` at a function, through functools wrappers."""
    found: tuple[Requirement, ...] = getattr(function, _MARK, ())
    return found


class entered:  # noqa: N801  (a class is quicker than a generator, at every call)
    """Makes this the call's own entry, for code that runs inside."""

    __slots__ = ("_entry", "_token")

    def __init__(self, entry: Entry | None) -> None:
        self._entry = entry

    def __enter__(self) -> None:
        self._token = _current.set(self._entry)

    def __exit__(self, *_error: object) -> None:
        _current.reset(self._token)


def entry_in_scope(scope: Any) -> Entry | None:
    """Returns the middleware's entry in a request's scope, or the verified token of its user."""
    if scope is None:
        return None
    entry = scope.get("auth_agent.entry") or _entry_of_user(scope.get("user"))
    return entry if isinstance(entry, Entry) else None


def _entry_of_user(user: Any) -> Any:
    return getattr(getattr(user, "access_token", None), "entry", None)


def refused(text: str) -> Exception:
    """Returns a refusal that every MCP package in use treats as an intended error."""
    return cast(Exception, _refusal_class()(text))


def _guard(function: Function, wanted: Requirement) -> Function:
    check_view(function)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            _check(wanted, (*args, *kwargs.values()))
            return await function(*args, **kwargs)

        guarded: Any = guarded_async
    else:

        @functools.wraps(function)
        def guarded_sync(*args: Any, **kwargs: Any) -> Any:
            _check(wanted, (*args, *kwargs.values()))
            return function(*args, **kwargs)

        guarded = guarded_sync
    setattr(guarded, _MARK, (*requirements_of(function), wanted))
    return cast(Function, guarded)


def _need_entry(values: Iterable[object]) -> Entry:
    entry = _entry_in(values)
    if entry is None:
        raise refused(
            "This needs an agent, but the call did not come through protect(): serve the app "
            "that protect(server) returns."
        )
    return entry


def _check(wanted: Requirement, values: Iterable[object]) -> None:
    reply = _need_entry(values).require(wanted)
    if reply is not None:
        raise refused(refusal_text(reply))


def _entry_in(values: Iterable[object]) -> Entry | None:
    """Returns the entry of the request in the call's context, else of the running request."""
    for value in values:
        if type(value).__module__.startswith(_PACKAGES):
            request = _request_of(value)
            if request is not None:
                return entry_in_scope(request.scope)
    return _current.get() or _entry_of_package()


def _entry_of_package() -> Entry | None:
    """Returns the entry for a function without a context, under its package's own guard."""
    if "fastmcp" in sys.modules:
        from fastmcp.server.dependencies import get_http_request  # noqa: PLC0415

        with contextlib.suppress(RuntimeError):  # no request is under way, or it is a server of mcp
            return entry_in_scope(get_http_request().scope)
    if "mcp.server" not in sys.modules:
        return None
    from mcp.server.auth.middleware.auth_context import auth_context_var  # noqa: PLC0415

    entry = _entry_of_user(auth_context_var.get())
    return entry if isinstance(entry, Entry) else None


def _request_of(context: Any) -> Any:
    """Returns the HTTP request behind a context of either package's tool, or of a middleware."""
    try:
        inner = getattr(context, "request_context", context)
    except ValueError:  # outside of a request
        return None
    request = getattr(inner, "request", None)
    return request if hasattr(request, "scope") else None


@functools.lru_cache(maxsize=1)
def _refusal_class() -> type:
    from mcp.server.mcpserver import exceptions as plain  # noqa: PLC0415

    bases: tuple[type, ...] = (plain.ToolError, plain.ResourceError)
    try:
        from fastmcp import exceptions as fast  # noqa: PLC0415
    except ImportError:
        pass
    else:
        bases += (fast.ToolError, fast.ResourceError, fast.PromptError)
    return type(
        "AgentRefused", bases, {"__doc__": ("Raised for an agent that is not allowed to do this.")}
    )
