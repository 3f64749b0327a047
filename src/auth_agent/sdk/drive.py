"""Performs the effects of the SDK's flows: the only place where its two colours differ.

Cookies live in the client's own jar, which keeps each host's apart. The client's own `auth` and
default headers are left out: they belong to whoever made the client, not to these websites.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urldefrag
from urllib.request import getproxies

from auth_agent import transport
from auth_agent.errors import AuthError, ServerMisbehaved, ServerUnavailable
from auth_agent.sdk.flow import Effect, Fetch, Flow, Now, Step, Tell, Wait
from auth_agent.url import normal_origin, url_problem
from auth_agent.wire import HttpResponse

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

MAX_BYTES = 1_048_576

Teller = Callable[[Step], None]


def run(flow: Flow[T], client: httpx2.Client, teller: Teller) -> T:
    """The flow's value; raises what the flow raises."""
    result: Any = None
    error: AuthError | None = None
    while True:
        try:
            effect = flow.send(result) if error is None else flow.throw(error)
        except StopIteration as stop:
            value: T = stop.value
            return value
        result, error = None, None
        try:
            result = _perform(effect, client, teller)
        except AuthError as raised:
            error = raised


async def arun(flow: Flow[T], client: httpx2.AsyncClient, teller: Teller) -> T:
    """The flow's value; raises what the flow raises."""
    result: Any = None
    error: AuthError | None = None
    while True:
        try:
            effect = flow.send(result) if error is None else flow.throw(error)
        except StopIteration as stop:
            value: T = stop.value
            return value
        result, error = None, None
        try:
            result = await _perform_async(effect, client, teller)
        except AuthError as raised:
            error = raised


def new_client(timeout: float, url: str) -> httpx2.Client:
    """A client for the website of `url`; every exchange has a deadline (`auth_agent.transport`)."""
    import httpx2  # noqa: PLC0415

    options: dict[str, Any] = {"timeout": timeout, "base_url": _base(url)}
    if getproxies():  # these come with a transport of their own
        return httpx2.Client(verify=transport._tls(), **options)
    return httpx2.Client(transport=transport._deadline_transport(), **options)


def new_async_client(timeout: float, url: str) -> httpx2.AsyncClient:
    """The same for tasks."""
    import httpx2  # noqa: PLC0415

    return httpx2.AsyncClient(verify=transport._tls(), timeout=timeout, base_url=_base(url))


def _base(url: str) -> str:
    url = urldefrag(url).url
    return normal_origin(url) if url_problem(url, query=True) is None else ""


def to_response(url: str, response: HttpResponse) -> httpx2.Response:
    """What a sign-in ended with, in the client's own words."""
    import httpx2  # noqa: PLC0415

    return httpx2.Response(
        response.status,
        headers=dict(response.headers),
        content=response.body,
        request=httpx2.Request("GET", url),
    )


def _perform(effect: Effect, client: httpx2.Client, teller: Teller) -> Any:
    if isinstance(effect, Fetch):
        return _fetch(effect, client)
    if isinstance(effect, Wait):
        time.sleep(effect.seconds)
        return None
    return _perform_at_once(effect, teller)


async def _perform_async(effect: Effect, client: httpx2.AsyncClient, teller: Teller) -> Any:
    if isinstance(effect, Fetch):
        return await _fetch_async(effect, client)
    if isinstance(effect, Wait):
        import anyio  # noqa: PLC0415

        await anyio.sleep(effect.seconds)
        return None
    return _perform_at_once(effect, teller)


def _perform_at_once(effect: Now | Tell, teller: Teller) -> float | None:
    if isinstance(effect, Now):
        return time.monotonic()
    teller(effect.step)
    return None


def _fetch(effect: Fetch, client: httpx2.Client) -> HttpResponse:
    import httpx2  # noqa: PLC0415

    ends_at = transport._deadline.at = time.monotonic() + effect.seconds
    try:
        response = client.send(_request(effect, client), **_AS_IT_IS)
        with closing(response):
            body = _Body(response)
            for chunk in response.iter_raw():
                body.add(chunk)
                _check_deadline(ends_at)
            return body.finish()
    except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
        raise _unavailable(effect, error) from None
    finally:
        transport._deadline.at = None


async def _fetch_async(effect: Fetch, client: httpx2.AsyncClient) -> HttpResponse:
    import anyio  # noqa: PLC0415
    import httpx2  # noqa: PLC0415

    try:
        with anyio.fail_after(effect.seconds):
            response = await client.send(_request(effect, client), **_AS_IT_IS)
            async with aclosing(response):
                body = _Body(response)
                async for chunk in response.aiter_raw():
                    body.add(chunk)
                return body.finish()
    except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
        raise _unavailable(effect, error) from None


def _check_deadline(ends_at: float) -> None:
    """A client of the caller's knows only the time-out of each read."""
    if time.monotonic() > ends_at:
        raise TimeoutError


_AS_IT_IS: dict[str, Any] = {"stream": True, "auth": None, "follow_redirects": False}


def _request(effect: Fetch, client: httpx2.Client | httpx2.AsyncClient) -> httpx2.Request:
    import httpx2  # noqa: PLC0415

    request = effect.request
    return httpx2.Request(
        request.method,
        request.url,
        headers=[*request.headers, ("Accept-Encoding", "identity"), ("User-Agent", "auth-agent")],
        content=request.body or None,
        cookies=client.cookies,
        extensions={"timeout": httpx2.Timeout(effect.seconds).as_dict()},
    )


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


def _unavailable(effect: Fetch, error: Exception) -> ServerUnavailable:
    host = effect.request.url.split("/")[2]
    return ServerUnavailable(f"{host} does not answer ({type(error).__name__}).")
