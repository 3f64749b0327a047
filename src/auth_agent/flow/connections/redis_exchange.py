"""Commands to Redis: bounded in time, kept alive, one client per process or event loop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from auth_agent.errors import ServerUnavailable
from auth_agent.flow.connections.breaker import Breaker
from auth_agent.flow.connections.deadline import deadline, seconds_left, spend_budget
from auth_agent.flow.effects import Ask
from auth_agent.flow.kept import PerLoop, PerProcess

SECONDS = 3.0
# Errors of a node that is no longer the master, or not yet (a failover, a restart): redis-py makes
# classes of these words, but before Redis 7 a script's error begins with others.
_WRONG_NODE = ("READONLY", "LOADING", "MASTERDOWN")


class _Known:
    """A client, which redis-py leaves untyped, and whether Redis was asked for its role."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.is_checked = False


_clients: PerProcess[_Known] = PerProcess()
_loop_clients: PerLoop[_Known] = PerLoop("auth_agent_redis")
_breaker = Breaker()


def ask(effect: Ask) -> list[Any]:
    """Sends commands; raises `ServerUnavailable` with the code `store_unavailable`."""
    with _watched(effect.url), spend_budget(SECONDS) as seconds, deadline(seconds):
        known = _clients.get(effect.url, lambda: _make(effect.url))
        started_at = time.monotonic()
        try:
            return _ask(known, effect)
        except Exception as error:
            if not _may_repeat(error, started_at):
                raise
        known.client.connection_pool.disconnect(inuse_connections=False)
        return _ask(known, effect)


async def ask_async(effect: Ask) -> list[Any]:
    """Sends commands, for tasks; raises as `ask` does."""
    import anyio  # noqa: PLC0415

    with (
        _watched(effect.url),
        spend_budget(SECONDS) as seconds,
        anyio.fail_after(seconds),
    ):
        known = _loop_clients.get(effect.url, lambda: _make_async(effect.url))
        started_at = time.monotonic()
        try:
            return await _ask_async(known, effect)
        except Exception as error:
            if not _may_repeat(error, started_at):
                raise
        await known.client.connection_pool.disconnect(inuse_connections=False)
        return await _ask_async(known, effect)


def _ask(known: _Known, effect: Ask) -> list[Any]:
    if not known.is_checked:
        _check(known, _info_of(known.client))
    if len(effect.commands) == 1:
        return [known.client.execute_command(*effect.commands[0])]
    with known.client.pipeline(transaction=True) as pipeline:
        for command in effect.commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute())


async def _ask_async(known: _Known, effect: Ask) -> list[Any]:
    if not known.is_checked:
        _check(known, await _info_of_async(known.client))
    if len(effect.commands) == 1:
        return [await known.client.execute_command(*effect.commands[0])]
    async with known.client.pipeline(transaction=True) as pipeline:
        for command in effect.commands:
            pipeline.execute_command(*command)
        return list(await pipeline.execute())


def _info_of(client: Any) -> Any:
    import redis  # noqa: PLC0415

    try:
        return client.execute_command("INFO", "cluster")
    except redis.ResponseError:  # this user may not ask
        return {}


async def _info_of_async(client: Any) -> Any:
    import redis  # noqa: PLC0415

    try:
        return await client.execute_command("INFO", "cluster")
    except redis.ResponseError:
        return {}


def _check(known: _Known, info: Any) -> None:
    """Refuses a cluster's node, which works only while it owns the website's slot."""
    if isinstance(info, dict) and info.get("cluster_enabled"):
        raise _unsupported()
    known.is_checked = True


@contextmanager
def _watched(url: str) -> Iterator[None]:
    """Turns each error into `ServerUnavailable`; after a time-out Redis is paused."""
    import redis  # noqa: PLC0415

    paused = _unavailable("TimeoutError", "paused after a time-out")
    try:
        with _breaker.watch(url, paused):
            try:
                yield
            except redis.TimeoutError as error:
                raise TimeoutError(str(error)) from error
    except redis.exceptions.AskError:  # MOVED is one, too
        raise _unsupported() from None
    except (redis.RedisError, OSError) as error:  # a TimeoutError is an OSError
        name = type(error).__name__
        raise _unavailable(name, str(error) or name) from None


def _may_repeat(error: Exception, started_at: float) -> bool:
    """Allows one repetition if Redis closed the connection, or this node is not the master."""
    import redis  # noqa: PLC0415

    if isinstance(error, redis.AuthenticationError) or time.monotonic() > started_at + SECONDS / 2:
        return False
    errors = redis.exceptions
    wrong_node = (errors.ReadOnlyError, errors.BusyLoadingError, errors.MasterDownError)
    if isinstance(error, (redis.ConnectionError, *wrong_node)):
        return True
    return isinstance(error, redis.ResponseError) and any(w in str(error) for w in _WRONG_NODE)


def close() -> None:
    """Closes this process's clients; the next command creates new ones."""
    _breaker.reset()
    for known in _clients.take_all():
        known.client.close()


async def aclose() -> None:
    """Closes this event loop's clients; the next command creates new ones."""
    _breaker.reset()
    for known in _loop_clients.take_all():
        await known.client.aclose()


def _unavailable(name: str, reason: str) -> ServerUnavailable:
    return ServerUnavailable(
        f"The session store cannot be reached ({name}); try again in a few seconds. No agent is "
        "signed out by this.",
        code="store_unavailable",
        reason=reason,
    )


def _unsupported() -> ServerUnavailable:
    return ServerUnavailable(
        "The session store is a Redis cluster, which is not supported; set "
        "AUTH_AGENT_SESSION_STORE to a Redis that is not a cluster.",
        code="store_unsupported",
    )


def _options() -> dict[str, Any]:
    return {
        "socket_timeout": SECONDS,
        "socket_connect_timeout": SECONDS,
        "health_check_interval": 30,
        "max_connections": 100,
        "timeout": SECONDS,  # for a connection to become free: a rush of requests queues up
    }


def _make(url: str) -> _Known:
    import redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    # No retries of its own: those of the handshake would multiply with those of the command.
    retry = Retry(NoBackoff(), 0)
    pool = redis.BlockingConnectionPool.from_url(url, retry=retry, **_options())
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Bounded, kind), {})
    return _Known(redis.Redis.from_pool(pool))


class _Bounded:
    """A connection of redis-py, each read and write of which observes the thread's deadline.

    Otherwise an answer that drips in would restart the time-out with every byte.
    """

    def _connect(self) -> _Socket:
        self.socket_connect_timeout = seconds_left(SECONDS)
        return _Socket(super()._connect())  # type: ignore[misc]


class _Socket:
    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def recv(self, *arguments: Any) -> Any:
        self._bound()
        return self._socket.recv(*arguments)

    def recv_into(self, *arguments: Any) -> Any:
        self._bound()
        return self._socket.recv_into(*arguments)

    def sendall(self, *arguments: Any) -> Any:
        self._bound()
        return self._socket.sendall(*arguments)

    def _bound(self) -> None:
        if self._socket.gettimeout() != 0:  # redis-py looks whether something is there to read
            self._socket.settimeout(seconds_left(SECONDS))


def _make_async(url: str) -> _Known:
    import redis.asyncio  # noqa: PLC0415
    from redis.asyncio.retry import Retry  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415

    retry = Retry(NoBackoff(), 0)
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, retry=retry, **_options())
    return _Known(redis.asyncio.Redis.from_pool(pool))
