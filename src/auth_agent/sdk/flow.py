"""What a sign-in asks for, as values, and the steps that it tells.

The flows of the SDK are generators that decide and do no I/O: they yield these effects, and
`auth_agent.sdk.drive` performs them for threads and for tasks. A failed `Fetch` is thrown into the
flow as `ServerUnavailable`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal, TypeVar

import msgspec

from auth_agent.wire import HttpRequest, HttpResponse

T = TypeVar("T")

Action = Literal[
    "visited", "redirected", "login_offered", "issuer_checked", "waiting_page_found",
    "request_checked", "agent_proved", "code_received", "returned", "signed_in",
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


class Tell(msgspec.Struct, frozen=True):
    """Say what has happened."""

    step: Step


Effect = Fetch | Wait | Now | Tell
Flow = Generator[Effect, Any, T]


def fetch(request: HttpRequest, seconds: float) -> Flow[HttpResponse]:
    response: HttpResponse = yield Fetch(request, seconds)
    return response


def wait(seconds: float) -> Flow[None]:
    yield Wait(seconds)


def now() -> Flow[float]:
    seconds: float = yield Now()
    return seconds


def tell(action: Action, text: str, url: str, status: int | None = None) -> Flow[None]:
    yield Tell(Step(action, text, url.partition("?")[0], status))
