"""HTTP to the Auth Agent server: bounded in time and size, never redirected, kept alive.

One client and one TLS context per process (one client per event loop), made when first needed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from auth_agent.errors import ServerMisbehaved, ServerUnavailable
from auth_agent.wire import HttpRequest, HttpResponse

if TYPE_CHECKING:
    import ssl

    import httpcore2
    import httpx2
    from anyio.lowlevel import RunVar

TOTAL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
KEEPALIVE_SECONDS = 3.0  # below the five seconds after which common servers hang up
MAX_BYTES = 262_144
ATTEMPTS = 2

_lock = threading.Lock()
_clients: dict[str, httpx2.Client] = {}
_deadline = threading.local()


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
                        _seconds_left(TOTAL_SECONDS)
                    return body.finish()
            except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
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
                except (httpx2.TransportError, httpx2.InvalidURL) as error:
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
    return ServerUnavailable(
        f"The Auth Agent server at {host} cannot be reached ({type(error).__name__}); "
        "try again in a few seconds."
    )


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Every read of this thread through a `deadline_transport` ends within so many seconds."""
    _deadline.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _deadline.at = None


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

            # A proxy from the environment comes with a transport of its own, which holds the
            # time-out of each operation but not the deadline of the whole exchange.
            transport = None if getproxies() else deadline_transport()
            _clients["client"] = httpx2.Client(transport=transport, **_client_options())
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


def _seconds_left(timeout: float | None) -> float:
    """What this thread's exchange may still take, at most `timeout`."""
    at = getattr(_deadline, "at", None)
    limit = TOTAL_SECONDS if timeout is None else timeout
    if at is None:
        return limit
    left: float = at - time.monotonic()
    if left <= 0:
        raise TimeoutError("the whole exchange took too long")
    return min(left, limit)


def deadline_transport(
    tls: ssl.SSLContext | None = None, *, keep: int = 20
) -> httpx2.HTTPTransport:
    """A transport in which every single read ends at the deadline of the whole exchange.

    Without `tls` it uses the context of this process; at most `keep` idle connections stay open.
    """
    import httpcore2  # noqa: PLC0415
    import httpx2  # noqa: PLC0415

    class Stream(httpcore2.NetworkStream):
        def __init__(self, stream: httpcore2.NetworkStream) -> None:
            self._stream = stream

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._stream.read(max_bytes, _seconds_left(timeout))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._stream.write(buffer, _seconds_left(timeout))

        def close(self) -> None:
            self._stream.close()

        def start_tls(
            self,
            ssl_context: ssl.SSLContext,
            server_hostname: str | None = None,
            timeout: float | None = None,
        ) -> httpcore2.NetworkStream:
            left = _seconds_left(timeout)
            return Stream(self._stream.start_tls(ssl_context, server_hostname, left))

        def get_extra_info(self, info: str) -> Any:
            return self._stream.get_extra_info(info)

    class Backend(httpcore2.SyncBackend):
        def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
        ) -> httpcore2.NetworkStream:
            left = _seconds_left(timeout)
            return Stream(super().connect_tcp(host, port, left, local_address, socket_options))

    context = tls or tls_context()
    transport = httpx2.HTTPTransport(verify=context)
    transport._pool = httpcore2.ConnectionPool(
        ssl_context=context,
        max_connections=100,
        max_keepalive_connections=keep,
        keepalive_expiry=KEEPALIVE_SECONDS,
        network_backend=Backend(),
    )
    return transport


def _forget_clients() -> None:
    """A forked worker must not share its parent's connections."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients)
