"""Bodies: read whole, with a bound on their size and on the time that they take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from auth_agent.server.web import body
from auth_agent.server.web.body import read_body
from auth_agent.server.web.call import Refusal

Message = dict[str, Any]


def _part(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


async def _read(receive: Callable[[], Any], limit: int = 10, **headers: str) -> bytes:
    return await read_body(receive, headers, limit)


def _at_once(*messages: Message) -> Callable[[], Any]:
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0)

    return receive


def test_a_body_that_is_there_is_read_whole() -> None:
    assert asyncio.run(_read(_at_once(_part(b"abc", more=True), _part(b"d")))) == b"abcd"


def test_a_body_in_parts_is_waited_for() -> None:
    async def main() -> bytes:
        parts: asyncio.Queue[Message] = asyncio.Queue()
        reading = asyncio.ensure_future(_read(parts.get))
        for number in range(3):
            await asyncio.sleep(0)
            assert not reading.done()
            parts.put_nowait(_part(b"ab", more=number < 2))
        return await reading

    assert asyncio.run(main()) == b"ababab"


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "SECONDS", 0.01)
    released = []

    async def receive() -> Message:
        try:
            await asyncio.Event().wait()
        finally:
            released.append(True)
        raise AssertionError

    with pytest.raises(Refusal) as refused:
        asyncio.run(_read(receive))
    assert refused.value.status == 408
    assert released == [True]


def test_a_reader_that_is_cancelled_passes_it_on() -> None:
    async def main() -> None:
        reading = asyncio.ensure_future(_read(asyncio.Queue[Message]().get))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(main())


@pytest.mark.parametrize("pauses", [0, 1])
@pytest.mark.parametrize(
    ("message", "error"),
    [(_part(b"x" * 11), Refusal), ({"type": "http.disconnect"}, ConnectionResetError)],
)
def test_a_bad_body_is_refused_at_once_and_later(
    message: Message, error: type[Exception], pauses: int
) -> None:
    async def receive() -> Message:
        for _ in range(pauses):
            await asyncio.sleep(0)
        return message

    with pytest.raises(error):
        asyncio.run(_read(receive))


@pytest.mark.parametrize("length", ["11", "9" * 5_000])
def test_a_length_over_the_limit_is_refused_unread(length: str) -> None:
    with pytest.raises(Refusal) as refused:
        asyncio.run(_read(_at_once(), **{"content-length": length}))
    assert refused.value.status == 413
