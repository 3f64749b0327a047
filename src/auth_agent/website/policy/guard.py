"""Checks of guards that run before the first request.

A framework registers the function that its decorator is given. A guard that is put around it later
(`@requires_agent` above `@app.get`) guards nothing, so each view remembers its guard, and an
adapter looks for the guards of what is registered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from auth_agent.errors import SettingsError
from auth_agent.website.agent import Agent

View = Callable[..., Any]
_MARK = "_auth_agent_guarded"


class _Mark(NamedTuple):
    """Names its view too: `functools.wraps` copies it to wherever the view is wrapped."""

    view: View
    guarded: View


def check_view(view: object) -> None:
    """Raises `TypeError` if a decorator cannot guard this."""
    if isinstance(view, type):
        raise TypeError(
            f"{view.__name__} is a class: guard its methods, or the view that is made from it "
            "(as_view)."
        )
    if not callable(view):
        raise TypeError(
            f"{view!r} is not a view: name what is required, as in requires_agent(scopes=[…])."
        )


def remember(view: View, guarded: View) -> None:
    """Marks a view for `check_order`; no decorator registers a bound method, which takes none."""
    with contextlib.suppress(AttributeError):
        view.__dict__[_MARK] = _Mark(view, guarded)


def check_order(registered: Iterable[View]) -> None:
    """Raises `SettingsError` if a view is registered and its guard is not."""
    views = list(registered)
    reached = {id(inner) for view in views for inner in _unwrap(view)}
    problems = []
    for view in views:
        mark = getattr(view, "__dict__", {}).get(_MARK)
        if mark is not None and mark.view is view and id(mark.guarded) not in reached:
            problems.append(
                f"the view {view.__qualname__} is open: its guard stands above the line that "
                "registers it. Put the route's decorator on top, the guard below it (a view that "
                "is meant to be open needs a function of its own)."
            )
    if problems:
        raise SettingsError(problems)


def check_sources(endpoints: Iterable[tuple[str, Iterable[object]]]) -> None:
    """Raises `SettingsError` if FastAPI would build an `Agent` from the query.

    `endpoints` are paths with what is called for their parameters. FastAPI fills a class that is a
    dependency from the query, so `Depends(Agent)` believes every visitor.
    """
    problems = [
        f"{path} takes its agent from the query: write `agent: CurrentAgent` (or `OptionalAgent`), "
        "without Depends."
        for path, calls in endpoints
        if any(_makes_agents(call) for call in calls)
    ]
    if problems:
        raise SettingsError(problems)


def _makes_agents(call: object) -> bool:
    """Returns True for the type, alone or in `Annotated`; False for a function."""
    kind = get_args(call)[0] if get_origin(call) is Annotated else call
    return kind is Agent or Agent in get_args(kind)


def _unwrap(view: View | None) -> Iterator[View]:
    """Yields the view, and all that it is wrapped around."""
    while view is not None:
        yield view
        view = getattr(view, "__wrapped__", None)
