"""The effects of the SDK's flows, as values, and the steps that a sign-in reports.

The flows of the SDK are generators that decide and do no I/O: they yield these effects, and
`auth_agent.sdk.flow.drive` performs them for threads and for tasks. A failed effect is thrown into
the flow as an `AuthError`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal, TypeVar

import msgspec

from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.text import one_line

T = TypeVar("T")

LONGEST_STEP = 600

Action = Literal[
    "visited", "redirected", "login_offered", "issuer_checked", "waiting_page_found",
    "request_checked", "second_factor_asked", "agent_proved", "code_received", "returned",
    "signed_in", "owner_asked",
]  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """One event of a sign-in; `url` has no query, and no field ever holds a secret."""

    action: Action
    text: str
    url: str
    status: int | None = None


class OpenClient(msgspec.Struct, frozen=True):
    """Open the HTTP client of the following fetches; the result is the client.

    Its base URL is the origin of `url`. The driver closes it if the flow fails.
    """

    url: str
    timeout: float


class CloseClient(msgspec.Struct, frozen=True):
    """Close the client that the flow has opened."""


class Fetch(msgspec.Struct, frozen=True):
    """Send a request without following redirects; `seconds` bounds the whole exchange.

    It is signed if the agent has a signing key and `signed` is True.
    """

    request: HttpRequest
    seconds: float
    signed: bool = True


class ResolveHost(msgspec.Struct, frozen=True):
    """Look up the addresses of a host; none if it has none, or only a proxy knows it."""

    host: str


class Wait(msgspec.Struct, frozen=True):
    """Let time pass."""

    seconds: float


class Now(msgspec.Struct, frozen=True):
    """Seconds on a monotonic clock."""


class Today(msgspec.Struct, frozen=True):
    """Seconds since 1970."""


class Draw(msgspec.Struct, frozen=True):
    """`size` random bytes, as base64url text."""

    size: int


class Chance(msgspec.Struct, frozen=True):
    """A random number from 0 to 1; for jitter, not for secrets."""


class Report(msgspec.Struct, frozen=True):
    """Report a step to the caller's listener."""

    step: Step


class Invoke(msgspec.Struct, frozen=True):
    """Invoke a function of the caller, which may be async under tasks; the result is its own."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"Invoke({self.function!r})"


class AwaitUrl(msgspec.Struct, frozen=True):
    """Wait until the browser's page has loaded a URL that `accept` takes; the result is a bool."""

    accept: Callable[[str], bool]
    seconds: float


class GoTo(msgspec.Struct, frozen=True):
    """Send the browser's page to a URL; the result is False if it did not load in time."""

    url: str
    seconds: float


class ConnectBrowser(msgspec.Struct, frozen=True):
    """Connect to a browser over CDP; the driver disconnects when the flow ends."""

    url: str
    seconds: float


class ChoosePage(msgspec.Struct, frozen=True):
    """Choose the newest tab whose URL `accept` takes; the result is a bool.

    With `or_blank` an empty tab is chosen if there is none.
    """

    accept: Callable[[str], bool]
    or_blank: bool = False


class ReadPage(msgspec.Struct, frozen=True):
    """Read the browser's page: a `Shown`, or None while it is between two pages."""


class Shown(msgspec.Struct, frozen=True):
    """A page in a browser; `status` is None if the browser does not report it."""

    url: str
    html: str
    status: int | None = None


PageEffect = AwaitUrl | ReadPage | GoTo
BrowserEffect = ConnectBrowser | ChoosePage
PlainEffect = Now | Today | Draw | Chance | Report
Effect = (
    OpenClient
    | CloseClient
    | Fetch
    | ResolveHost
    | Wait
    | Invoke
    | PageEffect
    | BrowserEffect
    | PlainEffect
)
Flow = Generator[Effect, Any, T]


def open_client(url: str, timeout: float) -> Flow[Any]:
    client: Any = yield OpenClient(url, timeout)
    return client


def close_client() -> Flow[None]:
    yield CloseClient()


def fetch(request: HttpRequest, seconds: float, *, signed: bool = True) -> Flow[HttpResponse]:
    response: HttpResponse = yield Fetch(request, seconds, signed)
    return response


def resolve_host(host: str) -> Flow[tuple[str, ...]]:
    addresses: tuple[str, ...] = yield ResolveHost(host)
    return addresses


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


def chance() -> Flow[float]:
    number: float = yield Chance()
    return number


def report(action: Action, text: str, url: str, status: int | None = None) -> Flow[None]:
    """Reports a step; what foreign text it quotes becomes one printable line."""
    yield Report(
        Step(action, one_line(text, LONGEST_STEP), one_line(url.partition("?")[0]), status)
    )


def invoke(function: Callable[..., Any], *arguments: Any) -> Flow[Any]:
    result: Any = yield Invoke(function, arguments)
    return result


def await_url(accept: Callable[[str], bool], seconds: float) -> Flow[bool]:
    came: bool = yield AwaitUrl(accept, seconds)
    return came


def go_to(url: str, seconds: float) -> Flow[bool]:
    came: bool = yield GoTo(url, seconds)
    return came


def connect_browser(url: str, seconds: float) -> Flow[None]:
    yield ConnectBrowser(url, seconds)


def choose_page(accept: Callable[[str], bool], *, or_blank: bool = False) -> Flow[bool]:
    found: bool = yield ChoosePage(accept, or_blank)
    return found


def read_page() -> Flow[Shown | None]:
    shown: Shown | None = yield ReadPage()
    return shown
