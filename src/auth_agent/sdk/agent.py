"""The SDK in two colours: the same flows, performed for threads and for tasks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

from auth_agent.sdk import drive
from auth_agent.sdk.calls import Calls
from auth_agent.sdk.consent import Wishes
from auth_agent.sdk.flow import Flow, Step
from auth_agent.sdk.options import DEADLINE, TIMEOUT, Options, read_key
from auth_agent.sdk.results import TokenResponse
from auth_agent.sdk.sign_in import Landing, sign_in
from auth_agent.sdk.sign_in_page import PageSignIn, sign_in_page
from auth_agent.sdk.signed_in import AsyncSignedIn, SignedIn
from auth_agent.sdk.token_calls import Listeners
from auth_agent.sdk.tokens import TokenManager
from auth_agent.secret import Secret

if TYPE_CHECKING:
    import httpx2
    from playwright.async_api import Page as AsyncPage
    from playwright.sync_api import Page as SyncPage

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")

SIGN_IN_SECONDS = 60.0


class _SDK(Generic[C]):
    """What both colours are told.

    `server_url` is the issuer of the agent's Auth Agent server. The agent proves itself with its
    `private_key` (PEM or the path of one; recommended) or its `agent_secret`, to the
    `allowed_issuers` alone (default: `server_url`), each written byte for byte as it names itself.
    `timeout` bounds each request, `deadline` a call with its repetitions, both in seconds.
    `tokens` follows the agent's tokens; the callbacks hear of them, too.
    A given `http_client` stays open, and its cookies are used and filled; else each call has a
    connection of its own, unless the SDK is used in a `with` statement, which keeps it.
    Raises `SettingsError` with every mistake at once.
    """

    def __init__(
        self,
        *,
        agent_id: str = "",
        agent_secret: Secret | str | None = None,
        private_key: Secret | str | Path | None = None,
        server_url: str = "",
        model: str | None = None,
        allowed_issuers: Iterable[str] = (),
        timeout: float = TIMEOUT,
        deadline: float = DEADLINE,
        http_client: C | None = None,
        tokens: TokenManager | None = None,
        on_tokens_received: Callable[[TokenResponse], Any] | None = None,
        on_tokens_refreshed: Callable[[TokenResponse], Any] | None = None,
        on_tokens_revoked: Callable[[], Any] | None = None,
    ) -> None:
        secret = Secret(agent_secret) if isinstance(agent_secret, str) else agent_secret
        self._options = Options(
            agent_id=agent_id,
            agent_secret=secret,
            private_key=read_key(private_key),
            server_url=server_url,
            model=model,
            allowed_issuers=tuple(allowed_issuers),
            timeout=timeout,
            deadline=deadline,
        )
        self._http_client = http_client
        self._kept: C | None = None
        self._listeners = Listeners(on_tokens_received, on_tokens_refreshed, on_tokens_revoked)
        self.tokens = TokenManager() if tokens is None else tokens
        self._calls = Calls(self._options, self._listeners, self.tokens)

    def __repr__(self) -> str:
        options = self._options
        name = type(self).__name__
        return f"{name}(agent_id={options.agent_id!r}, server_url={options.server_url!r})"

    @property
    def options(self) -> Options:
        """What this SDK was told; frozen."""
        return self._options

    def _session_calls(self, tokens: TokenManager | None) -> Calls:
        """A session's own tokens are its own business; given ones are everybody's."""
        if tokens is None:
            return Calls(self._options, Listeners(), TokenManager())
        return Calls(self._options, self._listeners, tokens)


class _Story:
    """Keeps the steps of one sign-in, and tells whoever listens."""

    def __init__(self, listener: Callable[[Step], None] | None) -> None:
        self._listener = listener
        self._steps: list[Step] = []

    def tell(self, step: Step) -> None:
        self._steps.append(step)
        if self._listener is not None:
            self._listener(step)

    def end(self, landing: Landing) -> tuple[str, httpx2.Response, tuple[Step, ...]]:
        response = drive.to_response(landing.url, landing.response)
        return landing.url, response, tuple(self._steps)


def _wishes(scopes: Iterable[str] | None, second_factor: Callable[[], Any] | None) -> Wishes:
    return Wishes(None if scopes is None else frozenset(scopes), second_factor)


def _blocking(
    flow: Callable[Concatenate[Calls, P], Flow[T]],
) -> Callable[Concatenate[AgentSDK, P], T]:
    """A method that performs the flow in the caller's thread."""

    @functools.wraps(flow)
    def method(self: AgentSDK, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._perform(flow(self._calls, *args, **kwargs))

    _annotate(method, flow)
    return method


def _awaited(
    flow: Callable[Concatenate[Calls, P], Flow[T]],
) -> Callable[Concatenate[AsyncAgentSDK, P], Coroutine[Any, Any, T]]:
    """A method that performs the flow in the caller's task."""

    @functools.wraps(flow)
    async def method(self: AsyncAgentSDK, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._perform(flow(self._calls, *args, **kwargs))

    _annotate(method, flow)
    return method


def _annotate(method: Callable[..., Any], flow: Callable[..., Any]) -> None:
    """`Flow[T]` is what a method is made of, T what it returns."""
    returned = flow.__annotations__["return"].removeprefix("Flow[").removesuffix("]")
    method.__annotations__ = {**flow.__annotations__, "return": returned}
    signature = inspect.signature(flow).replace(return_annotation=returned)
    method.__signature__ = signature  # type: ignore[attr-defined]


class AgentSDK(_SDK["httpx2.Client"]):
    __doc__ = _SDK.__doc__

    get_authorization_url = _blocking(Calls.get_authorization_url)
    exchange_code = _blocking(Calls.exchange_code)
    refresh_access_token = _blocking(Calls.refresh_access_token)
    register_agent = _blocking(Calls.register_agent)
    authenticate_agent = _blocking(Calls.authenticate_agent)
    get_agent_profile = _blocking(Calls.get_agent_profile)
    update_agent_profile = _blocking(Calls.update_agent_profile)
    get_user_info = _blocking(Calls.get_user_info)
    send_event = _blocking(Calls.send_event)
    send_verified_click = _blocking(Calls.send_verified_click)
    send_post_run = _blocking(Calls.send_post_run)
    request_challenge = _blocking(Calls.request_challenge)
    confirm_verification = _blocking(Calls.confirm_verification)
    get_verify_status = _blocking(Calls.get_verify_status)
    poll_and_authenticate = _blocking(Calls.poll_and_authenticate)
    revoke_token = _blocking(Calls.revoke_token)
    introspect_token = _blocking(Calls.introspect_token)
    authorize = _blocking(Calls.authorize)
    get_own_token = _blocking(Calls.get_own_token)

    def sign_in(
        self,
        url: str,
        *,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> SignedIn:
        """Signs in to the website of `url`, within so many seconds.

        The website may ask for `allowed_scopes` at most, where they are given. `second_factor` is
        asked for the code that the owner was mailed; its time does not count. `on_step` hears of
        each step. Raises `AuthError`; the codes are listed in `auth_agent.sdk.sign_in`.
        """
        story = _Story(on_step)
        wishes = _wishes(allowed_scopes, second_factor)
        flow = sign_in(url, self._options, wishes=wishes, within=within)
        client = self._http_client or drive.new_client(self._options.timeout, url)
        try:
            landing = drive.run(flow, client, story.tell)
        except BaseException:
            if client is not self._http_client:
                client.close()
            raise
        return SignedIn(client, *story.end(landing), owns_client=self._http_client is None)

    def sign_in_page(
        self,
        page: SyncPage,
        *,
        website: str | None = None,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> PageSignIn:
        """Answers the waiting page that a Playwright page shows or is on its way to.

        The page sees no secret. `website` is the origin that the agent means to sign in to; without
        it the result says which one it was. Raises as `sign_in` does, and `browser_failed`.
        """
        story = _Story(on_step)
        wishes = _wishes(allowed_scopes, second_factor)
        flow = sign_in_page(self._options, website, wishes=wishes, within=within)
        return self._perform(flow, story.tell, page)

    def session(
        self, resource: str, *, scope: str | None = None, tokens: TokenManager | None = None
    ) -> httpx2.Client:
        """An HTTP client for one API, with the agent's token and no way for it to another origin.

        It gets the agent's own token for this resource, with `scope` where it is given; or it uses
        and refreshes `tokens`. Its requests raise `AuthError` where there is no token to be had.
        """
        from auth_agent.sdk.session import SyncTokenAuth, Wanted, new_session  # noqa: PLC0415

        wanted = Wanted(resource, scope, own=tokens is None)
        auth = SyncTokenAuth(wanted, self._session_calls(tokens), self._perform)
        return new_session(auth, resource, self._options.timeout)

    def _perform(
        self,
        flow: Flow[T],
        teller: Callable[[Step], None] = drive.silent,
        page: SyncPage | None = None,
    ) -> T:
        client = self._http_client or self._kept
        if client is not None:
            return drive.run(flow, client, teller, page)
        with drive.new_client(self._options.timeout) as client:
            return drive.run(flow, client, teller, page)

    def close(self) -> None:
        """Closes what the `with` statement keeps open."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def __enter__(self) -> AgentSDK:
        if self._http_client is None and self._kept is None:
            self._kept = drive.new_client(self._options.timeout)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncAgentSDK(_SDK["httpx2.AsyncClient"]):
    __doc__ = _SDK.__doc__

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
    get_own_token = _awaited(Calls.get_own_token)

    async def sign_in(
        self,
        url: str,
        *,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str | Awaitable[str]] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> AsyncSignedIn:
        """As `AgentSDK.sign_in`."""
        story = _Story(on_step)
        wishes = _wishes(allowed_scopes, second_factor)
        flow = sign_in(url, self._options, wishes=wishes, within=within)
        client = self._http_client or drive.new_async_client(self._options.timeout, url)
        try:
            landing = await drive.arun(flow, client, story.tell)
        except BaseException:
            if client is not self._http_client:
                await client.aclose()
            raise
        return AsyncSignedIn(client, *story.end(landing), owns_client=self._http_client is None)

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
        """As `AgentSDK.sign_in_page`."""
        story = _Story(on_step)
        wishes = _wishes(allowed_scopes, second_factor)
        flow = sign_in_page(self._options, website, wishes=wishes, within=within)
        return await self._perform(flow, story.tell, page)

    def session(
        self, resource: str, *, scope: str | None = None, tokens: TokenManager | None = None
    ) -> httpx2.AsyncClient:
        """As `AgentSDK.session`."""
        from auth_agent.sdk.session import AsyncTokenAuth, Wanted, new_async_session  # noqa: PLC0415

        wanted = Wanted(resource, scope, own=tokens is None)
        auth = AsyncTokenAuth(wanted, self._session_calls(tokens), self._perform)
        return new_async_session(auth, resource, self._options.timeout)

    async def _perform(
        self,
        flow: Flow[T],
        teller: Callable[[Step], None] = drive.silent,
        page: AsyncPage | None = None,
    ) -> T:
        client = self._http_client or self._kept
        if client is not None:
            return await drive.arun(flow, client, teller, page)
        async with drive.new_async_client(self._options.timeout) as client:
            return await drive.arun(flow, client, teller, page)

    async def aclose(self) -> None:
        """Closes what the `async with` statement keeps open."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.aclose()

    async def __aenter__(self) -> AsyncAgentSDK:
        if self._http_client is None and self._kept is None:
            self._kept = drive.new_async_client(self._options.timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
