"""The `auth=` argument of MCP clients: the agent's own token for each MCP server that asks for one.

A server names in its refusal the URL of its metadata (RFC 9728) and the scopes of the call. The
agent gets a token for exactly this server from its own Auth Agent server (client credentials), and
sends the call again. No browser, no registration, no redirect. An agent with a signing key signs
each request, too (RFC 9421), so that a server which knows it by its signature needs no token.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import httpx2

from auth_agent.errors import AuthError
from auth_agent.flow.kept import Guard
from auth_agent.sdk.calls.mcp_server import McpServer, challenge_of, was_redirected
from auth_agent.sdk.exchange.journey import Journey
from auth_agent.sdk.flow.effects import Flow, now
from auth_agent.sdk.flow.frames import emptied_frames
from auth_agent.sdk.flow.signer import Signer
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in.protected_resource import (
    Challenge,
    covers,
    find_resource,
)

MOST_SERVERS = 100
MOST_ROUNDS = 3  # one for a stale token, one for the first scopes, one for more of them
TOO_LATE = "The MCP server took too long to answer with its metadata."
Run = Callable[[Flow[Any]], Any]
AsyncRun = Callable[[Flow[Any]], Awaitable[Any]]


class Wanted(NamedTuple):
    """Scopes to request beside those that a server names, and the most that it may name."""

    scope: frozenset[str] = frozenset()
    allowed_scopes: frozenset[str] | None = None
    dpop: bool = True


def wanted_of(
    scope: str | None, allowed_scopes: Iterable[str] | None, *, dpop: bool = True
) -> Wanted:
    """Checks the arguments of `mcp_auth`."""
    allowed = None if allowed_scopes is None else frozenset(allowed_scopes)
    return Wanted(frozenset((scope or "").split()), allowed, dpop)


class McpAuth(httpx2.Auth):
    """The agent's tokens for MCP servers, attached in both colours of the SDK.

    Requests raise `AuthError` if no token can be obtained.
    """

    def __init__(self, options: Options, wanted: Wanted, signer: Signer | None) -> None:
        options.check_credential()
        self._options = options
        self._signer = signer
        self._wanted = wanted
        self._servers: OrderedDict[str, McpServer] = OrderedDict()
        self._lock = Guard()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(agent_id={self._options.agent_id!r})"

    def _attach(self, request: httpx2.Request) -> Generator[httpx2.Request | Flow[Any], Any, None]:
        """Sends the request, and repeats it after each refusal that another token may answer."""
        url = str(request.url.copy_with(query=None, fragment=None))
        server, rounds, once = self._known(url), 0, {"nonce", "redirect"}
        while True:
            if server is not None:
                server.attach(request)
            response = yield from self._send(request)
            wants_nonce = server is not None and server.note(response)
            signed = self._signer is not None
            if "redirect" in once and was_redirected(request, response, signed=signed):
                once.remove("redirect")
                request.url = response.request.url  # a proof is for one URL
                continue
            challenge = challenge_of(request, response)
            if challenge is None or rounds == MOST_ROUNDS:
                return
            if wants_nonce and "nonce" in once:
                once.remove("nonce")
                continue
            rounds += 1
            sent = request.headers.get("authorization", "").partition(" ")[2]
            server = yield self._better(url, challenge, response.status_code, sent)
            if server is None or server.token == sent:
                return

    def _send(self, request: httpx2.Request) -> Generator[httpx2.Request, Any, httpx2.Response]:
        """Sends the request, signed if the agent has a signing key."""
        if self._signer is not None:
            self._signer.sign(request)
        response: httpx2.Response = yield request
        if self._signer is not None:
            asked = response.headers.get("accept-signature")
            self._signer.learn(str(response.request.url), asked)
        return response

    def _better(self, url: str, challenge: Challenge, status: int, sent: str) -> Flow[Any]:
        """Gets a token that may answer the refusal; None if there is no better one."""
        server = self._known(url)
        if server is None:
            journey = yield from self._journey()
            issuer = self._options.server_url
            resource = yield from find_resource(url, challenge, issuer, journey)
            self._options.check_resources([resource.url], native=False)
            server = self._remember(McpServer(resource, self._options, dpop=self._wanted.dpop))
        if server.token is not None and server.token != sent:
            return server  # another request was quicker
        wished = self._scopes(server, challenge)
        if status == 403 and wished <= server.asked:
            return None
        scope = " ".join(sorted(wished)) or None
        yield from server.calls.get_own_token(server.resource.url, scope=scope)
        server.asked = wished
        return server

    def _scopes(self, server: McpServer, challenge: Challenge) -> frozenset[str]:
        """Returns the challenge's scopes, else the metadata's; adds all requested before."""
        named = challenge.scope or (server.asked or server.resource.scopes)
        wished = self._wanted.scope | server.asked | named
        allowed = self._wanted.allowed_scopes
        if allowed is not None and not named <= allowed:
            more = " ".join(sorted(named - allowed))
            raise AuthError(
                f"The MCP server asks for the scope {more}, which is not among the allowed ones.",
                code="scope_not_allowed",
                status_code=403,
            )
        return wished

    def _known(self, url: str) -> McpServer | None:
        with self._lock:
            fitting = [one for name, one in self._servers.items() if covers(name, url)]
        return max(fitting, key=lambda one: len(one.resource.url), default=None)

    def _remember(self, server: McpServer) -> McpServer:
        with self._lock:
            server = self._servers.setdefault(server.resource.url, server)
            while len(self._servers) > MOST_SERVERS:
                self._servers.popitem(last=False)
        return server

    def _journey(self) -> Flow[Journey]:
        options = self._options
        ends_at = (yield from now()) + options.deadline
        return Journey(ends_at=ends_at, timeout=options.timeout, too_late=TOO_LATE)

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        steps = self._attach(request)
        step = next(steps)
        while True:
            if isinstance(step, httpx2.Request):
                result: Any = yield step
            else:
                result = await self._run_async(step)
            try:
                with emptied_frames():
                    step = steps.send(result)
            except StopIteration:
                return

    async def _run_async(self, flow: Flow[Any]) -> Any:
        """Runs a flow for a task, one at a time: later callers find the new token."""
        raise NotImplementedError


class SyncMcpAuth(McpAuth):
    """The auth of an `AgentSDK`, for `httpx2.Client` and, in a thread, `httpx2.AsyncClient`."""

    def __init__(
        self, options: Options, wanted: Wanted, run: Run, signer: Signer | None = None
    ) -> None:
        super().__init__(options, wanted, signer)
        self._run = run
        self._turn = Guard()

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        steps = self._attach(request)
        step = next(steps)
        while True:
            result = (yield step) if isinstance(step, httpx2.Request) else self._run_one(step)
            try:
                with emptied_frames():
                    step = steps.send(result)
            except StopIteration:
                return

    def _run_one(self, flow: Flow[Any]) -> Any:
        """Runs one at a time: later callers find the new token."""
        with self._turn:
            return self._run(flow)

    async def _run_async(self, flow: Flow[Any]) -> Any:
        return await anyio.to_thread.run_sync(self._run_one, flow)


class AsyncMcpAuth(McpAuth):
    """The auth of an `AsyncAgentSDK`, for `httpx2.AsyncClient`."""

    def __init__(
        self, options: Options, wanted: Wanted, run: AsyncRun, signer: Signer | None = None
    ) -> None:
        super().__init__(options, wanted, signer)
        self._run = run
        self._turn = anyio.Lock()

    async def _run_async(self, flow: Flow[Any]) -> Any:
        async with self._turn:
            return await self._run(flow)
