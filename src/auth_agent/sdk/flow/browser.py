"""Reads a page in a browser that Playwright drives: where it is and what it shows.

Nothing is written into a page, and no script that could read a secret runs in one: the agent
answers over a connection of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from auth_agent.errors import AuthError
from auth_agent.sdk.flow.effects import AwaitUrl, GoTo, PageEffect, Shown
from auth_agent.sdk.text import one_line

if TYPE_CHECKING:
    from playwright.async_api import Page as AsyncPage
    from playwright.sync_api import Page as SyncPage

_LOADED: Literal["domcontentloaded"] = "domcontentloaded"
_STATUS = "performance.getEntriesByType('navigation')[0]?.responseStatus || null"
_BETWEEN = ("navigating", "Execution context was destroyed", "interrupted by another navigation")


def perform(effect: PageEffect, page: SyncPage) -> bool | Shown | None:
    """Raises `browser_failed` if the page is gone."""
    from playwright.sync_api import Error, TimeoutError  # noqa: PLC0415

    try:
        if isinstance(effect, AwaitUrl):
            page.wait_for_url(effect.accept, timeout=milliseconds(effect), wait_until=_LOADED)
            return True
        if isinstance(effect, GoTo):
            page.goto(effect.url, timeout=milliseconds(effect), wait_until=_LOADED)
            return True
        with _navigations(page) as seen:
            url = page.url
            html, status = page.content(), page.evaluate(_STATUS)
            return _shown(url, page.url, html, status, moved=bool(seen))
    except TimeoutError:
        return None if not isinstance(effect, AwaitUrl | GoTo) else False
    except Error as error:
        check_between(error)
        return None


async def perform_async(effect: PageEffect, page: AsyncPage) -> bool | Shown | None:
    """Performs the same for tasks."""
    from playwright.async_api import Error, TimeoutError  # noqa: PLC0415

    try:
        if isinstance(effect, AwaitUrl):
            timeout = milliseconds(effect)
            await page.wait_for_url(effect.accept, timeout=timeout, wait_until=_LOADED)
            return True
        if isinstance(effect, GoTo):
            await page.goto(effect.url, timeout=milliseconds(effect), wait_until=_LOADED)
            return True
        with _navigations(page) as seen:
            url = page.url
            html, status = await page.content(), await page.evaluate(_STATUS)
            return _shown(url, page.url, html, status, moved=bool(seen))
    except TimeoutError:
        return None if not isinstance(effect, AwaitUrl | GoTo) else False
    except Error as error:
        check_between(error)
        return None


def milliseconds(effect: AwaitUrl | GoTo) -> float:
    return max(1.0, effect.seconds * 1_000)  # 0 would be for ever


@contextmanager
def _navigations(page: Any) -> Iterator[list[str]]:
    """Collects the navigations of the page's main frame meanwhile.

    The URL before and after is not enough: an opener may send the tab from A to B and back.
    Playwright delivers the event of a navigation before any content of the new page.
    """
    seen: list[str] = []

    def note(frame: Any) -> None:
        if frame.parent_frame is None:
            seen.append(frame.url)

    page.on("framenavigated", note)
    try:
        yield seen
    finally:
        page.remove_listener("framenavigated", note)


def _shown(before: str, after: str, html: str, status: Any, *, moved: bool) -> Shown | None:
    """Returns what one page showed, or None if the browser moved on while it was read."""
    if moved or before != after:
        return None
    return Shown(before, html, status if isinstance(status, int) else None)


def check_between(error: Exception) -> None:
    """Raises `browser_failed`, unless the page is only between two pages."""
    if not any(words in str(error) for words in _BETWEEN):
        raise AuthError(
            f"The browser's page cannot be used: {one_line(str(error).partition('Call log')[0])}",
            code="browser_failed",
        ) from None
