"""The SDK for threads: each method performs its flow where it is called."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from auth_agent.sdk.calls.methods import Calls
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.flow import drive, http
from auth_agent.sdk.flow.effects import Flow, Step
from auth_agent.sdk.flow.signer import sign_client
from auth_agent.sdk.shared import SDK, SIGN_IN_SECONDS, StepLog, annotate, sign_in_options
from auth_agent.sdk.sign_in.browser import CONNECT_SECONDS, sign_in_browser
from auth_agent.sdk.sign_in.page import PageSignIn, sign_in_page
from auth_agent.sdk.signed_in import SignedIn

if TYPE_CHECKING:
    import httpx2
    from playwright.sync_api import BrowserContext as SyncContext
    from playwright.sync_api import Page as SyncPage

    from auth_agent.sdk.flow.pages import PageSigning

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    flow: Callable[Concatenate[Calls, P], Flow[T]],
) -> Callable[Concatenate[AgentSDK, P], T]:
    """Returns a method that performs the flow in the caller's thread."""

    @functools.wraps(flow)
    def method(self: AgentSDK, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            made = flow(self._calls, *args, **kwargs)
        finally:
            del args, kwargs  # a traceback would show them
        return self._perform(made)

    annotate(method, flow)
    return method


class AgentSDK(SDK["httpx2.Client"]):
    __doc__ = SDK.__doc__

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
    _sign = staticmethod(sign_client)
    get_own_token = _blocking(Calls.get_own_token)
    ask_owner = _blocking(Calls.ask_owner)

    def sign_in(
        self,
        url: str,
        *,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str] | None = None,
        follow_form: bool = False,
        on_step: Callable[[Step], None] | None = None,
    ) -> SignedIn:
        """Signs in to a website, within so many seconds.

        `url` is a page that needs an agent, a public page that offers the sign-in (its `Link`
        header or its button), or an authorization request of the issuer. With `follow_form` it
        sends the form of a page that signs in with Auth Agent. `allowed_scopes`, if given, is the
        most that the website may ask for. `second_factor` returns the code that the owner was
        mailed; its time does not count. `on_step` is called with each step.
        Raises `AuthError`; the codes are listed in `auth_agent.sdk.sign_in.website`.
        """
        log = StepLog(on_step)
        wanted = sign_in_options(allowed_scopes, second_factor, follow_form=follow_form)
        flow = self._signed_in(SignedIn, url, wanted, within, log)
        return self._run(flow, log.add)

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
        it the result names the one that it was. Raises as `sign_in` does, and `browser_failed`.
        """
        log = StepLog(on_step)
        wanted = sign_in_options(allowed_scopes, second_factor)
        flow = sign_in_page(self._options, website, wanted=wanted, within=within)
        return self._run(self._with_client(flow), log.add, page)

    def sign_in_cdp(
        self,
        cdp_url: str,
        url: str | None = None,
        *,
        website: str | None = None,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        second_factor: Callable[[], str] | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> PageSignIn:
        """Signs in to a website in a browser that another program drives.

        `cdp_url` is its DevTools address, e.g. http://127.0.0.1:9222 or the ws:// URL of a browser.
        With `url` a tab opens that page and signs in there. Without it the tab that shows the
        waiting page is answered, for `website` if it is given. Needs the package playwright, but
        none of its browsers. Raises as `sign_in` does, and `browser_failed`.
        """
        log = StepLog(on_step)
        wanted = sign_in_options(allowed_scopes, second_factor)
        flow = sign_in_browser(cdp_url, url, self._options, website, wanted=wanted, within=within)
        return self._run(self._with_client(flow), log.add)

    def session(
        self,
        resource: str,
        *,
        scope: str | None = None,
        tokens: TokenManager | None = None,
        dpop: bool = True,
    ) -> httpx2.Client:
        """Returns an HTTP client for one API, which sends the agent's token to no other origin.

        It gets the agent's own token for this resource, with `scope` if it is given; or it uses
        and refreshes `tokens`. If the server offers it, tokens are bound to a key that never leaves
        this process (DPoP, RFC 9449), so that they are worth nothing elsewhere; tokens in a file
        are not, and none are with `dpop=False`, for an API that takes bearer tokens only.
        Its requests raise `AuthError` if there is no token.
        """
        from auth_agent.sdk.calls.session import SyncTokenAuth, TokenTarget, new_session  # noqa: PLC0415

        target = TokenTarget(resource, scope, own=tokens is None)
        auth = SyncTokenAuth(target, self._session_calls(tokens, dpop=dpop), self._perform)
        return new_session(auth, resource, self._options.timeout, self._signer)

    def http(self, base_url: str = "", *, follow_redirects: bool = False) -> httpx2.Client:
        """Returns an HTTP client that signs each of its requests, redirects included.

        Close it, or use it in a `with` statement. Raises `SettingsError` if the agent has no
        signing key.
        """
        signer = self._need_signer()
        client = http.new_client(self._options.timeout, base_url)
        client.follow_redirects = follow_redirects
        sign_client(client, signer)
        return client

    def sign_page(self, page: SyncPage | SyncContext) -> PageSigning:
        """Signs the requests of a Playwright page, or of a context with all its pages.

        Each redirect gets a signature of its own. For a page these are the requests of its own
        process: for windows that it opens, and frames of other websites, sign the context. Works in
        Chromium; WebSockets are not signed. Returns the signing, to `stop()` it. Raises
        `SettingsError` if the agent has no signing key, `AuthError` (`browser_failed`) if the
        browser cannot do it.
        """
        from auth_agent.sdk.flow.pages import PageSigning  # noqa: PLC0415

        return PageSigning.start(page, self._need_signer())

    @contextmanager
    def sign_cdp(self, cdp_url: str, *, within: float = CONNECT_SECONDS) -> Iterator[None]:
        """Signs all requests of a browser that another program drives, inside a `with` statement.

        `cdp_url` is its DevTools address, as for `sign_in_cdp`. A thread of its own does it, so
        that the browser never waits for the caller. Raises as `sign_page` does.
        """
        from anyio.from_thread import start_blocking_portal  # noqa: PLC0415

        from auth_agent.sdk.flow.cdp import signing  # noqa: PLC0415

        signer = self._need_signer()
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(signing(cdp_url, within, signer)),
        ):
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
        from auth_agent.sdk.calls.mcp_auth import SyncMcpAuth, wanted_of  # noqa: PLC0415

        wanted = wanted_of(scope, allowed_scopes, dpop=dpop)
        return SyncMcpAuth(self._options, wanted, self._perform, self._signer)

    def _perform(self, flow: Flow[T]) -> T:
        return self._run(self._with_client(flow))

    def _run(
        self,
        flow: Flow[T],
        listener: Callable[[Step], None] = drive.ignore,
        page: SyncPage | None = None,
    ) -> T:
        client = self._http_client or self._kept
        return drive.run(flow, client, listener, page, self._signer)

    def close(self) -> None:
        """Closes the client that the `with` statement keeps open."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def __enter__(self) -> AgentSDK:
        if self._http_client is None and self._kept is None:
            self._kept = http.new_client(self._options.timeout)
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
