"""What both colours of the SDK share: what they are told, and how a flow becomes a method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from auth_agent.sdk.calls.methods import Calls
from auth_agent.sdk.calls.token_calls import Listeners
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.flow import drive
from auth_agent.sdk.flow.effects import Step
from auth_agent.sdk.identity.options import DEADLINE, TIMEOUT, Options, read_key
from auth_agent.sdk.results import TokenResponse
from auth_agent.sdk.sign_in.consent import Wishes
from auth_agent.sdk.sign_in.website import Landing
from auth_agent.secret import Secret

if TYPE_CHECKING:
    import httpx2

C = TypeVar("C")

SIGN_IN_SECONDS = 60.0


class SDK(Generic[C]):
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


class Story:
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


def wishes_of(scopes: Iterable[str] | None, second_factor: Callable[[], Any] | None) -> Wishes:
    return Wishes(None if scopes is None else frozenset(scopes), second_factor)


def annotate(method: Callable[..., Any], flow: Callable[..., Any]) -> None:
    """`Flow[T]` is what a method is made of, T what it returns."""
    returned = flow.__annotations__["return"].removeprefix("Flow[").removesuffix("]")
    method.__annotations__ = {**flow.__annotations__, "return": returned}
    signature = inspect.signature(flow).replace(return_annotation=returned)
    method.__signature__ = signature  # type: ignore[attr-defined]
