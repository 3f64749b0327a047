"""Single flight: one run of a flow for all concurrent callers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.kept import Guard, PerLoop, renew_after_fork


class Flight:
    """One run of a flow with several callers."""

    def __init__(self, landed: Any) -> None:
        self.landed = landed
        self.result: Any = None
        # Stays for the waiting callers if the leader is cancelled or killed.
        self.error: AuthError | None = ServerUnavailable(
            "The exchange with the Auth Agent server was interrupted; try again."
        )

    def outcome(self) -> Any:
        """Returns the result, or raises a copy of the error: each caller needs a traceback."""
        if self.error is not None:
            raise copy.copy(self.error)
        return self.result


class Flights:
    """The current runs, by key. A forked child starts without any: their leaders stay behind."""

    def __init__(self) -> None:
        self._guard = Guard()
        self.reset()
        renew_after_fork(self)

    def reset(self) -> None:
        """Forgets all runs; called in a forked child."""
        self._under_way: dict[Hashable, Flight] = {}

    def board(self, key: Hashable, make_event: Callable[[], Any]) -> tuple[Flight, bool]:
        """Returns the run of this key, and True if the caller is its leader, who has to do it."""
        with self._guard:
            flight = self._under_way.get(key)
            if flight is not None:
                return flight, False
            flight = self._under_way[key] = Flight(make_event())
            return flight, True

    def give_up(self, key: Hashable, flight: Flight) -> None:
        """Forgets a run that took too long, so that the next caller leads a new one."""
        with self._guard:
            if self._under_way.get(key) is flight:
                del self._under_way[key]

    @contextmanager
    def landing(self, key: Hashable, flight: Flight) -> Iterator[None]:
        """Ends the run for all callers, even if the leader fails."""
        try:
            yield
        except AuthError as error:
            flight.error = error
            raise
        else:
            flight.error = None
        finally:
            self.give_up(key, flight)
            flight.landed.set()


threads = Flights()
_loops: PerLoop[Flights] = PerLoop("auth_agent_flights")


def loop_flights() -> Flights:
    """Returns the runs of the running event loop."""
    return _loops.get("flights", Flights)


async def to_its_end(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Completes a flow even if its caller is cancelled, for example by a visitor who hangs up.

    Other callers still wait for it, and a refresh token that was sent works only once.
    """
    import anyio  # noqa: PLC0415

    try:
        import asyncio  # noqa: PLC0415

        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio, where only a scope cancels
        with anyio.CancelScope(shield=True):
            await work()
    else:
        task = loop.create_task(work())
        _under_way.add(task)  # the loop itself would let it be collected
        task.add_done_callback(_under_way.discard)
        await asyncio.shield(task)


_under_way: set[Any] = set()
