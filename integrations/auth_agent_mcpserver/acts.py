"""Acts of tools: the arguments of a call, and the approval that the tool can read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from anyio import to_thread

from auth_agent.errors import SettingsError

Function = TypeVar("Function", bound=Callable[..., Any])
Use = Callable[[Iterable[object], object], Awaitable[Mapping[str, Any]]]

_PACKAGES = ("mcp.", "fastmcp.")
_current: ContextVar[Mapping[str, Any] | None] = ContextVar("auth_agent_approval", default=None)


def approval_of() -> Mapping[str, Any]:
    """Returns what the owner has approved, in a tool that `requires_approval` guards.

    Raises `SettingsError` elsewhere.
    """
    found = _current.get()
    if found is None:
        raise SettingsError(["approval_of() belongs in a tool that @requires_approval(...) guards"])
    return found


def with_approval(function: Function, act: Any, use: Use) -> Function:
    """Returns an async tool that uses the approval of its act before it runs."""
    signature, is_async = inspect.signature(function), inspect.iscoroutinefunction(function)

    @functools.wraps(function)
    async def approved(*args: Any, **kwargs: Any) -> Any:
        wanted = act(**_arguments(signature, args, kwargs)) if callable(act) else act
        if inspect.isawaitable(wanted):
            wanted = await wanted
        found = await use((*args, *kwargs.values()), wanted)
        token = _current.set(found)
        try:
            if is_async:
                return await function(*args, **kwargs)
            return await to_thread.run_sync(functools.partial(function, *args, **kwargs))
        finally:
            _current.reset(token)

    return cast(Function, approved)


def _arguments(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Returns the arguments of a call by name, without the packages' own context."""
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return {
        name: value
        for name, value in bound.arguments.items()
        if not type(value).__module__.startswith(_PACKAGES)
    }
