"""One run of a flow for everybody who asks for it meanwhile."""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from auth_agent.errors import AuthError, ServerUnavailable

if TYPE_CHECKING:
    from anyio.lowlevel import RunVar


class Flight:
    """One run of a flow that several wait for."""

    def __init__(self, landed: Any) -> None:
        self.landed = landed
        self.result: Any = None
        # Stays for those who wait if whoever runs the flow is cancelled or killed.
        self.error: AuthError | None = ServerUnavailable(
            "The exchange with the Auth Agent server was interrupted; try again."
        )

    def outcome(self) -> Any:
        if self.error is not None:
            raise copy.copy(self.error)  # each waiter needs a traceback of its own
        return self.result


class Flights:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._aloft: dict[Hashable, Flight] = {}

    def board(self, key: Hashable, make_event: Callable[[], Any]) -> tuple[Flight, bool]:
        """The flight of this key, and whether the caller is the one who has to run it."""
        with self._lock:
            flight = self._aloft.get(key)
            if flight is not None:
                return flight, False
            flight = self._aloft[key] = Flight(make_event())
            return flight, True

    def land(self, key: Hashable, flight: Flight) -> None:
        with self._lock:
            del self._aloft[key]
        flight.landed.set()


class Landing:
    """Whatever happens to the one who runs the flow, those who wait hear of it."""

    def __init__(self, flights: Flights, key: Hashable, flight: Flight) -> None:
        self._flights, self._key, self._flight = flights, key, flight

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, AuthError):
            self._flight.error = error
        self._flights.land(self._key, self._flight)


threads = Flights()


def loop_flights() -> Flights:
    flights = _loop_variable().get(None)
    if flights is None:
        flights = Flights()
        _loop_variable().set(flights)
    return flights


@functools.cache
def _loop_variable() -> RunVar[Flights | None]:
    from anyio.lowlevel import RunVar  # noqa: PLC0415

    return RunVar("auth_agent_flights")
