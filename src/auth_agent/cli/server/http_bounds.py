"""Bounds for uvicorn's quick HTTP parser, which has none: the size and the time of a head."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 32_768  # bytes of the request line and all header fields, trailers among them
HEAD_SECONDS = 10.0
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class _HeadTooLarge(Exception):
    """Ends the parser's work on a request."""


class BoundedHttp(HttpToolsProtocol):
    """Answers 431 to a head that is too large, and closes a connection whose head is too slow."""

    _is_head = False
    _parsed = 0  # bytes of the current head that the parser has passed on
    _received = 0  # bytes that arrived while the head was incomplete
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_head = self._is_head
        super().data_received(data)
        if was_head and self._is_head:
            self._received += len(data)
            if self._received > MOST_HEAD and not self.transport.is_closing():
                self.send_400_response("")

    def on_message_begin(self) -> None:
        self._begin_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        if max(self._parsed, self._received) <= MOST_HEAD:
            super().send_400_response(msg)
            return
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > MOST_HEAD:
            raise _HeadTooLarge

    def _begin_head(self) -> None:
        self._end_head()
        self._is_head = True
        self._parsed = self._received = 0
        self._late = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _end_head(self) -> None:
        self._is_head = False
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
