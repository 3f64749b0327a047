"""The body of a request: read once, bounded in size and time, and replayed to the server."""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any

import anyio

from auth_agent.asgi import Message, Receive

BODY_SECONDS = 30.0


class TooLarge(Exception):
    """There is more of the body than is read."""


class TooSlow(Exception):
    """The body did not arrive in time, or its client went away."""


async def read_body(receive: Receive, limit: int) -> bytes:
    """Returns the whole body; raises `TooLarge` or `TooSlow`.

    Most bodies are there already, in one message: then no timer is set, which would take longer
    than all checks of a call together.
    """
    steps = receive().__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        message: Message = done.value
        body = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body"):
            return bytes(_bounded(body, limit))
        return await _read_on(message, receive, limit)
    with anyio.move_on_after(BODY_SECONDS):
        message = await _rest(steps, waits_for)
        return await _read_on(message, receive, limit)
    raise TooSlow


async def _read_on(message: Message, receive: Receive, limit: int) -> bytes:
    body = bytearray()
    with anyio.move_on_after(BODY_SECONDS):
        while message["type"] != "http.disconnect":
            body += message.get("body", b"")
            _bounded(body, limit)
            if not message.get("more_body"):
                return bytes(body)
            message = await receive()
    raise TooSlow


def _bounded(body: bytes | bytearray, limit: int) -> bytes | bytearray:
    if len(body) > limit:
        raise TooLarge
    return body


@types.coroutine
def _rest(steps: Any, waits_for: Any) -> Generator[Any, Any, Message]:
    """Awaits what is left of an awaitable whose first step has been taken."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001  # a cancellation, too
                waits_for = steps.throw(error)
            else:
                waits_for = steps.send(sent)
    except StopIteration as done:
        message: Message = done.value
        return message


def replay(body: bytes, receive: Receive) -> Receive:
    """Replays exactly the bytes that were checked, then everything after them."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
