"""Guards of views, and the paths of the buttons."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

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


def requires_agent(
    view: ViewFunction | None = None, **requirement: Unpack[RequirementFields]
) -> Any:
    """Lets only a signed-in agent in; takes what `Requirement` takes, e.g. `scopes=["a"]`.

    For sync and async views, and with `method_decorator` for those that are classes.
    """
    judge = _judge(Requirement.of(**requirement))
    return _guard(view, judge) if view is not None else functools.partial(_guard, judge=judge)


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
