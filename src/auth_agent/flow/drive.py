"""Performs the effects of flows: the only place where threads and tasks differ.

`run` blocks its thread, `arun` suspends its task. A failed effect is thrown into the flow. A `Join`
runs a flow once for all concurrent callers, in this process's threads or in the tasks of one event
loop.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.connections import redis_exchange, transport
from auth_agent.flow.connections.deadline import within_budget
from auth_agent.flow.connections.transport import exchange, exchange_async
from auth_agent.flow.effects import (
    Ask,
    Effect,
    Fetch,
    Flow,
    Invoke,
    Join,
    Limited,
    Running,
    Send,
    Sleep,
    Spawn,
)
from auth_agent.flow.fetching import shared
from auth_agent.flow.flights import Flight, Flights, loop_flights, threads, to_its_end
from auth_agent.flow.places import task_place, thread_place

T = TypeVar("T")
__all__ = ["Running", "aclose", "arun", "close", "run"]

BodyReader = Callable[[int], bytes | None]
AsyncBodyReader = Callable[[int], Awaitable[bytes | None]]

WAIT_SECONDS = 30.0  # three exchanges; a leader takes two at most


def close() -> None:
    """Closes what this process holds open; the next effect opens it again."""
    transport.close()
    shared.close()
    redis_exchange.close()


async def aclose() -> None:
    """Closes what this event loop holds open; the next effect opens it again."""
    await transport.aclose()
    await redis_exchange.aclose()


def run(flow: Flow[T], read_body: BodyReader | None = None) -> T:
    """Returns the flow's value; raises its errors. `read_body(limit)` reads the visit's body.

    All that a visit asks Redis takes at most as long as one question may.
    """
    if read_body is None:
        return _run(flow, None)
    with within_budget(redis_exchange.SECONDS):
        return _run(flow, read_body)


def _run(flow: Flow[T], read_body: BodyReader | None) -> T:
    running = Running(flow)
    while (effect := running.advance()) is not None:
        try:
            running.result = _perform(effect, read_body)
        except Exception as error:  # noqa: BLE001  # the flow decides what becomes of it
            running.error = error
    return running.value


async def arun(flow: Flow[T], read_body: AsyncBodyReader | None = None) -> T:
    """Returns the flow's value; raises its errors. `read_body(limit)` reads the visit's body.

    All that a visit asks Redis takes at most as long as one question may.
    """
    if read_body is None:
        return await _arun(flow, None)
    with within_budget(redis_exchange.SECONDS):
        return await _arun(flow, read_body)


async def _arun(flow: Flow[T], read_body: AsyncBodyReader | None) -> T:
    running = Running(flow)
    while (effect := running.advance()) is not None:
        try:
            running.result = await _perform_async(effect, read_body)
        except Exception as error:  # noqa: BLE001  # the flow decides what becomes of it
            running.error = error
    return running.value


def _perform(effect: Effect, read_body: BodyReader | None) -> Any:
    if isinstance(effect, Send):
        return exchange(effect.request)
    if isinstance(effect, Fetch):
        return shared.fetch(effect)
    if isinstance(effect, Join):
        return _join(effect)
    if isinstance(effect, Limited):
        return _limit(effect)
    if isinstance(effect, Spawn):
        return _spawn(effect)
    if isinstance(effect, Ask):
        return redis_exchange.ask(effect)
    if isinstance(effect, Sleep):
        return time.sleep(effect.seconds)
    if isinstance(effect, Invoke):
        result = effect.function(*effect.arguments)
        if inspect.isawaitable(result):
            raise TypeError(
                f"{effect.function!r} is async, but a WSGI website calls its functions in "
                "threads; define it with def, or use the ASGI middleware"
            )
        return result
    if read_body is None:
        raise TypeError("this adapter cannot read a body")
    return read_body(effect.limit)


async def _perform_async(effect: Effect, read_body: AsyncBodyReader | None) -> Any:
    if isinstance(effect, Send):
        return await exchange_async(effect.request)
    if isinstance(effect, Fetch):
        return await shared.fetch_async(effect)
    if isinstance(effect, Join):
        return await _join_async(effect)
    if isinstance(effect, Limited):
        return await _limit_async(effect)
    if isinstance(effect, Spawn):
        return _spawn(effect)
    if isinstance(effect, Ask):
        return await redis_exchange.ask_async(effect)
    if isinstance(effect, Sleep):
        return await _sleep_async(effect.seconds)
    if isinstance(effect, Invoke):
        return await _invoke_async(effect)
    if read_body is None:
        raise TypeError("this adapter cannot read a body")
    return await read_body(effect.limit)


async def _sleep_async(seconds: float) -> None:
    import anyio  # noqa: PLC0415

    await anyio.sleep(seconds)


async def _invoke_async(effect: Invoke) -> Any:
    """Calls the function; a plain one may block, so it runs in a thread."""
    if inspect.iscoroutinefunction(effect.function):
        return await effect.function(*effect.arguments)
    from anyio import to_thread  # noqa: PLC0415

    result = await to_thread.run_sync(effect.function, *effect.arguments)
    return await result if inspect.isawaitable(result) else result


def _limit(effect: Limited) -> Any:
    with thread_place():
        return run(effect.start())


async def _limit_async(effect: Limited) -> Any:
    async with task_place(effect.share):
        return await arun(effect.start())


def _join(effect: Join) -> Any:
    flight, leads = threads.board(effect.key, threading.Event)
    if leads:
        with threads.landing(effect.key, flight):
            flight.result = run(effect.start())
    elif not flight.landed.wait(WAIT_SECONDS):
        threads.give_up(effect.key, flight)
        raise ServerUnavailable(
            "The Auth Agent server takes too long to answer; try again in a few seconds."
        )
    return flight.outcome()


async def _join_async(effect: Join) -> Any:
    import anyio  # noqa: PLC0415

    flights = loop_flights()
    flight, leads = flights.board(effect.key, anyio.Event)
    if leads:
        await to_its_end(functools.partial(_fly, flights, effect, flight))
    else:
        with anyio.move_on_after(WAIT_SECONDS) as scope:
            await flight.landed.wait()
        if scope.cancelled_caught:
            flights.give_up(effect.key, flight)
    return flight.outcome()


async def _fly(flights: Flights, effect: Join, flight: Flight) -> None:
    with contextlib.suppress(AuthError), flights.landing(effect.key, flight):
        flight.result = await arun(effect.start())


def _spawn(effect: Spawn) -> None:
    """Runs the flow in its own thread, under tasks too: no event loop has to outlive it.

    What it asks Redis is not of the visit's budget: a thread begins with an empty context.
    """
    flight, leads = threads.board(effect.key, threading.Event)
    if not leads:
        return

    def work() -> None:
        with contextlib.suppress(AuthError), threads.landing(effect.key, flight):
            flight.result = run(effect.start())  # by now another caller may wait for it

    try:
        threading.Thread(target=work, name="auth-agent", daemon=True).start()
    except RuntimeError:  # no thread can be started now; the next caller tries again
        threads.give_up(effect.key, flight)
        flight.landed.set()
