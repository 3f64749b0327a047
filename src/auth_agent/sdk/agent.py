"""The SDK in two colours: the same flows, performed for threads and for tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from auth_agent.sdk import drive
from auth_agent.sdk.flow import Flow, Step
from auth_agent.sdk.options import TIMEOUT, Options
from auth_agent.sdk.sign_in import Landing, sign_in
from auth_agent.sdk.signed_in import AsyncSignedIn, SignedIn
from auth_agent.secret import Secret

if TYPE_CHECKING:
    import httpx2

C = TypeVar("C")

SIGN_IN_SECONDS = 60.0


class _SDK(Generic[C]):
    """What both colours are told.

    `server_url` is the issuer of the agent's Auth Agent server. The secret goes to the
    `allowed_issuers` alone (default: `server_url`), each written byte for byte as it names itself.
    `timeout` bounds each request, in seconds. A given `http_client` stays open, and its cookies
    are used and filled. Raises `SettingsError` with every mistake at once.
    """

    def __init__(
        self,
        *,
        agent_id: str = "",
        agent_secret: Secret | str | None = None,
        server_url: str = "",
        model: str | None = None,
        allowed_issuers: Iterable[str] = (),
        timeout: float = TIMEOUT,
        http_client: C | None = None,
    ) -> None:
        secret = Secret(agent_secret) if isinstance(agent_secret, str) else agent_secret
        self._options = Options(
            agent_id=agent_id,
            agent_secret=secret,
            server_url=server_url,
            model=model,
            allowed_issuers=tuple(allowed_issuers),
            timeout=timeout,
        )
        self._http_client = http_client

    def __repr__(self) -> str:
        options = self._options
        name = type(self).__name__
        return f"{name}(agent_id={options.agent_id!r}, server_url={options.server_url!r})"

    def _sign_in(self, url: str, scopes: Iterable[str] | None, within: float) -> Flow[Landing]:
        allowed = None if scopes is None else frozenset(scopes)
        return sign_in(url, self._options, allowed_scopes=allowed, within=within)


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


class AgentSDK(_SDK["httpx2.Client"]):
    __doc__ = _SDK.__doc__

    def sign_in(
        self,
        url: str,
        *,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        on_step: Callable[[Step], None] | None = None,
    ) -> SignedIn:
        """Signs in to the website of `url`, within so many seconds.

        The website may ask for `allowed_scopes` at most, where they are given. `on_step` hears of
        each step. Raises `AuthError`; the codes are listed in `auth_agent.sdk.sign_in`.
        """
        story = _Story(on_step)
        flow = self._sign_in(url, allowed_scopes, within)
        client = self._http_client or drive.new_client(self._options.timeout, url)
        try:
            landing = drive.run(flow, client, story.tell)
        except BaseException:
            if client is not self._http_client:
                client.close()
            raise
        return SignedIn(client, *story.end(landing), owns_client=self._http_client is None)


class AsyncAgentSDK(_SDK["httpx2.AsyncClient"]):
    __doc__ = _SDK.__doc__

    async def sign_in(
        self,
        url: str,
        *,
        allowed_scopes: Iterable[str] | None = None,
        within: float = SIGN_IN_SECONDS,
        on_step: Callable[[Step], None] | None = None,
    ) -> AsyncSignedIn:
        """As `AgentSDK.sign_in`."""
        story = _Story(on_step)
        flow = self._sign_in(url, allowed_scopes, within)
        client = self._http_client or drive.new_async_client(self._options.timeout, url)
        try:
            landing = await drive.arun(flow, client, story.tell)
        except BaseException:
            if client is not self._http_client:
                await client.aclose()
            raise
        return AsyncSignedIn(client, *story.end(landing), owns_client=self._http_client is None)
