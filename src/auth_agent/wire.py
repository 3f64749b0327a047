"""What goes over HTTP, and the effects that a flow asks for, as plain values.

A *flow* is a generator that decides; it yields effects and receives their results, so that the
same decision runs under threads, tasks and tests. A failed effect is thrown into the flow as an
`AuthError`. Nothing here performs I/O: `auth_agent.drive` does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from auth_agent.agent import Agent
from auth_agent.errors import AuthError, ServerMisbehaved
from auth_agent.secret import Discreet

T = TypeVar("T")
Headers = tuple[tuple[str, str], ...]
Command = tuple[str | bytes | int, ...]

MAX_COOKIE_HEADER = 16_384


class HttpRequest(Discreet, frozen=True):
    """A request to the Auth Agent server."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def __repr__(self) -> str:  # headers and body carry credentials, a query may
        return f"HttpRequest({self.method} {self.url.partition('?')[0]})"


class HttpResponse(Discreet, frozen=True):
    """Its answer, read in full; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"


class Send(msgspec.Struct, frozen=True):
    """Send a request; the result is its `HttpResponse`, within the bounds of `transport`."""

    request: HttpRequest


class Join(msgspec.Struct, frozen=True):
    """Run a flow once for everybody who asks for `key` meanwhile; all get its one result."""

    key: Hashable
    start: Callable[[], Flow[Any]]


class Spawn(msgspec.Struct, frozen=True):
    """Run a flow in the background, unless one of this key is under way; nobody hears of it."""

    key: Hashable
    start: Callable[[], Flow[Any]]


class ReadBody(msgspec.Struct, frozen=True):
    """Read the visit's body; the result is bytes, or None where there are more than `limit`."""

    limit: int


class Call(msgspec.Struct, frozen=True):
    """Call a function of the website, which may be async; the result is what it returns."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Sleep(msgspec.Struct, frozen=True):
    """Wait for somebody else's work; `seconds` is short."""

    seconds: float


class Ask(Discreet, frozen=True):
    """Ask Redis; the result is a list with one answer for each command, done all or not at all."""

    url: str
    commands: tuple[Command, ...]

    def __repr__(self) -> str:
        return f"Ask({', '.join(str(command[0]) for command in self.commands)})"


Effect = Send | Join | Spawn | ReadBody | Call | Sleep | Ask
Flow = Generator[Effect, Any, T]


def send(request: HttpRequest) -> Flow[HttpResponse]:
    response: HttpResponse = yield Send(request)
    return response


def join(key: Hashable, start: Callable[[], Flow[T]]) -> Flow[T]:
    result: T = yield Join(key, start)
    return result


def spawn(key: Hashable, start: Callable[[], Flow[Any]]) -> Flow[None]:
    yield Spawn(key, start)


def read_body(limit: int) -> Flow[bytes | None]:
    body: bytes | None = yield ReadBody(limit)
    return body


def call(function: Callable[..., Any], *arguments: Any) -> Flow[Any]:
    result: Any = yield Call(function, arguments)
    return result


def sleep(seconds: float) -> Flow[None]:
    yield Sleep(seconds)


def ask(url: str, *commands: Command) -> Flow[list[Any]]:
    answers: list[Any] = yield Ask(url, commands)
    return answers


def is_trouble(response: HttpResponse) -> bool:
    """Whether the server says that it cannot answer now, which is no answer at all."""
    return response.status >= 500 or response.status == 429


def json_object(response: HttpResponse, what: str) -> dict[str, Any]:
    """The JSON object in an answer; raises `ServerMisbehaved` naming `what` it should have been."""
    try:
        value = msgspec.json.decode(response.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ServerMisbehaved(
            f"The Auth Agent server answered {response.status} without a JSON object "
            f"where its {what} should be."
        )
    return value


def form_request(url: str, fields: Mapping[str, str], headers: Headers = ()) -> HttpRequest:
    content_type = ("Content-Type", "application/x-www-form-urlencoded")
    accept = ("Accept", "application/json")
    return HttpRequest("POST", url, (content_type, accept, *headers), urlencode(fields).encode())


class Cookie(Discreet, frozen=True):
    """One `Set-Cookie`; `max_age` is in seconds, 0 removes the cookie."""

    name: str
    value: str
    max_age: int
    secure: bool

    def __repr__(self) -> str:
        return f"Cookie({self.name}, max_age={self.max_age})"

    def header(self) -> str:
        """The header's value; SameSite=Lax, because the callback is a cross-site navigation."""
        secure = "; Secure" if self.secure else ""
        return (
            f"{self.name}={self.value}; Path=/; Max-Age={self.max_age}; HttpOnly; SameSite=Lax"
            + secure
        )


class Visit:
    """A request to the website without its body; each adapter says how to read a header.

    `path` is decoded, as the application routes it; `raw_path` is percent-encoded.
    """

    __slots__ = ("judged", "method", "path", "problem")

    def __init__(self, method: str, path: str) -> None:
        self.problem: AuthError | None = None
        """Why the credentials of this visit are worth nothing; said where an agent is needed."""
        self.judged = False
        """Whether the answer depends on the agent, although the application never looks."""
        self.method = method
        self.path = path

    def header(self, name: str) -> str | None:
        """A header's value, repeated ones joined (RFC 9110 5.3); `name` is in lower case."""
        raise NotImplementedError

    @property
    def authorization(self) -> str | None:
        return self.header("authorization")

    @property
    def cookie_header(self) -> str | None:
        return self.header("cookie")

    @property
    def cookie_key(self) -> str | bytes | None:
        """The cookies as the web server hands them over, by which they are known again."""
        return self.cookie_header

    @property
    def raw_path(self) -> str:
        raise NotImplementedError

    @property
    def query(self) -> str:
        raise NotImplementedError

    @property
    def target(self) -> str:
        return f"{self.raw_path}?{self.query}" if self.query else self.raw_path

    def cookies(self) -> Iterator[tuple[str, str]]:
        """Every cookie of the request, in the browser's order, at most 16 KiB of them."""
        return split_cookies(self.cookie_header or "")

    def cookie(self, name: str) -> str | None:
        """The first cookie of this name."""
        return find_cookie(self.cookie_header or "", name)


def split_cookies(header: str) -> Iterator[tuple[str, str]]:
    if len(header) > MAX_COOKIE_HEADER:
        return
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        if equals:
            # RFC 6265 5.2 knows two kinds of whitespace. `strip()` knows many more, so that another
            # host's cookie called "\x85__Host-…" would count as ours.
            yield name.strip(" \t"), value.strip(" \t")


def find_cookie(header: str, name: str) -> str | None:
    if name not in header or len(header) > MAX_COOKIE_HEADER:
        return None
    return next((value for given, value in split_cookies(header) if given == name), None)


class Reply(msgspec.Struct, frozen=True):
    """An answer that the website's application never sees the request of."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    cookies: tuple[Cookie, ...] = ()

    def header_list(self) -> list[tuple[str, str]]:
        """All headers, one `Set-Cookie` for each cookie."""
        headers = [*self.headers, ("Content-Length", str(len(self.body)))]
        headers.extend(("Set-Cookie", cookie.header()) for cookie in self.cookies)
        if self.cookies and not any(name == "Cache-Control" for name, _ in headers):
            headers.append(("Cache-Control", "no-store"))
        return headers


class Pass(msgspec.Struct, frozen=True):
    """The application may answer; `cookies` go into whatever it says.

    Other requests share this agent, which therefore reaches the application through `gate.Entry`.
    """

    agent: Agent | None
    cookies: tuple[Cookie, ...] = ()


Outcome = Pass | Reply
