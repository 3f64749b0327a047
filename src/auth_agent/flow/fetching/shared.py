"""The fetchers of this process that perform the effect `Fetch`, in threads and for tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth_agent.flow.exchange import HttpResponse
from auth_agent.flow.kept import PerProcess

if TYPE_CHECKING:
    from auth_agent.flow.effects import Fetch
    from auth_agent.flow.fetching.fetcher import Fetcher

PER_MINUTE = 60  # fetches of one host
TRUSTED_PER_MINUTE = 600  # of one that the operator has chosen

_fetchers: PerProcess[Fetcher] = PerProcess()


def fetch(effect: Fetch) -> HttpResponse:
    """Fetches, for threads; raises `FetchRefused` if the address gives no proper answer."""
    key = (effect.loopback_allowed, effect.trusted)
    fetcher = _fetchers.get(key, lambda: _new(*key))
    found = fetcher.get(effect.url, effect.accept, renews=effect.renews)
    return HttpResponse(found.status, found.headers, found.body)


async def fetch_async(effect: Fetch) -> HttpResponse:
    """Fetches in a thread: names are looked up there in any case."""
    from anyio import to_thread  # noqa: PLC0415

    return await to_thread.run_sync(fetch, effect)


def close() -> None:
    """Closes this process's fetchers; the next effect creates new ones."""
    for fetcher in _fetchers.take_all():
        fetcher.close()


def _new(loopback_allowed: bool, trusted: bool) -> Fetcher:
    from auth_agent.flow.fetching.fetcher import Fetcher  # noqa: PLC0415  # the HTTP client

    per_minute = TRUSTED_PER_MINUTE if trusted else PER_MINUTE
    return Fetcher(loopback_allowed=loopback_allowed, per_minute=per_minute)
