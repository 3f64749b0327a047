"""Guards of views, and the paths of the buttons."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from auth_agent.flow.drive import arun, run
from auth_agent.protocol.details import Act
from auth_agent.website.policy.approval import Approval, check_source
from auth_agent.website.policy.guard import check_view
from auth_agent.website.policy.requirement import Requirement, RequirementFields
from auth_agent.website.web.outcome import Reply
from auth_agent_django.entry import ReplyResponse, entry_of, look

if TYPE_CHECKING:
    from django.views import View as _View
    from typing_extensions import Unpack
else:
    _View = object

ViewFunction = TypeVar("ViewFunction", bound=Callable[..., Any])
Judge = Callable[[Any], Reply | None]
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


@overload
def requires_agent(
    view: ViewFunction, **requirement: Unpack[RequirementFields]
) -> ViewFunction: ...
@overload
def requires_agent(
    view: None = None, **requirement: Unpack[RequirementFields]
) -> Callable[[ViewFunction], ViewFunction]: ...
def requires_agent(
    view: ViewFunction | None = None, **requirement: Unpack[RequirementFields]
) -> ViewFunction | Callable[[ViewFunction], ViewFunction]:
    """Lets only a signed-in agent in; takes what `Requirement` takes, e.g. `scopes=["a"]`.

    For sync and async views, and with `method_decorator` for those that are classes.
    """
    judge = _judge(Requirement.of(**requirement))
    return _guard(view, judge) if view is not None else functools.partial(_guard, judge=judge)


def requires_approval(
    act: Act | Callable[[Any], Any], /, **requirement: Unpack[RequirementFields]
) -> Callable[[ViewFunction], ViewFunction]:
    """Lets an agent do one act that its owner has approved: `request.approval`.

    `act` is what the owner sees, an object of RFC 9396 with `type` and `title`, or a function of
    the request that gives one (for an async view also an async one). Takes what `Requirement`
    takes, too.
    """
    check_source(act)
    judge = _judge(Requirement.of(**requirement))

    def guard(view: ViewFunction) -> ViewFunction:
        return _guard_act(view, act, judge, is_async=iscoroutinefunction(view))

    return guard


def no_agents(view: ViewFunction) -> ViewFunction:
    """Refuses signed-in agents, for a view that is meant for people."""
    return _guard(view, lambda request: look(request).require_no_agent())


class RequiresAgentMixin(_View):
    """Lets only a signed-in agent into a class-based view; stands before `View` in its bases."""

    requirement: ClassVar[Requirement] = Requirement()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Raises `TypeError` for a class that would be open, or with a wrong `requirement`."""
        super().__init_subclass__(**kwargs)
        if not isinstance(cls.requirement, Requirement):
            raise TypeError(f"{cls.__name__}.requirement must be a Requirement(scopes=[…])")
        before = cls.__mro__[: cls.__mro__.index(RequiresAgentMixin)]
        for base in before:
            if not issubclass(base, RequiresAgentMixin) and hasattr(base, "as_view"):
                raise TypeError(
                    f"{cls.__name__} is open: put RequiresAgentMixin before {base.__name__} in "
                    "its bases."
                )

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        dispatch = _guard(super().dispatch, _judge(self.requirement))
        response: HttpResponseBase = dispatch(request, *args, **kwargs)
        return response


class RequiresApprovalMixin(RequiresAgentMixin):
    """Asks for the owner's approval of the act of each POST, PUT, PATCH and DELETE."""

    def get_act(self, request: HttpRequest) -> Any:
        """Returns the act, an object of RFC 9396 with `type` and `title`."""
        raise NotImplementedError(f"{type(self).__name__}.get_act(request) has to return the act")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in _SAFE_METHODS:
            return super().dispatch(request, *args, **kwargs)
        inner, judge = super(RequiresAgentMixin, self).dispatch, _judge(self.requirement)
        dispatch = _guard_act(inner, self.get_act, judge, is_async=self.view_is_async)
        response: HttpResponseBase = dispatch(request, *args, **kwargs)
        return response


def login_path(request: Any, next_path: str = "/") -> str:
    """Returns the path of the sign-in, which afterwards returns the agent to `next_path`."""
    return entry_of(request).relying_party.login_path(next_path)


def logout_path(request: Any) -> str:
    """Returns the path that the "Sign out" button posts to."""
    return entry_of(request).relying_party.logout_path()


def _judge(requirement: Requirement) -> Judge:
    return lambda request: look(request).require(requirement)


def _guard(view: ViewFunction, judge: Judge) -> ViewFunction:
    """Guards every kind of view: a refusal can be returned as well as awaited."""
    check_view(view)

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        reply = judge(request)
        if reply is not None:
            return ReplyResponse(reply, request.method)
        return view(request, *args, **kwargs)

    if iscoroutinefunction(view):
        markcoroutinefunction(guarded)
    return cast(ViewFunction, guarded)


def _guard_act(view: ViewFunction, act: Any, judge: Judge, *, is_async: bool) -> ViewFunction:
    """Guards a view with the owner's approval of an act."""
    check_view(view)

    def keep(request: Any, found: Approval | Reply) -> HttpResponseBase | None:
        if isinstance(found, Reply):
            return ReplyResponse(found, request.method)
        getattr(request, "_request", request).approval = found
        return None

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        reply = judge(request)
        if reply is not None:
            return ReplyResponse(reply, request.method)
        wanted = act(request) if callable(act) else act
        response = keep(request, run(look(request).use_approval(wanted)))
        return view(request, *args, **kwargs) if response is None else response

    @functools.wraps(view)
    async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        reply = judge(request)
        if reply is not None:
            return ReplyResponse(reply, request.method)
        wanted = act(request) if callable(act) else act
        if inspect.isawaitable(wanted):
            wanted = await wanted
        response = keep(request, await arun(look(request).use_approval(wanted)))
        answer = view(request, *args, **kwargs) if response is None else response
        return await answer if inspect.isawaitable(answer) else answer

    return cast(ViewFunction, guarded_async if is_async else guarded)
