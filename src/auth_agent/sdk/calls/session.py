"""An HTTP client for one API: it attaches the agent's token, and renews it by itself.

The token goes to the resource's own origin, also if an answer redirects elsewhere. If it is bound
to the agent's key, each request and each redirect carries a proof of its own. The first request
that finds it expired renews it for all. A renewal that was refused for good is not repeated; after
any other failure the next request tries again.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, NamedTuple

import anyio
import httpx2

from auth_agent.errors import AuthError, SettingsError
from auth_agent.flow.connections import clients
from auth_agent.flow.kept import Guard
from auth_agent.sdk.calls.prover import Prover, prover_of, wants_nonce
from auth_agent.sdk.calls.token_calls import TokenCalls
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.flow.effects import Flow
from auth_agent.sdk.flow.frames import emptied_frames
from auth_agent.sdk.flow.signer import Signer, sign_async_client, sign_client
from auth_agent.secret import Secret
from auth_agent.url import handshake_url, normal_origin, url_problem

_TOKEN = "auth_agent_token"
FINAL = ("refresh_failed", "token_exchange_failed")

Run = Callable[[Flow[Secret]], Secret]
AsyncRun = Callable[[Flow[Secret]], Coroutine[Any, Any, Secret]]


class _Renew(NamedTuple):
    """Get another token than this one; both are hidden from tracebacks."""

    stale: Secret | None


class TokenTarget(NamedTuple):
    """The token for this API: the agent's `own`, or one that the caller gave to refresh."""

    resource: str
    scope: str | None
    own: bool


class TokenAuth(httpx2.Auth):
    """Decides for threads and tasks which request gets the token, and when it is renewed."""

    def __init__(self, wanted: TokenTarget, calls: TokenCalls) -> None:
        if problem := url_problem(wanted.resource):
            raise SettingsError([f"the resource {problem}"])
        self._wanted = wanted
        self._origin = normal_origin(wanted.resource)
        self._calls = calls
        self._given_up: tuple[str | None, AuthError] | None = None

    @property
    def tokens(self) -> TokenManager:
        return self._calls.tokens

    def prepare(self, request: httpx2.Request) -> None:
        """Adds the proof to a request that is about to be sent, or to follow a redirect.

        Removes token and proof if a redirect has led to another origin.
        """
        token: Secret | None = request.extensions.get(_TOKEN)
        if token is None:
            return
        url = handshake_url(str(request.url))
        authorization = request.headers.get("authorization", "")
        if normal_origin(url) != self._origin:
            request.headers.pop("dpop", None)
            if authorization.partition(" ")[2] == token.reveal():
                del request.headers["authorization"]
        elif authorization == f"DPoP {token.reveal()}":
            proof = self._prover().proof_now(request.method, url, token.reveal())
            request.headers["DPoP"] = proof

    def notice(self, response: httpx2.Response) -> None:
        """Remembers the nonce of an answer, also of a redirect or a refusal."""
        if self.tokens.is_bound:
            self._prover().note(handshake_url(str(response.request.url)), response.headers)

    def _attach(self, request: httpx2.Request) -> Generator[httpx2.Request | _Renew, Any, None]:
        if normal_origin(handshake_url(str(request.url))) != self._origin:
            yield request
            return
        token = self.tokens.get_access_token()
        if token is None:
            expired = self.tokens.access_token
            token = (yield _Renew(Secret(expired) if expired else None)).reveal()
        answers = [_wants_nonce, _is_refused]  # each is answered once
        while True:
            self._add(request, token)
            before = self._nonce()
            response = yield request
            if not isinstance(request.stream, httpx2.ByteStream):
                return
            asked = next((asks for asks in answers if asks(response)), None)
            if asked is None or (asked is _wants_nonce and self._nonce() == before):
                return
            answers.remove(asked)
            if asked is _is_refused:
                token = (yield _Renew(Secret(token))).reveal()

    def _add(self, request: httpx2.Request, token: str) -> None:
        scheme = "DPoP" if self.tokens.is_bound else "Bearer"
        request.headers["Authorization"] = f"{scheme} {token}"
        request.headers.pop("dpop", None)
        request.extensions = {**request.extensions, _TOKEN: Secret(token)}  # redirects inherit it

    def _nonce(self) -> str | None:
        return self._prover().nonce_for(self._origin) if self.tokens.is_bound else None

    def _prover(self) -> Prover:
        """Returns the key of this agent; tokens that a caller gave may be bound to it, too."""
        options = self._calls.options
        return self._calls.prover or prover_of(options.server_url, options.agent_id)

    def _renew(self, stale: Secret | None) -> Flow[Secret]:
        """Renews the token, one caller at a time; the next ones find the new token."""
        current = self.tokens.get_access_token()
        if current is not None and Secret(current) != stale:
            return Secret(current)
        if self._given_up is not None and self._given_up[0] == self.tokens.access_token:
            raise copy.copy(self._given_up[1])  # each needs a traceback of its own
        try:
            wanted = self._wanted
            if wanted.own:
                found = yield from self._calls.get_own_token(wanted.resource, scope=wanted.scope)
            else:
                refresh_token = self.tokens.refresh_token
                found = yield from self._calls.refresh_access_token(refresh_token)
            return Secret(found.access_token)
        except AuthError as error:
            if _is_final(error):
                self._given_up = self.tokens.access_token, error
            raise


class SyncTokenAuth(TokenAuth):
    """The token for requests of threads."""

    def __init__(self, wanted: TokenTarget, calls: TokenCalls, run: Run) -> None:
        super().__init__(wanted, calls)
        self._run = run
        self._lock = Guard()

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        flow = self._attach(request)
        effect = next(flow)
        while True:
            if isinstance(effect, _Renew):
                with self._lock:
                    result: Any = self._run(self._renew(effect.stale))
            else:
                result = yield effect
            try:
                with emptied_frames():
                    effect = flow.send(result)
            except StopIteration:
                return


class AsyncTokenAuth(TokenAuth):
    """The token for requests of tasks; a cancelled request does not cancel the renewal."""

    def __init__(self, wanted: TokenTarget, calls: TokenCalls, run: AsyncRun) -> None:
        super().__init__(wanted, calls)
        self._run = run
        self._lock = anyio.Lock()

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        flow = self._attach(request)
        effect = next(flow)
        while True:
            if isinstance(effect, _Renew):
                async with self._lock:
                    # The rotated token must be stored, even if the request is cancelled.
                    with anyio.CancelScope(shield=True):
                        result: Any = await self._run(self._renew(effect.stale))
            else:
                result = yield effect
            try:
                with emptied_frames():
                    effect = flow.send(result)
            except StopIteration:
                return

    async def prepare_async(self, request: httpx2.Request) -> None:
        self.prepare(request)

    async def notice_async(self, response: httpx2.Response) -> None:
        self.notice(response)


def new_session(
    auth: SyncTokenAuth, resource: str, timeout: float, signer: Signer | None = None
) -> httpx2.Client:
    client = clients.new_client(
        auth=auth,
        base_url=resource,
        timeout=timeout,
        event_hooks={"request": [auth.prepare], "response": [auth.notice]},
    )
    if signer is not None:
        sign_client(client, signer)
    return client


def new_async_session(
    auth: AsyncTokenAuth, resource: str, timeout: float, signer: Signer | None = None
) -> httpx2.AsyncClient:
    client = clients.new_async_client(
        auth=auth,
        base_url=resource,
        timeout=timeout,
        event_hooks={"request": [auth.prepare_async], "response": [auth.notice_async]},
    )
    if signer is not None:
        sign_async_client(client, signer)
    return client


def _is_final(error: AuthError) -> bool:
    """Returns True if the refusal is final (RFC 6749 5.2), or if there is no token to refresh."""
    if isinstance(error, SettingsError) or error.code == "no_refresh_token":
        return True
    return error.code in FINAL and error.status_code in (400, 401)


def _wants_nonce(response: httpx2.Response) -> bool:
    return wants_nonce(response.status_code, response.headers)


def _is_refused(response: httpx2.Response) -> bool:
    """Returns True if RFC 6750 3.1 calls the token invalid, not if it allows too little."""
    challenge = response.headers.get("www-authenticate", "")
    return response.status_code == 401 and "invalid_token" in challenge
