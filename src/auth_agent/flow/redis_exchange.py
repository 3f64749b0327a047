"""Commands to Redis: bounded in time, kept alive, one client per process or event loop."""

from __future__ import annotations

import functools
import os
import threading
from typing import TYPE_CHECKING, Any

from auth_agent.errors import ServerUnavailable
from auth_agent.flow.effects import Ask

if TYPE_CHECKING:
    from anyio.lowlevel import RunVar

SECONDS = 3.0

_lock = threading.Lock()
# redis-py leaves execute_command untyped.
_clients: dict[str, Any] = {}


def ask(effect: Ask) -> list[Any]:
    """Raises `ServerUnavailable` with the code `store_unavailable`."""
    import redis  # noqa: PLC0415

    try:
        client = _client(effect.url)
        if len(effect.commands) == 1:
            return [client.execute_command(*effect.commands[0])]
        with client.pipeline(transaction=True) as pipeline:
            for command in effect.commands:
                pipeline.execute_command(*command)
            return list(pipeline.execute())
    except (redis.RedisError, OSError) as error:
        raise _unavailable(error) from None


async def ask_async(effect: Ask) -> list[Any]:
    """The same for tasks."""
    import redis  # noqa: PLC0415

    try:
        client = _async_client(effect.url)
        if len(effect.commands) == 1:
            return [await client.execute_command(*effect.commands[0])]
        async with client.pipeline(transaction=True) as pipeline:
            for command in effect.commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute())
    except (redis.RedisError, OSError) as error:
        raise _unavailable(error) from None


def close() -> None:
    with _lock:
        clients = list(_clients.values())
        _clients.clear()
    for client in clients:
        client.close()


async def aclose() -> None:
    clients = _loop_clients().get({})
    _loop_clients().set({})
    for client in clients.values():
        await client.aclose()


def _unavailable(error: Exception) -> ServerUnavailable:
    unavailable = ServerUnavailable(
        f"The session store cannot be reached ({type(error).__name__}); try again in a few "
        "seconds. Nobody is signed out by this.",
        code="store_unavailable",
    )
    unavailable.reason = str(error) or type(error).__name__
    return unavailable


def _options() -> dict[str, Any]:
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return {
        "socket_timeout": SECONDS,
        "socket_connect_timeout": SECONDS,
        "health_check_interval": 30,
        "max_connections": 100,
        "timeout": SECONDS,  # for a connection to become free: a rush of requests queues up
        "backoff": NoBackoff(),
    }


def _client(url: str) -> Any:
    with _lock:
        if url not in _clients:
            import redis  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415

            options = _options()
            retry = Retry(options.pop("backoff"), 1)  # a connection that Redis has closed meanwhile
            pool = redis.BlockingConnectionPool.from_url(url, retry=retry, **options)
            _clients[url] = redis.Redis.from_pool(pool)
        return _clients[url]


def _async_client(url: str) -> Any:
    clients = _loop_clients().get(None)
    if clients is None:
        clients = {}
        _loop_clients().set(clients)
    if url not in clients:
        import redis.asyncio  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415

        options = _options()
        retry = Retry(options.pop("backoff"), 1)
        pool = redis.asyncio.BlockingConnectionPool.from_url(url, retry=retry, **options)
        clients[url] = redis.asyncio.Redis.from_pool(pool)
    return clients[url]


@functools.cache
def _loop_clients() -> RunVar[dict[str, Any]]:
    from anyio.lowlevel import RunVar  # noqa: PLC0415

    return RunVar("auth_agent_redis")


def _forget_clients() -> None:
    """A forked worker must not share its parent's connections."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients)
