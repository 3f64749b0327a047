"""Performs the effects of the SDK's flows: the only place where its two colours differ.

What a browser's page is asked is performed by `auth_agent.sdk.flow.browser`. Cookies live in the
client's own jar, which keeps each host's apart. The client's own `auth` and default headers are
left out: they belong to whoever made the client, not to these websites.
"""

from __future__ import annotations

import inspect
import secrets
import time
from collections.abc import Callable
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urldefrag

from auth_agent.errors import AuthError, ServerMisbehaved
from auth_agent.flow.deadline import deadline, held
from auth_agent.flow.effects import Running
from auth_agent.flow.exchange import HttpResponse
from auth_agent.flow.transport import tls_context
from auth_agent.sdk.flow import browser
from auth_agent.sdk.flow.effects import (
    AwaitUrl,
    Call,
    Draw,
    Effect,
    Fetch,
    Flow,
    Now,
    ReadPage,
    Step,
    Tell,
    Today,
    Wait,
)
from auth_agent.sdk.flow.quiet import without_queries
from auth_agent.sdk.flow.unreachable import unavailable
from auth_agent.url import normal_origin, url_problem

if TYPE_CHECKING:
    import httpx2
    from playwright.async_api import Page as AsyncPage
    from playwright.sync_api import Page as SyncPage

T = TypeVar("T")

MAX_BYTES = 1_048_576

Teller = Callable[[Step], None]


def silent(_step: Step) -> None:
    pass


class _Hands(NamedTuple):
    client: Any
    teller: Teller
    page: Any


def run(
    flow: Flow[T], client: httpx2.Client, teller: Teller = silent, page: SyncPage | None = None
) -> T:
    """The flow's value; raises what the flow raises."""
    hands = _Hands(client, teller, page)
    running = Running(flow)
    while (effect := running.advance()) is not None:
        try:
            running.result = _perform(effect, hands)
        except AuthError as error:
            running.error = error
    return running.value


async def arun(
    flow: Flow[T],
    client: httpx2.AsyncClient,
    teller: Teller = silent,
    page: AsyncPage | None = None,
) -> T:
    """The flow's value; raises what the flow raises."""
    hands = _Hands(client, teller, page)
    running = Running(flow)
    while (effect := running.advance()) is not None:
        try:
            running.result = await _perform_async(effect, hands)
        except AuthError as error:
            running.error = error
    return running.value


def new_client(timeout: float, url: str = "") -> httpx2.Client:
    """A client for the website of `url`; every exchange has a deadline."""
    import httpx2  # noqa: PLC0415

    return held(httpx2.Client(verify=tls_context(), timeout=timeout, base_url=_base(url)))


def new_async_client(timeout: float, url: str = "") -> httpx2.AsyncClient:
    """The same for tasks."""
    import httpx2  # noqa: PLC0415

    return httpx2.AsyncClient(verify=tls_context(), timeout=timeout, base_url=_base(url))


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


def _perform(effect: Effect, hands: _Hands) -> Any:
    if isinstance(effect, Fetch):
        return _fetch(effect, hands.client)
    if isinstance(effect, Wait):
        return time.sleep(effect.seconds)
    if isinstance(effect, Call):
        result = effect.function(*effect.arguments)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(f"{effect.function!r} is async; AsyncAgentSDK takes such functions")
        return result
    if isinstance(effect, AwaitUrl | ReadPage):
        return browser.perform(effect, hands.page)
    return _perform_at_once(effect, hands)


async def _perform_async(effect: Effect, hands: _Hands) -> Any:
    if isinstance(effect, Fetch):
        return await _fetch_async(effect, hands.client)
    if isinstance(effect, Wait):
        import anyio  # noqa: PLC0415

        return await anyio.sleep(effect.seconds)
    if isinstance(effect, Call):
        result = effect.function(*effect.arguments)
        return await result if inspect.isawaitable(result) else result
    if isinstance(effect, AwaitUrl | ReadPage):
        return await browser.perform_async(effect, hands.page)
    return _perform_at_once(effect, hands)


def _perform_at_once(effect: Now | Today | Draw | Tell, hands: _Hands) -> float | str | None:
    if isinstance(effect, Now):
        return time.monotonic()
    if isinstance(effect, Today):
        return time.time()
    if isinstance(effect, Draw):
        return secrets.token_urlsafe(effect.size)
    return hands.teller(effect.step)


def _fetch(effect: Fetch, client: httpx2.Client) -> HttpResponse:
    import httpx2  # noqa: PLC0415

    ends_at = time.monotonic() + effect.seconds
    try:
        with deadline(effect.seconds), without_queries():
            response = client.send(_request(effect, client), **_AS_IT_IS)
            with closing(response):
                body = _Body(response)
                for chunk in response.iter_raw():
                    body.add(chunk)
                    _check_deadline(ends_at)
                return body.finish()
    except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
        raise unavailable(effect.request, error) from None


async def _fetch_async(effect: Fetch, client: httpx2.AsyncClient) -> HttpResponse:
    import anyio  # noqa: PLC0415
    import httpx2  # noqa: PLC0415

    try:
        with anyio.fail_after(effect.seconds), without_queries():
            response = await client.send(_request(effect, client), **_AS_IT_IS)
            async with aclosing(response):
                body = _Body(response)
                async for chunk in response.aiter_raw():
                    body.add(chunk)
                return body.finish()
    except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
        raise unavailable(effect.request, error) from None


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
