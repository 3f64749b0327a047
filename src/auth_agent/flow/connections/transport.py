"""HTTP to the Auth Agent server: bounded in time and size, never redirected, kept alive.

One client and one TLS context per process (one client per event loop), created on first use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from auth_agent.errors import ServerMisbehaved, ServerUnavailable
from auth_agent.flow.connections.breaker import Breaker
from auth_agent.flow.connections.deadline import deadline, seconds_left
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.flow.kept import PerLoop, PerProcess

if TYPE_CHECKING:
    import httpx2

TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
MAX_BYTES = 262_144
ATTEMPTS = 2

_clients: PerProcess[httpx2.Client] = PerProcess()
_loop_clients: PerLoop[httpx2.AsyncClient] = PerLoop("auth_agent_client")
_breaker = Breaker()


def exchange(request: HttpRequest) -> HttpResponse:
    """Sends a request; raises `ServerUnavailable` for network errors and time-outs, and
    `ServerMisbehaved` for size.
    """
    import httpx2  # noqa: PLC0415

    with _watched(request), deadline(TOTAL_SECONDS):
        for attempt in range(ATTEMPTS):
            try:
                with _client().stream(**_arguments(request)) as response:
                    body = _Body(response)
                    for chunk in response.iter_raw():
                        body.add(chunk)
                        seconds_left()
                    return body.finish()
            except httpx2.TransportError as error:
                if not _may_repeat(request, error, attempt):
                    raise
    raise AssertionError("the last attempt returns or raises")


async def exchange_async(request: HttpRequest) -> HttpResponse:
    """Sends a request, for tasks; the deadline cancels the exchange."""
    import anyio  # noqa: PLC0415
    import httpx2  # noqa: PLC0415

    with _watched(request), anyio.fail_after(TOTAL_SECONDS):
        for attempt in range(ATTEMPTS):
            try:
                async with _async_client().stream(**_arguments(request)) as response:
                    body = _Body(response)
                    async for chunk in response.aiter_raw():
                        body.add(chunk)
                    return body.finish()
            except httpx2.TransportError as error:
                if not _may_repeat(request, error, attempt):
                    raise
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def _watched(request: HttpRequest) -> Iterator[None]:
    """Turns each error into `ServerUnavailable`; after a time-out that endpoint is paused."""
    import httpx2  # noqa: PLC0415

    paused = ServerUnavailable(
        f"The Auth Agent server at {_host(request)} did not answer in time; this website "
        "tries again in a few seconds.",
        reason="paused after a time-out",
    )
    try:
        with _breaker.watch(request.url.partition("?")[0], paused):
            try:
                yield
            except httpx2.TimeoutException as error:
                raise TimeoutError(str(error) or type(error).__name__) from error
    except (
        httpx2.TransportError,
        httpx2.InvalidURL,
        TimeoutError,
        UnicodeError,  # a host name that no resolver accepts
    ) as error:
        raise _unavailable(request, error) from None


def _may_repeat(request: HttpRequest, error: Exception, attempt: int) -> bool:
    """Allows one repetition of harmless requests: a code or refresh token is never sent twice."""
    import httpx2  # noqa: PLC0415

    broken = isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError)
    return broken and request.method == "GET" and attempt + 1 < ATTEMPTS


def close() -> None:
    """Closes this process's client; the next exchange creates a new one."""
    _breaker.reset()
    for client in _clients.take_all():
        client.close()


async def aclose() -> None:
    """Closes this event loop's client; the next exchange creates a new one."""
    _breaker.reset()
    for client in _loop_clients.take_all():
        await client.aclose()


class _Body:
    """Collects an answer; refuses compressed ones, which may grow without bound."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: list[bytes] = []
        self._left = MAX_BYTES
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ServerMisbehaved(
                "The Auth Agent server sent a compressed answer, which this website did not "
                "request; switch compression off at the server's proxy.",
                code="answer_compressed",
            )

    def add(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise ServerMisbehaved(
                "The Auth Agent server's answer is larger than 256 KiB.", code="answer_too_large"
            )
        self._chunks.append(chunk)

    def finish(self) -> HttpResponse:
        headers = {name.lower(): value for name, value in self._response.headers.items()}
        return HttpResponse(self._response.status_code, headers, b"".join(self._chunks))


def _arguments(request: HttpRequest) -> dict[str, Any]:
    headers = [*request.headers, ("Accept-Encoding", "identity"), ("User-Agent", "auth-agent")]
    return {
        "method": request.method,
        "url": request.url,
        "headers": headers,
        "content": request.body or None,
    }


def _unavailable(request: HttpRequest, error: Exception) -> ServerUnavailable:
    cause = error.__cause__ or error  # a time-out was translated for the breaker
    return ServerUnavailable(
        f"The Auth Agent server at {_host(request)} cannot be reached ({type(cause).__name__}); "
        "try again in a few seconds.",
        reason=str(error) or type(cause).__name__,
    )


def _host(request: HttpRequest) -> str:
    return request.url.split("/")[2]


def _client_options() -> dict[str, Any]:
    import httpx2  # noqa: PLC0415

    return {
        "timeout": httpx2.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        "follow_redirects": False,  # credentials go to the configured endpoint only
        # All agents share the client: one agent's cookie must not go with another's request.
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=())),
    }


def _client() -> httpx2.Client:
    def make() -> httpx2.Client:
        from auth_agent.flow.connections.clients import new_client  # noqa: PLC0415

        return new_client(**_client_options())

    return _clients.get("client", make)


def _async_client() -> httpx2.AsyncClient:
    def make() -> httpx2.AsyncClient:
        from auth_agent.flow.connections.clients import new_async_client  # noqa: PLC0415

        return new_async_client(**_client_options())

    return _loop_clients.get("client", make)
