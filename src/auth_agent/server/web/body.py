"""The body of a request, bounded in size and time."""

from __future__ import annotations

from collections.abc import Mapping

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

    The timer costs about one hundredth of a request; a way around it for bodies that come with the
    head would have to drive this coroutine by hand.
    """
    length = headers.get("content-length", "").lstrip("0")
    # Python reads no number of thousands of digits.
    if length.isdecimal() and (len(length) > len(str(limit)) or int(length) > limit):
        raise _TOO_LARGE
    try:
        with fail_after(SECONDS):
            return await _whole_body(receive, limit)
    except TimeoutError:
        raise _TOO_SLOW from None


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
