"""The body of a request, bounded in size and time."""

from __future__ import annotations

import types
from collections.abc import Generator, Mapping
from typing import Any

from anyio import fail_after
from starlette.types import Receive

from auth_agent.server.web.call import Headers, Refusal

SECONDS = 20.0
# Such a connection is not read any further.
_CLOSE: Headers = (("connection", "close"),)
_TOO_LARGE = Refusal(413, "invalid_request", "The body is too large", _CLOSE)
_TOO_SLOW = Refusal(408, "invalid_request", "The body did not arrive in time", _CLOSE)


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """Returns the body; Refusal if it is too large or slow, ConnectionResetError if it breaks off.

    Most bodies come together with the head. A timer costs more than reading such a one, so that
    there is none before a body lets its reader wait.
    """
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _TOO_LARGE
    reading = _whole_body(receive, limit).__await__()
    try:
        awaited = next(reading)
    except StopIteration as whole:
        body: bytes = whole.value
        return body
    try:
        with fail_after(SECONDS):
            return await _go_on(reading, awaited)
    except TimeoutError:
        raise _TOO_SLOW from None


@types.coroutine
def _go_on(reading: Generator[Any, Any, bytes], awaited: Any) -> Generator[Any, Any, bytes]:
    """Drives a coroutine on that has been started by hand and awaits something."""
    try:
        while True:
            try:
                came = yield awaited
            except BaseException as error:  # noqa: BLE001  # mostly the timer's cancellation
                awaited = reading.throw(error)
            else:
                awaited = reading.send(came)
    except StopIteration as whole:
        body: bytes = whole.value
        return body


async def _whole_body(receive: Receive, limit: int) -> bytes:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _TOO_LARGE
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
