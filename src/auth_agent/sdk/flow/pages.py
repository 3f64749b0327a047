"""Signs the requests of a browser's pages (Chromium, over the DevTools protocol's Fetch domain).

Playwright's own routes see no redirect, so that a signature would go on to where it leads. Here
every request is paused, each hop of a redirect too, and goes on with a signature of its own.
Nothing is written into a page. A request that cannot be signed goes on without a signature, and
none is held back once the session is detached. WebSockets are not paused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from auth_agent.errors import AuthError
from auth_agent.sdk.flow.browser import words_of
from auth_agent.sdk.flow.paused import Ask, Asking, Pages, Scope, decide
from auth_agent.sdk.flow.signer import Signer

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext as AsyncContext
    from playwright.async_api import CDPSession as AsyncSession
    from playwright.async_api import Page as AsyncPage
    from playwright.sync_api import BrowserContext as SyncContext
    from playwright.sync_api import CDPSession as SyncSession
    from playwright.sync_api import Page as SyncPage

_PAUSE = {
    "patterns": [
        {"urlPattern": f"{scheme}://*", "requestStage": "Request"} for scheme in ("http", "https")
    ]
}
_PAUSED = "Fetch.requestPaused"


class PageSigning:
    """The signing of a page's or context's requests, until `stop()` or until it is closed."""

    def __init__(self, session: SyncSession, scope: Scope, signer: Signer) -> None:
        self._session, self._scope, self._signer = session, scope, signer

    @classmethod
    def start(cls, target: SyncPage | SyncContext, signer: Signer) -> PageSigning:
        """Raises `browser_failed` if the browser is not Chromium, or is gone."""
        from playwright.sync_api import Error  # noqa: PLC0415

        try:
            session, pages = _opened(target)
            signing = cls(session, Scope(pages), signer)
            session.on(_PAUSED, signing._answer)
            session.send("Fetch.enable", _PAUSE)
        except Error as error:
            raise _unusable(error) from None
        return signing

    def stop(self) -> None:
        """Signs no more requests."""
        from playwright.sync_api import Error  # noqa: PLC0415

        with suppress(Error):
            self._session.detach()

    def _answer(self, event: dict[str, Any]) -> None:
        """Lets the request go on whatever happens: else the page would wait for ever."""
        from playwright.sync_api import Error  # noqa: PLC0415

        going_on: dict[str, Any] = {"requestId": event["requestId"]}
        with suppress(Error):  # the page is gone, for example
            try:
                going_on |= self._run(decide(event, self._scope, self._signer))
            finally:
                self._session.send("Fetch.continueRequest", going_on)

    def _run(self, asking: Asking) -> Any:
        result = None
        while True:
            try:
                ask = asking.send(result)
            except StopIteration as end:
                return end.value
            result = self._ask(ask)

    def _ask(self, ask: Ask) -> Any:
        if ask.page is None:
            return self._session.send(ask.method, ask.params)
        # Not detached: that would wait for the navigation that waits for us.
        session = ask.page.context.new_cdp_session(ask.page)
        return session.send(ask.method, ask.params)


class AsyncPageSigning:
    """The signing of a page's or context's requests, for tasks."""

    def __init__(self, session: AsyncSession, scope: Scope, signer: Signer) -> None:
        self._session, self._scope, self._signer = session, scope, signer

    @classmethod
    async def start(
        cls, target: AsyncPage | AsyncContext | Any, signer: Signer
    ) -> AsyncPageSigning:
        """Raises `browser_failed` if the browser is not Chromium, or is gone."""
        from playwright.async_api import Error  # noqa: PLC0415

        try:
            opening, pages = _opened(target)
            session = await opening
            signing = cls(session, Scope(pages), signer)
            session.on(_PAUSED, signing._answer)
            await session.send("Fetch.enable", _PAUSE)
        except Error as error:
            raise _unusable(error) from None
        return signing

    async def stop(self) -> None:
        """Signs no more requests."""
        from playwright.async_api import Error  # noqa: PLC0415

        with suppress(Error):
            await self._session.detach()

    async def _answer(self, event: dict[str, Any]) -> None:
        """Lets the request go on whatever happens: else the page would wait for ever."""
        from playwright.async_api import Error  # noqa: PLC0415

        going_on: dict[str, Any] = {"requestId": event["requestId"]}
        with suppress(Error):  # the page is gone, for example
            try:
                going_on |= await self._run(decide(event, self._scope, self._signer))
            finally:
                await self._session.send("Fetch.continueRequest", going_on)

    async def _run(self, asking: Asking) -> Any:
        result = None
        while True:
            try:
                ask = asking.send(result)
            except StopIteration as end:
                return end.value
            result = await self._ask(ask)

    async def _ask(self, ask: Ask) -> Any:
        if ask.page is None:
            return await self._session.send(ask.method, ask.params)
        # Not detached: that would wait for the navigation that waits for us.
        session = await ask.page.context.new_cdp_session(ask.page)
        return await session.send(ask.method, ask.params)


def _opened(target: Any) -> tuple[Any, Pages | None]:
    """Opens the session that signs: one of the page, else the browser's own.

    The browser's session sees what a page loads in windows and processes of its own, too.
    """
    if hasattr(target, "goto"):
        return target.context.new_cdp_session(target), None
    if hasattr(target, "new_browser_cdp_session"):
        return target.new_browser_cdp_session(), None
    if target.browser is None:
        raise AuthError(
            "The requests of a persistent context are signed page by page: "
            "sdk.sign_page(page) for each of its pages.",
            code="browser_failed",
        )
    return target.browser.new_browser_cdp_session(), lambda: target.pages


def _unusable(error: Exception) -> AuthError:
    return AuthError(
        f"Requests are signed in Chromium only, while it runs: {words_of(error)}",
        code="browser_failed",
    )
