"""The effects of flows, as values.

A *flow* is a generator that decides; it yields effects and receives their results, so that the
same decision runs under threads, tasks and tests. A failed effect is thrown into the flow as an
`AuthError`. Nothing here performs I/O: `auth_agent.flow.drive` does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from typing import Any, Generic, TypeVar

import msgspec

from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.secret import Discreet

T = TypeVar("T")
Command = tuple[str | bytes | int, ...]


class Send(msgspec.Struct, frozen=True):
    """Send a request; the result is its `HttpResponse`, within the bounds of `transport`."""

    request: HttpRequest


class Fetch(msgspec.Struct, frozen=True):
    """Fetch a URL that a stranger chose; the result is an `HttpResponse`.

    Raises `fetching.refusals.FetchRefused` for an address that is not public, a time-out and the
    like. Loopback addresses are for a website that is on loopback itself. `renews` is for a
    document that was fetched before and expires: other fetches leave places for it. `trusted` is
    for a host that the operator has chosen: no stranger's fetch takes its places.
    """

    url: str
    accept: str
    loopback_allowed: bool = False
    renews: bool = False
    trusted: bool = False


class Join(msgspec.Struct, frozen=True):
    """Run a flow once for all concurrent callers with this `key`; each gets its result."""

    key: Hashable
    start: Callable[[], Flow[Any]]


class Limited(msgspec.Struct, frozen=True):
    """Run a flow if one of the few places of `share` is free, or becomes so within half a second.

    Raises `ServerUnavailable` if none does. Visitors who cause outgoing requests share these
    places, so that they never hold all threads of a website.
    """

    share: str
    start: Callable[[], Flow[Any]]


class Spawn(msgspec.Struct, frozen=True):
    """Run a flow in the background unless one of this key is running; its result is dropped."""

    key: Hashable
    start: Callable[[], Flow[Any]]


class ReadBody(msgspec.Struct, frozen=True):
    """Read the visit's body; the result is bytes, or None if there are more than `limit`."""

    limit: int


class Invoke(msgspec.Struct, frozen=True):
    """Call a function of the website, which may be async; the result is its return value."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Sleep(msgspec.Struct, frozen=True):
    """Wait for another process's work; `seconds` is short."""

    seconds: float


class Ask(Discreet, frozen=True):
    """Send commands to Redis; the result is a list with one answer each. All are done or none."""

    url: str
    commands: tuple[Command, ...]

    def __repr__(self) -> str:
        return f"Ask({', '.join(str(command[0]) for command in self.commands)})"


Effect = Send | Fetch | Join | Limited | Spawn | ReadBody | Invoke | Sleep | Ask


Flow = Generator[Effect, Any, T]


def send(request: HttpRequest) -> Flow[HttpResponse]:
    response: HttpResponse = yield Send(request)
    return response


def fetch(
    url: str,
    accept: str,
    *,
    loopback_allowed: bool = False,
    renews: bool = False,
    trusted: bool = False,
) -> Flow[HttpResponse]:
    response: HttpResponse = yield Fetch(url, accept, loopback_allowed, renews, trusted)
    return response


def join(key: Hashable, start: Callable[[], Flow[T]]) -> Flow[T]:
    result: T = yield Join(key, start)
    return result


def limited(share: str, start: Callable[[], Flow[T]]) -> Flow[T]:
    """Runs a flow in one of the places of `share`."""
    result: T = yield Limited(share, start)
    return result


def spawn(key: Hashable, start: Callable[[], Flow[Any]]) -> Flow[None]:
    yield Spawn(key, start)


def read_body(limit: int) -> Flow[bytes | None]:
    body: bytes | None = yield ReadBody(limit)
    return body


def invoke(function: Callable[..., Any], *arguments: Any) -> Flow[Any]:
    result: Any = yield Invoke(function, arguments)
    return result


def sleep(seconds: float) -> Flow[None]:
    yield Sleep(seconds)


def ask(url: str, *commands: Command) -> Flow[list[Any]]:
    answers: list[Any] = yield Ask(url, commands)
    return answers


class Running(Generic[T]):
    """A running flow: the half of a driver that threads and tasks share.

    After each effect its driver sets `result` or `error`; after the last one `value` is set.
    """

    value: T

    def __init__(self, flow: Generator[Any, Any, T]) -> None:
        self._flow = flow
        self.result: Any = None
        self.error: Exception | None = None

    def advance(self) -> Any:
        """Returns the next effect, or None after the flow's end; raises the flow's errors."""
        result, error = self.result, self.error
        self.result = self.error = None
        try:
            return self._flow.send(result) if error is None else self._flow.throw(error)
        except StopIteration as stop:
            self.value = stop.value
            return None
