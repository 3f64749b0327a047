"""HTTP clients that keep to a deadline, use the environment's proxy, and handle loopback.

A request to a loopback host uses no proxy, and a name below `.localhost` is never looked up in DNS.
A proxy or a certificate file that cannot be used raises `ServerUnavailable` with `proxy_failed` or
`tls_failed`, at the first request that needs it.
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2

from auth_agent.errors import ServerUnavailable
from auth_agent.flow.connections.dialling import AsyncBackend, Backend
from auth_agent.flow.connections.proxies import Proxies, ProxySetting
from auth_agent.flow.kept import PerProcess

MAX_CONNECTIONS = 100
MAX_KEPT = 20
KEEPALIVE_SECONDS = 3.0  # below the five seconds after which common servers hang up


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Returns the one context of this process; raises `ServerUnavailable` with `tls_failed`."""
    try:
        return httpx2.create_ssl_context()  # reads the CA bundle: 20 ms, once
    except (OSError, ValueError) as error:  # an `ssl.SSLError` is an OSError
        variables = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        raise ServerUnavailable(
            f"The certificates of {' or '.join(variables) or 'this system'} cannot be read "
            f"({type(error).__name__}); name a file of certificates (PEM), or remove the variable.",
            code="tls_failed",
        ) from None


def new_client(
    *,
    tls: ssl.SSLContext | None = None,
    use_environment: bool = True,
    max_kept: int = MAX_KEPT,
    **options: Any,
) -> httpx2.Client:
    """Returns a client for threads; `options` are those of `httpx2.Client`."""
    pools = _Pools(_SYNC, tls, Proxies() if use_environment else None, max_kept)
    return httpx2.Client(transport=_Transport(pools), **options)


def new_async_client(**options: Any) -> httpx2.AsyncClient:
    """Returns a client for tasks; `options` are those of `httpx2.AsyncClient`."""
    pools = _Pools(_ASYNC, None, Proxies(), MAX_KEPT)
    return httpx2.AsyncClient(transport=_AsyncTransport(pools), **options)


class _Colour:
    """The difference between threads and tasks when a pool is created."""

    def __init__(self, direct: Any, http: Any, socks: Any, backend: Callable[[], Any]) -> None:
        self.direct, self.http, self.socks, self.backend = direct, http, socks, backend


_SYNC = _Colour(httpcore2.ConnectionPool, httpcore2.HTTPProxy, httpcore2.SOCKSProxy, Backend)
_ASYNC = _Colour(
    httpcore2.AsyncConnectionPool,
    httpcore2.AsyncHTTPProxy,
    httpcore2.AsyncSOCKSProxy,
    AsyncBackend,
)


class _Pools:
    """The connection pools of one client: a direct one, and one per proxy."""

    def __init__(
        self, colour: _Colour, tls: ssl.SSLContext | None, proxies: Proxies | None, max_kept: int
    ) -> None:
        self._colour, self._tls, self._proxies, self._max_kept = colour, tls, proxies, max_kept
        self._pools = PerProcess[Any]()

    def pool_for(self, url: httpx2.URL) -> Any:
        """Returns the pool for this URL; raises `ServerUnavailable` if none can be made."""
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        found = self._proxies and self._proxies.proxy_for(url.scheme, url.host, port)
        return self._pools.get((secure, found), lambda: self._make(secure, found or None))

    def take_all(self) -> list[Any]:
        """Returns all pools, to be closed."""
        return self._pools.take_all()

    def _make(self, secure: bool, setting: ProxySetting | None) -> Any:
        options: dict[str, Any] = {
            "max_connections": MAX_CONNECTIONS,
            "max_keepalive_connections": self._max_kept,
            "keepalive_expiry": KEEPALIVE_SECONDS,
            "network_backend": self._colour.backend(),
        }
        if secure:  # plain http must not fail because of certificates
            options["ssl_context"] = self._tls or tls_context()
        if setting is None:
            return self._colour.direct(**options)
        return self._make_proxied(setting, options)

    def _make_proxied(self, setting: ProxySetting, options: dict[str, Any]) -> Any:
        hint = (
            "write it like http://user:password@proxy.example:3128, special characters "
            "percent-encoded, or socks5://… for SOCKS"
        )
        if "#" in setting.url or "?" in setting.url:  # of a password; the host would be another
            raise _unusable(setting, hint)
        try:
            proxy = httpx2.Proxy(setting.url)
            if not proxy.url.host:
                raise _unusable(setting, hint)
            target = proxy.url.copy_with(raw_path=b"/")
            options |= {"proxy_url": str(target), "proxy_auth": proxy.raw_auth}
            if proxy.url.scheme.startswith("socks"):
                import socksio  # type: ignore[import-not-found,unused-ignore] # noqa: F401, PLC0415

                return self._colour.socks(**options)
            if proxy.url.scheme == "https":
                options["proxy_ssl_context"] = tls_context()
            return self._colour.http(**options)
        except ImportError:
            raise _unusable(setting, "pip install 'httpx2[socks]'") from None
        except (ValueError, TypeError, httpx2.InvalidURL):
            raise _unusable(setting, hint) from None


def _unusable(setting: ProxySetting, remedy: str) -> ServerUnavailable:
    """Returns the error, which names the variable but not its value: that may hold a password."""
    return ServerUnavailable(
        f"The proxy in {setting.variable} cannot be used: {remedy}.", code="proxy_failed"
    )


class _Transport(httpx2.BaseTransport):
    def __init__(self, pools: _Pools) -> None:
        self._pools = pools

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        pool = self._pools.pool_for(request.url)
        with _translated():
            answer = pool.handle_request(_core_request(request))
        return _response(answer, _Stream(answer.stream))

    def close(self) -> None:
        for pool in self._pools.take_all():
            pool.close()


class _AsyncTransport(httpx2.AsyncBaseTransport):
    def __init__(self, pools: _Pools) -> None:
        self._pools = pools

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        pool = self._pools.pool_for(request.url)
        with _translated():
            answer = await pool.handle_async_request(_core_request(request))
        return _response(answer, _AsyncStream(answer.stream))

    async def aclose(self) -> None:
        for pool in self._pools.take_all():
            await pool.aclose()


class _Stream(httpx2.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


class _AsyncStream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _core_request(request: httpx2.Request) -> httpcore2.Request:
    url = request.url
    return httpcore2.Request(
        request.method,
        httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _response(answer: httpcore2.Response, stream: Any) -> httpx2.Response:
    return httpx2.Response(
        answer.status, headers=answer.headers, stream=stream, extensions=answer.extensions
    )


_TRANSLATED: Iterable[str] = (
    "TimeoutException", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout",
    "NetworkError", "ConnectError", "ReadError", "WriteError", "ProxyError", "UnsupportedProtocol",
    "ProtocolError", "LocalProtocolError", "RemoteProtocolError",
)  # fmt: skip
_ERRORS: dict[type[BaseException], type[httpx2.TransportError]] = {
    getattr(httpcore2, name): getattr(httpx2, name) for name in _TRANSLATED
}


@contextmanager
def _translated() -> Iterator[None]:
    """Translates httpcore2's errors into those of httpx2 with the same names."""
    try:
        yield
    except tuple(_ERRORS) as error:
        kind = next(_ERRORS[base] for base in type(error).__mro__ if base in _ERRORS)
        raise kind(str(error)) from error
