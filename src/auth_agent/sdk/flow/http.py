"""HTTP for the SDK: its clients, and one exchange, for threads and for tasks.

Cookies live in the client's own jar, which keeps each host's apart. A caller's client keeps its
`auth` and default headers to itself: they are not meant for these websites.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag

from auth_agent.errors import ServerMisbehaved
from auth_agent.flow.connections.deadline import deadline
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk.flow.cookies import add_secure_cookies, new_jar
from auth_agent.sdk.flow.effects import Fetch
from auth_agent.sdk.flow.quiet import without_queries
from auth_agent.sdk.flow.signer import Signer
from auth_agent.sdk.flow.unreachable import unavailable
from auth_agent.url import normal_origin, url_problem

if TYPE_CHECKING:
    import httpx2

MAX_BYTES = 1_048_576
LOOK_UP_SECONDS = 5.0
_UNCHANGED: dict[str, Any] = {"stream": True, "auth": None, "follow_redirects": False}


def new_client(timeout: float, url: str = "") -> httpx2.Client:
    """Returns a client for the website of `url`; every exchange has a deadline."""
    from auth_agent.flow.connections import clients  # noqa: PLC0415

    client = clients.new_client(timeout=timeout, base_url=_base(url))

    def before(request: httpx2.Request) -> None:
        add_secure_cookies(request, client.cookies.jar)

    client.event_hooks = {"request": [before]}
    client.cookies = new_jar()
    return client


def new_async_client(timeout: float, url: str = "") -> httpx2.AsyncClient:
    """Returns such a client for tasks."""
    from auth_agent.flow.connections import clients  # noqa: PLC0415

    client = clients.new_async_client(timeout=timeout, base_url=_base(url))

    async def before(request: httpx2.Request) -> None:
        add_secure_cookies(request, client.cookies.jar)

    client.event_hooks = {"request": [before]}
    client.cookies = new_jar()
    return client


def to_response(url: str, response: HttpResponse) -> httpx2.Response:
    """Returns the last answer of a sign-in as the client's own type."""
    import httpx2  # noqa: PLC0415

    return httpx2.Response(
        response.status,
        headers=dict(response.headers),
        content=response.body,
        request=httpx2.Request("GET", url),
    )


def fetch(effect: Fetch, client: httpx2.Client, signer: Signer | None = None) -> HttpResponse:
    """Sends one request within its deadline, signed if there is a signer; raises `AuthError`."""
    import httpx2  # noqa: PLC0415

    ends_at = time.monotonic() + effect.seconds
    try:
        with deadline(effect.seconds), without_queries():
            response = client.send(_request(effect, client, signer), **_UNCHANGED)
            with closing(response):
                body = _Body(response)
                for chunk in _read_already(response) or response.iter_raw():
                    body.add(chunk)
                    _check_deadline(ends_at)
                return _heard(effect, body.finish(), signer)
    except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
        raise unavailable(effect.request, error) from None


async def fetch_async(
    effect: Fetch, client: httpx2.AsyncClient, signer: Signer | None = None
) -> HttpResponse:
    """Sends one request as `fetch` does, for tasks."""
    import anyio  # noqa: PLC0415
    import httpx2  # noqa: PLC0415

    try:
        with anyio.fail_after(effect.seconds), without_queries():
            response = await client.send(_request(effect, client, signer), **_UNCHANGED)
            async with aclosing(response):
                body = _Body(response)
                if read := _read_already(response):
                    body.add(*read)
                else:
                    async for chunk in response.aiter_raw():
                        body.add(chunk)
                return _heard(effect, body.finish(), signer)
    except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
        raise unavailable(effect.request, error) from None


def addresses(host: str) -> tuple[str, ...]:
    """Returns the addresses of a host; none if the system has none, or takes too long."""
    found: list[tuple[str, ...]] = []
    looking = threading.Thread(target=lambda: found.append(_look_up(host)), daemon=True)
    looking.start()
    looking.join(LOOK_UP_SECONDS)
    return found[0] if found else ()


async def addresses_async(host: str) -> tuple[str, ...]:
    """Returns the addresses, for tasks; does not wait for a resolver that hangs."""
    import anyio  # noqa: PLC0415

    with anyio.move_on_after(LOOK_UP_SECONDS):
        return await anyio.to_thread.run_sync(_look_up, host, abandon_on_cancel=True)
    return ()


def _look_up(host: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(str(entry[4][0]) for entry in found)


def _base(url: str) -> str:
    url = urldefrag(url).url
    return normal_origin(url) if url_problem(url, query=True) is None else ""


def _check_deadline(ends_at: float) -> None:
    """Raises at the deadline; a caller's client has a time-out for each read only."""
    if time.monotonic() > ends_at:
        raise TimeoutError


def _request(
    effect: Fetch, client: httpx2.Client | httpx2.AsyncClient, signer: Signer | None
) -> httpx2.Request:
    import httpx2  # noqa: PLC0415

    request = effect.request
    made = httpx2.Request(
        request.method,
        request.url,
        headers=[*request.headers, ("Accept-Encoding", "identity"), ("User-Agent", "auth-agent")],
        content=request.body or None,
        cookies=client.cookies,
        extensions={"timeout": httpx2.Timeout(effect.seconds).as_dict()},
    )
    add_secure_cookies(made, client.cookies.jar)
    if signer is not None and effect.signed:
        signer.sign(made)
    return made


def _read_already(response: httpx2.Response) -> tuple[bytes, ...]:
    """Returns the body that a caller's transport gave as a whole, as `MockTransport` does."""
    return (response.content,) if response.is_stream_consumed else ()


def _heard(effect: Fetch, response: HttpResponse, signer: Signer | None) -> HttpResponse:
    """Returns the answer, once the signer knows which form the website asks for."""
    if signer is not None:
        signer.learn(effect.request.url, response.headers.get("accept-signature"))
    return response


class _Body:
    """Collects an answer of at most one mebibyte."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: list[bytes] = []
        self._left = MAX_BYTES

    def add(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise ServerMisbehaved("An answer is larger than 1 MiB.", code="answer_too_large")
        self._chunks.append(chunk)

    def finish(self) -> HttpResponse:
        headers = {name.lower(): value for name, value in self._response.headers.items()}
        return HttpResponse(self._response.status_code, headers, b"".join(self._chunks))
