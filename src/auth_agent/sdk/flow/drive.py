"""Performs the effects of the SDK's flows: the only place where threads and tasks differ.

The requests are in `auth_agent.sdk.flow.http`, a browser's page in `auth_agent.sdk.flow.browser`.
"""

from __future__ import annotations

import inspect
import random
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from auth_agent.errors import AuthError
from auth_agent.flow.effects import Running
from auth_agent.sdk.flow import browser, cdp, http
from auth_agent.sdk.flow.effects import (
    Chance,
    ChoosePage,
    CloseClient,
    ConnectBrowser,
    Draw,
    Effect,
    Fetch,
    Flow,
    Invoke,
    Now,
    OpenClient,
    PageEffect,
    PlainEffect,
    ResolveHost,
    Step,
    Today,
    Wait,
)
from auth_agent.sdk.flow.frames import emptied_frames
from auth_agent.sdk.flow.signer import Signer

if TYPE_CHECKING:
    import httpx2
    from playwright.async_api import Page as AsyncPage
    from playwright.sync_api import Page as SyncPage

T = TypeVar("T")

DISCONNECT_SECONDS = 5.0

Listener = Callable[[Step], None]


def ignore(_step: Step) -> None:
    """Drops a step; the default listener."""


def run(
    flow: Flow[T],
    client: httpx2.Client | None,
    listener: Listener = ignore,
    page: SyncPage | None = None,
    signer: Signer | None = None,
) -> T:
    """Returns the flow's value; raises what the flow raises."""
    performer = _Performer(client, listener, page, signer)
    running = Running(flow)
    try:
        with emptied_frames():
            while (effect := running.advance()) is not None:
                try:
                    running.result = performer.perform(effect)
                except AuthError as error:
                    running.error = error
    except BaseException:
        performer.close_client()
        raise
    finally:
        performer.disconnect()
    return running.value


async def arun(
    flow: Flow[T],
    client: httpx2.AsyncClient | None,
    listener: Listener = ignore,
    page: AsyncPage | None = None,
    signer: Signer | None = None,
) -> T:
    """Returns the flow's value; raises what the flow raises."""
    performer = _AsyncPerformer(client, listener, page, signer)
    running = Running(flow)
    try:
        with emptied_frames():
            while (effect := running.advance()) is not None:
                try:
                    running.result = await performer.perform(effect)
                except AuthError as error:
                    running.error = error
    except BaseException:
        await performer.close_client()
        raise
    finally:
        await performer.disconnect()
    return running.value


class _Resources:
    """The resources of a flow: a client, a listener, a browser's page, and a signer."""

    def __init__(self, client: Any, listener: Listener, page: Any, signer: Signer | None) -> None:
        self.client = client
        self.signer = signer
        self.listener = listener
        self.tab = None if page is None else browser.Tab(page)
        self.opened: Any = None
        self.browser: Any = None

    def take_opened(self) -> Any:
        """Returns the client that the flow has opened, once."""
        opened, self.opened = self.opened, None
        return opened

    def choose(self, page: Any) -> bool:
        """Follows another page from now on, if there is one."""
        self.leave_tab()
        self.tab = None if page is None else browser.Tab(page)
        return page is not None

    def leave_tab(self) -> None:
        if self.tab is not None:
            self.tab.leave()

    def take_browser(self) -> Any:
        """Returns the connection to a browser, once, and follows its page no longer."""
        self.leave_tab()
        connection, self.browser = self.browser, None
        return connection

    def _there(self) -> browser.Tab:
        if self.tab is None:
            raise AuthError("No page of a browser is open.", code="browser_failed")
        return self.tab

    def perform_at_once(self, effect: PlainEffect) -> float | str | None:
        if isinstance(effect, Now):
            return time.monotonic()
        if isinstance(effect, Today):
            return time.time()
        if isinstance(effect, Draw):
            return secrets.token_urlsafe(effect.size)
        if isinstance(effect, Chance):
            return random.random()  # noqa: S311  # jitter
        return self.listener(effect.step)


class _Performer(_Resources):
    def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Fetch):
            return http.fetch(effect, self.client, self.signer)
        if isinstance(effect, ResolveHost):
            return http.addresses(effect.host)
        if isinstance(effect, Wait):
            return time.sleep(effect.seconds)
        if isinstance(effect, Invoke):
            return _only_blocking(effect, effect.function(*effect.arguments))
        if isinstance(effect, PageEffect):
            return browser.perform(effect, self._there())
        if isinstance(effect, ConnectBrowser | ChoosePage):
            return self._choose(effect)
        if isinstance(effect, OpenClient):
            self.client = self.opened = http.new_client(effect.timeout, effect.url)
            return self.client
        if isinstance(effect, CloseClient):
            return self.close_client()
        return self.perform_at_once(effect)

    def _choose(self, effect: ConnectBrowser | ChoosePage) -> bool:
        if isinstance(effect, ConnectBrowser):
            self.browser = cdp.Connection.open(effect)
            return True
        found = self.browser.find(effect.accept)
        return self.choose(self.browser.blank() if found is None and effect.or_blank else found)

    def disconnect(self) -> None:
        if (connection := self.take_browser()) is not None:
            connection.close()

    def close_client(self) -> None:
        if (opened := self.take_opened()) is not None:
            opened.close()


class _AsyncPerformer(_Resources):
    async def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Fetch):
            return await http.fetch_async(effect, self.client, self.signer)
        if isinstance(effect, ResolveHost):
            return await http.addresses_async(effect.host)
        if isinstance(effect, Wait):
            import anyio  # noqa: PLC0415

            return await anyio.sleep(effect.seconds)
        if isinstance(effect, Invoke):
            result = effect.function(*effect.arguments)
            return await result if inspect.isawaitable(result) else result
        if isinstance(effect, PageEffect):
            return await browser.perform_async(effect, self._there())
        if isinstance(effect, ConnectBrowser | ChoosePage):
            return await self._choose(effect)
        if isinstance(effect, OpenClient):
            self.client = self.opened = http.new_async_client(effect.timeout, effect.url)
            return self.client
        if isinstance(effect, CloseClient):
            return await self.close_client()
        return self.perform_at_once(effect)

    async def _choose(self, effect: ConnectBrowser | ChoosePage) -> bool:
        if isinstance(effect, ConnectBrowser):
            self.browser = await cdp.AsyncConnection.open(effect)
            return True
        found = self.browser.find(effect.accept)
        blank = found is None and effect.or_blank
        return self.choose(await self.browser.blank() if blank else found)

    async def disconnect(self) -> None:
        import anyio  # noqa: PLC0415

        if (connection := self.take_browser()) is not None:
            with anyio.move_on_after(DISCONNECT_SECONDS, shield=True):
                await connection.close()

    async def close_client(self) -> None:
        import anyio  # noqa: PLC0415

        if (opened := self.take_opened()) is not None:
            with anyio.CancelScope(shield=True):  # a cancelled task closes it, too
                await opened.aclose()


def _only_blocking(effect: Invoke, result: Any) -> Any:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(f"{effect.function!r} is async; AsyncAgentSDK takes such functions")
    return result
