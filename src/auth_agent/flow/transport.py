"""HTTP to the Auth Agent server: bounded in time and size, never redirected, kept alive.

One client and one TLS context per process (one client per event loop), made when first needed.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

from auth_agent.errors import ServerMisbehaved, ServerUnavailable
from auth_agent.flow.deadline import deadline, held, seconds_left
from auth_agent.flow.exchange import HttpRequest, HttpResponse

if TYPE_CHECKING:
    import ssl

    import httpx2
    from anyio.lowlevel import RunVar

TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
KEEPALIVE_SECONDS = 3.0  # below the five seconds after which common servers hang up
MAX_BYTES = 262_144
ATTEMPTS = 2

_lock = threading.Lock()
_clients: dict[str, httpx2.Client] = {}


def exchange(request: HttpRequest) -> HttpResponse:
    """Raises `ServerUnavailable` for network errors and time-outs, `ServerMisbehaved` for size."""
    import httpx2  # noqa: PLC0415

    with deadline(TOTAL_SECONDS):
        for attempt in range(ATTEMPTS):
            try:
                with _client().stream(**_arguments(request)) as response:
                    body = _Body(response)
                    for chunk in response.iter_raw():
                        body.add(chunk)
                        seconds_left()
                    return body.finish()
            except (
                httpx2.TransportError,
                httpx2.InvalidURL,
                TimeoutError,
                UnicodeError,  # a host name that no resolver takes
            ) as error:
                if not _may_repeat(request, error, attempt):
                    raise _unavailable(request, error) from None
    raise AssertionError("the last attempt returns or raises")


async def exchange_async(request: HttpRequest) -> HttpResponse:
    """The same for tasks; the deadline cancels whatever is under way."""
    import anyio  # noqa: PLC0415
    import httpx2  # noqa: PLC0415

    try:
        with anyio.fail_after(TOTAL_SECONDS):
            for attempt in range(ATTEMPTS):
                try:
                    async with _async_client().stream(**_arguments(request)) as response:
                        body = _Body(response)
                        async for chunk in response.aiter_raw():
                            body.add(chunk)
                        return body.finish()
                except (httpx2.TransportError, httpx2.InvalidURL, UnicodeError) as error:
                    if not _may_repeat(request, error, attempt):
                        raise _unavailable(request, error) from None
    except TimeoutError as error:
        raise _unavailable(request, error) from None
    raise AssertionError("the last attempt returns or raises")


def _may_repeat(request: HttpRequest, error: Exception, attempt: int) -> bool:
    """Once, and only what changes nothing: a code or a refresh token is never sent twice."""
    import httpx2  # noqa: PLC0415

    broken = isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError)
    return broken and request.method == "GET" and attempt + 1 < ATTEMPTS


def close() -> None:
    """Close this process's client; the next exchange makes a new one."""
    with _lock:
        client = _clients.pop("client", None)
    if client is not None:
        client.close()


async def aclose() -> None:
    """Close this event loop's client; the next exchange makes a new one."""
    client = _loop_client().get(None)
    if client is not None:
        _loop_client().set(None)
        await client.aclose()


class _Body:
    """Collects an answer; compressed ones are refused, since a small one may grow without bound."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: list[bytes] = []
        self._left = MAX_BYTES
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ServerMisbehaved(
                "The Auth Agent server sent a compressed answer although none was asked for.",
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
    host = request.url.split("/")[2]
    unavailable = ServerUnavailable(
        f"The Auth Agent server at {host} cannot be reached ({type(error).__name__}); "
        "try again in a few seconds."
    )
    unavailable.reason = str(error) or type(error).__name__
    return unavailable


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The one context of this process."""
    import httpx2  # noqa: PLC0415

    return httpx2.create_ssl_context()  # reads the CA bundle: 20 ms, once


def _client_options() -> dict[str, Any]:
    import httpx2  # noqa: PLC0415

    return {
        "verify": tls_context(),
        "timeout": httpx2.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        "limits": httpx2.Limits(
            max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEEPALIVE_SECONDS
        ),
        "follow_redirects": False,  # credentials go to the endpoint that was configured
    }


def _client() -> httpx2.Client:
    with _lock:
        if "client" not in _clients:
            import httpx2  # noqa: PLC0415

            _clients["client"] = held(httpx2.Client(**_client_options()))
        return _clients["client"]


def _async_client() -> httpx2.AsyncClient:
    client = _loop_client().get(None)
    if client is None:
        import httpx2  # noqa: PLC0415

        client = httpx2.AsyncClient(**_client_options())
        _loop_client().set(client)
    return client


@functools.cache
def _loop_client() -> RunVar[httpx2.AsyncClient | None]:
    from anyio.lowlevel import RunVar  # noqa: PLC0415

    return RunVar("auth_agent_client")


def _forget_clients() -> None:
    """A forked worker must not share its parent's connections."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients)
