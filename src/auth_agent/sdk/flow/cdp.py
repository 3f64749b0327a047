"""A browser that another program drives, reached over the Chrome DevTools Protocol.

Playwright connects to it and disconnects again; the browser and its tabs stay as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from auth_agent.errors import AuthError
from auth_agent.sdk.flow.browser import words_of
from auth_agent.sdk.flow.effects import ConnectBrowser
from auth_agent.sdk.flow.signer import Signer
from auth_agent.sdk.text import one_line

if TYPE_CHECKING:
    from playwright.async_api import Browser as AsyncBrowser
    from playwright.async_api import Page as AsyncPage
    from playwright.async_api import Playwright as AsyncPlaywright
    from playwright.sync_api import Browser as SyncBrowser
    from playwright.sync_api import Page as SyncPage
    from playwright.sync_api import Playwright as SyncPlaywright

P = TypeVar("P", "SyncPage", "AsyncPage")

_BLANK = ("about:blank", "chrome://newtab/", "chrome://new-tab-page/")


class Connection:
    """A connection for threads."""

    def __init__(self, playwright: SyncPlaywright, browser: SyncBrowser) -> None:
        self._playwright = playwright
        self._browser = browser

    @classmethod
    def open(cls, effect: ConnectBrowser) -> Connection:
        """Raises `browser_failed` if no browser listens at the address."""
        try:
            from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415
        except ModuleNotFoundError:
            raise _no_playwright() from None
        playwright: SyncPlaywright | None = None
        try:
            playwright = sync_playwright().start()
            timeout = effect.seconds * 1_000
            return cls(
                playwright, playwright.chromium.connect_over_cdp(effect.url, timeout=timeout)
            )
        except Error as error:
            if playwright is not None:
                playwright.stop()
            raise _unreachable(effect.url, error) from None

    def find(self, accept: Callable[[str], bool]) -> SyncPage | None:
        return _find((page for context in self._browser.contexts for page in context.pages), accept)

    def blank(self) -> SyncPage:
        """Returns an empty tab, a new one if there is none."""
        if (page := self.find(_BLANK.__contains__)) is not None:
            return page
        contexts = self._browser.contexts
        return (contexts[0] if contexts else self._browser.new_context()).new_page()

    def close(self) -> None:
        """Disconnects, also from a browser that has already gone."""
        from playwright.sync_api import Error  # noqa: PLC0415

        try:
            with suppress(Error):
                self._browser.close()
        finally:
            self._playwright.stop()


class AsyncConnection:
    """A connection for tasks."""

    def __init__(self, playwright: AsyncPlaywright, browser: AsyncBrowser) -> None:
        self._playwright = playwright
        self.browser = browser

    @classmethod
    async def open(cls, effect: ConnectBrowser) -> AsyncConnection:
        """Raises `browser_failed` if no browser listens at the address."""
        try:
            from playwright.async_api import Error, async_playwright  # noqa: PLC0415
        except ModuleNotFoundError:
            raise _no_playwright() from None
        playwright = await async_playwright().start()
        try:
            timeout = effect.seconds * 1_000
            browser = await playwright.chromium.connect_over_cdp(effect.url, timeout=timeout)
        except BaseException as error:
            await playwright.stop()
            if isinstance(error, Error):
                raise _unreachable(effect.url, error) from None
            raise
        return cls(playwright, browser)

    def find(self, accept: Callable[[str], bool]) -> AsyncPage | None:
        return _find((page for context in self.browser.contexts for page in context.pages), accept)

    async def blank(self) -> AsyncPage:
        """Returns an empty tab, a new one if there is none."""
        if (page := self.find(_BLANK.__contains__)) is not None:
            return page
        contexts = self.browser.contexts
        context = contexts[0] if contexts else await self.browser.new_context()
        return await context.new_page()

    async def close(self) -> None:
        """Disconnects, also from a browser that has already gone."""
        from playwright.async_api import Error  # noqa: PLC0415

        try:
            with suppress(Error):
                await self.browser.close()
        finally:
            await self._playwright.stop()


@asynccontextmanager
async def signing(url: str, seconds: float, signer: Signer) -> AsyncIterator[None]:
    """Signs all requests of the browser at this address; raises `browser_failed`."""
    from auth_agent.sdk.flow.pages import AsyncPageSigning  # noqa: PLC0415

    connection = await AsyncConnection.open(ConnectBrowser(url, seconds))
    try:
        signing = await AsyncPageSigning.start(connection.browser, signer)
        try:
            yield
        finally:
            await signing.stop()
    finally:
        await connection.close()


def _find(pages: Iterable[P], accept: Callable[[str], bool]) -> P | None:
    """Returns the newest tab whose URL is accepted."""
    found = [page for page in pages if accept(page.url)]
    return found[-1] if found else None


def _no_playwright() -> AuthError:
    return AuthError(
        "Reaching a browser needs the package playwright: pip install playwright",
        code="browser_failed",
    )


def _unreachable(url: str, error: Exception) -> AuthError:
    """Returns an error with the host alone: a hosted browser's address holds a token."""
    host = one_line(url.partition("://")[2].partition("/")[0].rpartition("@")[2])
    return AuthError(
        f"No browser answers at {host} ({words_of(error)}). Start it with "
        "--remote-debugging-port=9222, and give that address, e.g. http://127.0.0.1:9222.",
        code="browser_failed",
    )
