"""Reads the URL and content of a page in a browser that Playwright drives.

Nothing is written into a page, and no code of ours runs among its scripts: the HTML is read in
Playwright's own world, the rest comes from the browser. The agent answers over a connection of its
own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from auth_agent.errors import AuthError
from auth_agent.sdk.flow.effects import AwaitUrl, GoTo, PageEffect, Shown
from auth_agent.sdk.text import one_line

if TYPE_CHECKING:
    from playwright.async_api import Page as AsyncPage
    from playwright.sync_api import Page as SyncPage

READ_SECONDS = 5.0  # a page whose scripts never end would be read for ever
MAX_STATUSES = 100
_LOADED: Literal["domcontentloaded"] = "domcontentloaded"
_URL = re.compile(r"\b[a-z]+://\S+", re.IGNORECASE)
_BETWEEN = ("navigating", "Execution context was destroyed", "interrupted by another navigation")


class Tab:
    """A page, and the navigations of its main frame while a flow runs."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.moves = 0
        self._statuses: dict[str, int] = {}
        page.on("framenavigated", self._note_move)
        page.on("response", self._note_status)

    def leave(self) -> None:
        self.page.remove_listener("framenavigated", self._note_move)
        self.page.remove_listener("response", self._note_status)

    def shown(self, moves: int, url: str, html: str) -> Shown | None:
        """Returns the content of one page, or None if the browser moved on during the read.

        The URL before and after is not enough: an opener may send the tab from A to B and back.
        Playwright delivers the event of a navigation before any content of the new page.
        """
        if moves != self.moves or url != self.page.url:
            return None
        return Shown(url, html, self._statuses.get(url.partition("#")[0]))

    def _note_move(self, frame: Any) -> None:
        if frame.parent_frame is None:
            self.moves += 1

    def _note_status(self, response: Any) -> None:
        if response.request.is_navigation_request() and len(self._statuses) < MAX_STATUSES:
            self._statuses[response.url.partition("#")[0]] = response.status


def perform(effect: PageEffect, tab: Tab) -> bool | Shown | None:
    """Raises `browser_failed` if the page is gone."""
    from playwright.sync_api import Error, TimeoutError  # noqa: PLC0415

    page: SyncPage = tab.page
    try:
        if isinstance(effect, AwaitUrl):
            timeout = milliseconds(effect.seconds)
            page.wait_for_url(effect.accept, timeout=timeout, wait_until=_LOADED)
            return True
        if isinstance(effect, GoTo):
            page.goto(effect.url, timeout=milliseconds(effect.seconds), wait_until=_LOADED)
            return True
        moves, url = tab.moves, page.url
        html = page.locator(":root").inner_html(timeout=milliseconds(READ_SECONDS))
        return tab.shown(moves, url, html)
    except TimeoutError:
        return False if isinstance(effect, AwaitUrl | GoTo) else None
    except Error as error:
        check_between(error)
        return None


async def perform_async(effect: PageEffect, tab: Tab) -> bool | Shown | None:
    """Reads the page, for tasks; raises as `perform` does."""
    from playwright.async_api import Error, TimeoutError  # noqa: PLC0415

    page: AsyncPage = tab.page
    try:
        if isinstance(effect, AwaitUrl):
            timeout = milliseconds(effect.seconds)
            await page.wait_for_url(effect.accept, timeout=timeout, wait_until=_LOADED)
            return True
        if isinstance(effect, GoTo):
            await page.goto(effect.url, timeout=milliseconds(effect.seconds), wait_until=_LOADED)
            return True
        moves, url = tab.moves, page.url
        html = await page.locator(":root").inner_html(timeout=milliseconds(READ_SECONDS))
        return tab.shown(moves, url, html)
    except TimeoutError:
        return False if isinstance(effect, AwaitUrl | GoTo) else None
    except Error as error:
        check_between(error)
        return None


def milliseconds(seconds: float) -> float:
    return max(1.0, seconds * 1_000)  # 0 would be for ever


def check_between(error: Exception) -> None:
    """Raises `browser_failed`, unless the page is only between two pages."""
    if not any(words in str(error) for words in _BETWEEN):
        raise AuthError(
            f"The browser's page cannot be used: {words_of(error)}", code="browser_failed"
        ) from None


def words_of(error: Exception) -> str:
    """Returns Playwright's message without URLs: they may hold a code, or a browser's token."""
    message = str(error).partition("Call log")[0]
    return one_line(_URL.sub("…", message), 200)
