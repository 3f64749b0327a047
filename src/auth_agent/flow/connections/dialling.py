"""Opens connections: within the deadline of the thread, and to loopback without asking DNS."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2

from auth_agent.flow.connections.deadline import seconds_left
from auth_agent.url import addresses_of

Options = Iterable[httpcore2.SOCKET_OPTION] | None


class Backend(httpcore2.SyncBackend):
    """Opens connections for threads; every read, write and handshake observes the deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore2.NetworkStream:
        *earlier, last = addresses_of(host)
        for address in earlier:
            try:
                return self._connect(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError:
                continue
        return self._connect(last, port, timeout, local_address, socket_options)

    def _connect(
        self, host: str, port: int, timeout: float | None, local: str | None, options: Options
    ) -> httpcore2.NetworkStream:
        left = seconds_left(timeout)
        return Stream(super().connect_tcp(host, port, left, local, options))


class Stream(httpcore2.NetworkStream):
    """A connection that observes the deadline of the thread that uses it."""

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


class AsyncBackend(httpcore2.AnyIOBackend):
    """Opens connections for tasks, on asyncio and trio; deadlines cancel them from outside."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Options = None,
    ) -> httpcore2.AsyncNetworkStream:
        *earlier, last = addresses_of(host)
        for address in earlier:
            try:
                return await super().connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except httpcore2.ConnectError:
                continue
        return await super().connect_tcp(last, port, timeout, local_address, socket_options)
