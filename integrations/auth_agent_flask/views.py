"""The agent in views and templates, the decorators of views, and the paths of the buttons."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from flask import Flask, Response, current_app, request
from werkzeug.local import LocalProxy

from auth_agent.errors import SettingsError
from auth_agent.flow.drive import run
from auth_agent.protocol.details import Act
from auth_agent.website.agent import Agent
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.policy.approval import check_source
from auth_agent.website.policy.guard import check_view, remember
from auth_agent.website.policy.requirement import Requirement, RequirementFields
from auth_agent.website.web.button import ButtonFields, Html
from auth_agent.website.web.button import login_button as button
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.wsgi import WsgiVisit

if TYPE_CHECKING:
    from typing_extensions import Unpack

View = TypeVar("View", bound=Callable[..., Any])
Judge = Callable[[Entry], Reply | None]


def _read_agent() -> Agent | None:
    return _read_entry().agent


# Typed as the agent, like Flask's own proxies; a missing agent is false, not None.
current_agent = cast(Agent, LocalProxy(_read_agent))


def _read_approval() -> Mapping[str, Any]:
    found: Mapping[str, Any] = request.environ["auth_agent.approval"]
    return found


current_approval = cast(Mapping[str, Any], LocalProxy(_read_approval))
"""What the agent's owner has approved, in a view that `requires_approval` guards."""


@overload
def requires_agent(view: View, **requirement: Unpack[RequirementFields]) -> View: ...
@overload
def requires_agent(
    view: None = None, **requirement: Unpack[RequirementFields]
) -> Callable[[View], View]: ...
def requires_agent(
    view: View | None = None, **requirement: Unpack[RequirementFields]
) -> View | Callable[[View], View]:
    """Lets only a signed-in agent in; takes what `Requirement` takes, e.g. `scopes=["a"]`.

    For sync and async views, below `@app.route`; for class-based ones in `View.decorators`; for a
    whole blueprint as `blueprint.before_request(requires_agent(lambda: None))`.
    """
    judge = functools.partial(Entry.require, requirement=Requirement.of(**requirement))
    return _guard(view, judge) if view is not None else functools.partial(_guard, judge=judge)


def requires_approval(
    act: Act | Callable[[Any], Any], /, **requirement: Unpack[RequirementFields]
) -> Callable[[View], View]:
    """Lets an agent do one act that its owner has approved: `current_approval`.

    `act` is what the owner sees, an object of RFC 9396 with `type` and `title`, or a function of
    the request that gives one. Takes what `Requirement` takes, too.
    """
    check_source(act)
    require = functools.partial(Entry.require, requirement=Requirement.of(**requirement))
    return functools.partial(_guard, judge=functools.partial(_approve, act, require))


def no_agents(view: View) -> View:
    """Refuses signed-in agents, for a view that is meant for people."""
    return _guard(view, Entry.require_no_agent)


def login_path(next_path: str = "/") -> str:
    """Returns the path of the sign-in, which afterwards returns the agent to `next_path`."""
    return _relying_party().login_path(next_path)


def login_button(next_path: str = "/", **shown: Unpack[ButtonFields]) -> Html:
    """Returns the button "Sign in with Auth Agent"; `shown` is look, large, icon_only, text."""
    return button(login_path(next_path), **shown)


def logout_path() -> str:
    """Returns the path that the "Sign out" button posts to."""
    return _relying_party().logout_path()


def _guard(view: View, judge: Judge) -> View:
    check_view(view)

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        reply = judge(_read_entry())
        if reply is not None:
            return Response(reply.body, reply.status, reply.header_list())
        return current_app.ensure_sync(view)(*args, **kwargs)

    remember(view, guarded)
    return cast(View, guarded)


def _approve(act: Any, require: Judge, entry: Entry) -> Reply | None:
    reply = require(entry)
    if reply is not None:
        return reply
    found = run(entry.use_approval(act(request) if callable(act) else act))
    if isinstance(found, Reply):
        return found
    request.environ["auth_agent.approval"] = found
    return None


def _read_entry() -> Entry:
    """Returns the entry and marks the response as private.

    A request context without a request, as tests push one, has no agent.
    """
    entry: Entry | None = request.environ.get("auth_agent.entry")
    if entry is None:
        entry = Entry(_relying_party(), WsgiVisit(request.environ), Pass(None))
    entry.read = True
    return entry


def _relying_party() -> RelyingParty:
    return relying_party_of(current_app)


def relying_party_of(app: Flask) -> RelyingParty:
    """Returns the application's relying party. Raises `SettingsError` if it has none."""
    relying_party = app.extensions.get("auth_agent")
    if not isinstance(relying_party, RelyingParty):
        raise SettingsError(["AuthAgent is missing: call AuthAgent(app), or init_app in a factory"])
    return relying_party
