"""The SDK for tasks: each method of `AgentSDK`, awaited."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from auth_agent.sdk.calls.methods import Calls
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.flow import drive, http
from auth_agent.sdk.flow.effects import Flow, Step
from auth_agent.sdk.flow.signer import sign_async_client
from auth_agent.sdk.shared import SDK, SIGN_IN_SECONDS, StepLog, annotate, sign_in_options
from auth_agent.sdk.sign_in.browser import CONNECT_SECONDS, sign_in_browser
from auth_agent.sdk.sign_in.page import PageSignIn, sign_in_page
from auth_agent.sdk.signed_in import AsyncSignedIn

if TYPE_CHECKING:
    import httpx2
    from playwright.async_api import BrowserContext as AsyncContext
    from playwright.async_api import Page as AsyncPage

    from auth_agent.sdk.flow.pages import AsyncPageSigning

P = ParamSpec("P")
T = TypeVar("T")


def _awaited(
    flow: Callable[Concatenate[Calls, P], Flow[T]],
) -> Callable[Concatenate[AsyncAgentSDK, P], Coroutine[Any, Any, T]]:
    """Returns a method that performs the flow in the caller's task."""

    @functools.wraps(flow)
    async def method(self: AsyncAgentSDK, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            made = flow(self._calls, *args, **kwargs)
        finally:
            del args, kwargs  # a traceback would show them
        return await self._perform(made)

    annotate(method, flow)
    return method


class AsyncAgentSDK(SDK["httpx2.AsyncClient"]):
    __doc__ = SDK.__doc__

    get_authorization_url = _awaited(Calls.get_authorization_url)
    exchange_code = _awaited(Calls.exchange_code)
    refresh_access_token = _awaited(Calls.refresh_access_token)
    register_agent = _awaited(Calls.register_agent)
    authenticate_agent = _awaited(Calls.authenticate_agent)
    get_agent_profile = _awaited(Calls.get_agent_profile)
    update_agent_profile = _awaited(Calls.update_agent_profile)
    get_user_info = _awaited(Calls.get_user_info)
    send_event = _awaited(Calls.send_event)
    send_verified_click = _awaited(Calls.send_verified_click)
    send_post_run = _awaited(Calls.send_post_run)
    request_challenge = _awaited(Calls.request_challenge)
    confirm_verification = _awaited(Calls.confirm_verification)
    get_verify_status = _awaited(Calls.get_verify_status)
    poll_and_authenticate = _awaited(Calls.poll_and_authenticate)
    revoke_token = _awaited(Calls.revoke_token)
    introspect_token = _awaited(Calls.introspect_token)
    authorize = _awaited(Calls.authorize)
    _sign = staticmethod(sign_async_client)
    get_own_token = _awaited(Calls.get_own_token)
    ask_owner = _awaited(Calls.ask_owner)

    async def sign_in(
        self,
        url: str,
        *,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str | Awaitable[str]] | None = None,
        follow_form: bool = False,
        on_step: Callable[[Step], None] | None = None,
    ) -> AsyncSignedIn:
        """Signs in as `AgentSDK.sign_in` does."""
        log = StepLog(on_step)
        wanted = sign_in_options(allowed_scopes, second_factor, follow_form=follow_form)
        flow = self._signed_in(AsyncSignedIn, url, wanted, within, log)
        return await self._run(flow, log.add)

    async def sign_in_page(
        self,
        page: AsyncPage,
        *,
        website: str | None = None,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str | Awaitable[str]] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> PageSignIn:
        """Signs in as `AgentSDK.sign_in_page` does."""
        log = StepLog(on_step)
        wanted = sign_in_options(allowed_scopes, second_factor)
        flow = sign_in_page(self._options, website, wanted=wanted, within=within)
        return await self._run(self._with_client(flow), log.add, page)

    async def sign_in_cdp(
        self,
        cdp_url: str,
        url: str | None = None,
        *,
        website: str | None = None,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str | Awaitable[str]] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> PageSignIn:
        """Signs in as `AgentSDK.sign_in_cdp` does."""
        log = StepLog(on_step)
        wanted = sign_in_options(allowed_scopes, second_factor)
        flow = sign_in_browser(cdp_url, url, self._options, website, wanted=wanted, within=within)
        return await self._run(self._with_client(flow), log.add)

    def session(
        self,
        resource: str,
        *,
        scope: str | None = None,
        tokens: TokenManager | None = None,
        dpop: bool = True,
    ) -> httpx2.AsyncClient:
        """Returns a client as `AgentSDK.session` does."""
        from auth_agent.sdk.calls.session import AsyncTokenAuth, TokenTarget, new_async_session  # noqa: PLC0415

        target = TokenTarget(resource, scope, own=tokens is None)
        auth = AsyncTokenAuth(target, self._session_calls(tokens, dpop=dpop), self._perform)
        return new_async_session(auth, resource, self._options.timeout, self._signer)

    def http(self, base_url: str = "", *, follow_redirects: bool = False) -> httpx2.AsyncClient:
        """Returns an HTTP client that signs each of its requests, redirects included.

        Close it, or use it in an `async with` statement. Raises `SettingsError` if the agent has
        no signing key.
        """
        signer = self._need_signer()
        client = http.new_async_client(self._options.timeout, base_url)
        client.follow_redirects = follow_redirects
        sign_async_client(client, signer)
        return client

    async def sign_page(self, page: AsyncPage | AsyncContext) -> AsyncPageSigning:
        """As `AgentSDK.sign_page`."""
        from auth_agent.sdk.flow.pages import AsyncPageSigning  # noqa: PLC0415

        return await AsyncPageSigning.start(page, self._need_signer())

    @asynccontextmanager
    async def sign_cdp(
        self, cdp_url: str, *, within: float = CONNECT_SECONDS
    ) -> AsyncIterator[None]:
        """As `AgentSDK.sign_cdp`, by tasks of the caller's event loop."""
        from auth_agent.sdk.flow.cdp import signing  # noqa: PLC0415

        async with signing(cdp_url, within, self._need_signer()):
            yield

    def mcp_auth(
        self,
        *,
        scope: str | None = None,
        allowed_scopes: Iterable[str] | None = None,
        dpop: bool = True,
    ) -> httpx2.Auth:
        """Returns the `auth=` argument of MCP clients (`mcp`, FastMCP), with its own tokens.

        Each MCP server that asks gets a token for itself, if it names `server_url` as the server
        that issues its tokens, with the scopes that it asks for and `scope`; it may ask for
        `allowed_scopes` at most, if they are given. Tokens are bound to a key of this process if
        both servers offer it, and `dpop` is true. With a signing key each request is signed, too.
        Requests raise `AuthError` if there is no token.
        """
        from auth_agent.sdk.calls.mcp_auth import AsyncMcpAuth, wanted_of  # noqa: PLC0415

        wanted = wanted_of(scope, allowed_scopes, dpop=dpop)
        return AsyncMcpAuth(self._options, wanted, self._perform, self._signer)

    async def _perform(self, flow: Flow[T]) -> T:
        return await self._run(self._with_client(flow))

    async def _run(
        self,
        flow: Flow[T],
        listener: Callable[[Step], None] = drive.ignore,
        page: AsyncPage | None = None,
    ) -> T:
        client = self._http_client or self._kept
        return await drive.arun(flow, client, listener, page, self._signer)

    async def aclose(self) -> None:
        """Closes the client that the `async with` statement keeps open."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.aclose()

    async def __aenter__(self) -> AsyncAgentSDK:
        if self._http_client is None and self._kept is None:
            self._kept = http.new_async_client(self._options.timeout)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()
