"""What the SDK's flows ask for, as values, and the steps that a sign-in tells.

The flows of the SDK are generators that decide and do no I/O: they yield these effects, and
`auth_agent.sdk.flow.drive` performs them for threads and for tasks. A failed effect is thrown into
the flow as an `AuthError`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal, TypeVar

import msgspec

from auth_agent.flow.exchange import HttpRequest, HttpResponse

T = TypeVar("T")

Action = Literal[
    "visited", "redirected", "login_offered", "issuer_checked", "waiting_page_found",
    "request_checked", "second_factor_asked", "agent_proved", "code_received", "returned",
    "signed_in",
]  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """One thing that happened; `url` has no query, and no field ever holds a secret."""

    action: Action
    text: str
    url: str
    status: int | None = None


class Fetch(msgspec.Struct, frozen=True):
    """Send a request, and never follow where it is redirected to; `seconds` bounds all of it."""

    request: HttpRequest
    seconds: float


class Wait(msgspec.Struct, frozen=True):
    """Let time pass."""

    seconds: float


class Now(msgspec.Struct, frozen=True):
    """Seconds on a clock that only goes forward."""


class Today(msgspec.Struct, frozen=True):
    """Seconds since 1970."""


class Draw(msgspec.Struct, frozen=True):
    """So many random bytes, as base64url text."""

    size: int


class Tell(msgspec.Struct, frozen=True):
    """Say what has happened."""

    step: Step


class Call(msgspec.Struct, frozen=True):
    """Call a function of the caller's, which may be async under tasks; the result is its own."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Call({self.function!r})"


class AwaitUrl(msgspec.Struct, frozen=True):
    """Wait until the browser's page has loaded a URL that is accepted; whether it came."""

    accept: Callable[[str], bool]
    seconds: float


class ReadPage(msgspec.Struct, frozen=True):
    """What the browser's page shows: a `Shown`, or None while it is between two pages."""


class Shown(msgspec.Struct, frozen=True):
    """A page in a browser; `status` is None where the browser does not tell."""

    url: str
    html: str
    status: int | None = None


Effect = Fetch | Wait | Now | Today | Draw | Tell | Call | AwaitUrl | ReadPage
Flow = Generator[Effect, Any, T]


def fetch(request: HttpRequest, seconds: float) -> Flow[HttpResponse]:
    response: HttpResponse = yield Fetch(request, seconds)
    return response


def wait(seconds: float) -> Flow[None]:
    yield Wait(seconds)


def now() -> Flow[float]:
    seconds: float = yield Now()
    return seconds


def today() -> Flow[float]:
    seconds: float = yield Today()
    return seconds


def draw(size: int = 32) -> Flow[str]:
    text: str = yield Draw(size)
    return text


def tell(action: Action, text: str, url: str, status: int | None = None) -> Flow[None]:
    yield Tell(Step(action, text, url.partition("?")[0], status))


def call(function: Callable[..., Any], *arguments: Any) -> Flow[Any]:
    result: Any = yield Call(function, arguments)
    return result


def await_url(accept: Callable[[str], bool], seconds: float) -> Flow[bool]:
    came: bool = yield AwaitUrl(accept, seconds)
    return came


def read_page() -> Flow[Shown | None]:
    shown: Shown | None = yield ReadPage()
    return shown
