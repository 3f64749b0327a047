"""A page in a browser that Playwright drives: where it is and what it shows, never what to do.

Nothing is written into a page, no script of ours runs in one that could read a secret: the agent
answers over a connection of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from auth_agent.errors import AuthError
from auth_agent.sdk.flow.effects import AwaitUrl, ReadPage, Shown

if TYPE_CHECKING:
    from playwright.async_api import Page as AsyncPage
    from playwright.sync_api import Page as SyncPage

_LOADED: Literal["domcontentloaded"] = "domcontentloaded"
_STATUS = "performance.getEntriesByType('navigation')[0]?.responseStatus || null"
_BETWEEN = ("navigating", "Execution context was destroyed")


def perform(effect: AwaitUrl | ReadPage, page: SyncPage) -> bool | Shown | None:
    """Raises `browser_failed` where the page is gone."""
    from playwright.sync_api import Error, TimeoutError  # noqa: PLC0415

    try:
        if isinstance(effect, AwaitUrl):
            page.wait_for_url(effect.accept, timeout=_milliseconds(effect), wait_until=_LOADED)
            return True
        url = page.url
        html, status = page.content(), page.evaluate(_STATUS)
        return _shown(url, page.url, html, status)
    except TimeoutError:
        return False if isinstance(effect, AwaitUrl) else None
    except Error as error:
        _check_between(error)
        return None


async def perform_async(effect: AwaitUrl | ReadPage, page: AsyncPage) -> bool | Shown | None:
    """The same for tasks."""
    from playwright.async_api import Error, TimeoutError  # noqa: PLC0415

    try:
        if isinstance(effect, AwaitUrl):
            timeout = _milliseconds(effect)
            await page.wait_for_url(effect.accept, timeout=timeout, wait_until=_LOADED)
            return True
        url = page.url
        html, status = await page.content(), await page.evaluate(_STATUS)
        return _shown(url, page.url, html, status)
    except TimeoutError:
        return False if isinstance(effect, AwaitUrl) else None
    except Error as error:
        _check_between(error)
        return None


def _milliseconds(effect: AwaitUrl) -> float:
    return max(1.0, effect.seconds * 1_000)  # 0 would be for ever


def _shown(before: str, after: str, html: str, status: Any) -> Shown | None:
    """Only what one page said: it may have gone on while it was read."""
    if before != after:
        return None
    return Shown(before, html, status if isinstance(status, int) else None)


def _check_between(error: Exception) -> None:
    if not any(words in str(error) for words in _BETWEEN):
        raise AuthError(
            f"The browser's page cannot be used: {str(error).splitlines()[0]}",
            code="browser_failed",
        ) from None
