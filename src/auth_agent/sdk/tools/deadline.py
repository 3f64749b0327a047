"""The time of one call of a tool: bounded, and longer once the agent's owner has been asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from auth_agent.errors import AuthError
from auth_agent.sdk.flow.effects import Step

OWNER_SECONDS = 600.0


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[anyio.CancelScope]:
    """Bounds a whole call; raises `timeout`."""
    try:
        with anyio.fail_after(seconds) as scope:
            yield scope
    except TimeoutError:
        raise AuthError(
            f"The website took more than {seconds:.0f} seconds; try again later.",
            code="timeout",
            status_code=504,
        ) from None


def waits(scope: anyio.CancelScope) -> Callable[[Step], None]:
    """Returns a listener that gives a call more time once the owner has been asked."""

    def listen(step: Step) -> None:
        if step.action == "owner_asked":
            scope.deadline += OWNER_SECONDS

    return listen
