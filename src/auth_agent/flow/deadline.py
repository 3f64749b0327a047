"""A deadline for a whole exchange in a thread: each of its reads and writes ends in time.

The time-outs of an HTTP client are for single reads, so that a server which drips could hold a
thread for ever. Tasks are cancelled from outside and need none of this.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

    import httpcore2
    import httpx2

LONGEST_WAIT = 10.0  # seconds for a single read that has no time-out of its own

_present = threading.local()


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Whatever this thread does with a client that is `held` ends within so many seconds."""
    _present.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _present.at = None


def seconds_left(timeout: float | None = None) -> float:
    """What this thread's exchange may still take, at most `timeout`; raises `TimeoutError`."""
    at = getattr(_present, "at", None)
    limit = LONGEST_WAIT if timeout is None else timeout
    if at is None:
        return limit
    left: float = at - time.monotonic()
    if left <= 0:
        raise TimeoutError("the whole exchange took too long")
    return min(left, limit)


def held(client: httpx2.Client) -> httpx2.Client:
    """The client, which keeps to the deadline of its thread, through proxies as well."""
    import httpx2  # noqa: PLC0415

    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.HTTPTransport):
            transport._pool._network_backend = _backend()
    return client


@functools.cache
def _backend() -> httpcore2.NetworkBackend:
    import httpcore2  # noqa: PLC0415

    class Stream(httpcore2.NetworkStream):
        def __init__(self, stream: httpcore2.NetworkStream) -> None:
            self._stream = stream

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return self._stream.read(max_bytes, seconds_left(timeout))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._stream.write(buffer, seconds_left(timeout))

        def close(self) -> None:
            self._stream.close()

        def start_tls(
            self,
            ssl_context: ssl.SSLContext,
            server_hostname: str | None = None,
            timeout: float | None = None,
        ) -> httpcore2.NetworkStream:
            left = seconds_left(timeout)
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
            left = seconds_left(timeout)
            return Stream(super().connect_tcp(host, port, left, local_address, socket_options))

    return Backend()
