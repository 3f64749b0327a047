"""The agent in views and templates, the decorator for views, and the paths behind the buttons."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Response, current_app, request
from werkzeug.local import LocalProxy

from auth_agent.agent import Agent
from auth_agent.errors import SettingsError
from auth_agent.gate import RelyingParty
from auth_agent.policy import Requirement
from auth_agent.wsgi import WsgiVisit
from auth_agent_flask.middleware import Entry

View = TypeVar("View", bound=Callable[..., Any])


def _read_agent() -> Agent | None:
    entry = _entry()
    entry.read = True
    return entry.agent


# Flask's own proxies are typed as what they stand for; a missing agent is false, not None.
current_agent = cast(Agent, LocalProxy(_read_agent))


def requires_agent(view: View | None = None, **requirement: Any) -> Any:
    """Lets only a signed-in agent in; takes what `Requirement` takes, e.g. `scopes=["a"]`.

    For sync and async views, and for class-based ones in `View.decorators`.
    """
    wanted = Requirement(**requirement)
    if view is None:
        return functools.partial(_guard, requirement=wanted)
    return _guard(view, requirement=wanted)


def login_path(next_path: str = "/") -> str:
    """Where the button "Sign in with Auth Agent" leads, and where the agent returns to."""
    return _relying_party().login_path(next_path)


def logout_path() -> str:
    """Where the button "Sign out" posts to."""
    return _relying_party().logout_path()


def _guard(view: View, *, requirement: Requirement) -> Any:
    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        refusal = _refuse(requirement)
        if refusal is not None:
            return refusal
        return current_app.ensure_sync(view)(*args, **kwargs)

    return guarded


def _refuse(requirement: Requirement) -> Response | None:
    entry = _entry()
    entry.read = True
    reply = entry.relying_party.require(entry.visit, entry.agent, requirement)
    if reply is None:
        return None
    return Response(reply.body, reply.status, reply.header_list())


def _entry() -> Entry:
    """A request context that no request made, as tests push one, has an entry without an agent."""
    entry: Entry | None = request.environ.get("auth_agent.entry")
    if entry is None:
        entry = Entry(_relying_party(), WsgiVisit(request.environ), None)
    return entry


def _relying_party() -> RelyingParty:
    relying_party = current_app.extensions.get("auth_agent")
    if not isinstance(relying_party, RelyingParty):
        raise SettingsError(["AuthAgent is missing: call AuthAgent(app), or init_app in a factory"])
    return relying_party
