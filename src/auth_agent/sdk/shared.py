"""Shared by `AgentSDK` and `AsyncAgentSDK`: their options, and how a flow becomes a method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from auth_agent.errors import SettingsError
from auth_agent.sdk.calls.methods import Calls
from auth_agent.sdk.calls.prover import prover_of
from auth_agent.sdk.calls.token_calls import Listeners
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.flow import http
from auth_agent.sdk.flow.effects import Flow, Step, close_client, open_client
from auth_agent.sdk.flow.frames import emptied_frames
from auth_agent.sdk.flow.signer import SignatureForm, Signer
from auth_agent.sdk.identity.options import DEADLINE, TIMEOUT, Options, read_key
from auth_agent.sdk.results import TokenResponse
from auth_agent.sdk.sign_in.consent import SignInOptions
from auth_agent.sdk.sign_in.website import sign_in
from auth_agent.secret import Secret
from auth_agent.url import handshake_url

C = TypeVar("C")
S = TypeVar("S")
T = TypeVar("T")

SIGN_IN_SECONDS = 60.0


class SDK(Generic[C]):
    """The options of both SDKs.

    `server_url` is the issuer of the agent's Auth Agent server. The agent proves itself with its
    `private_key` (PEM or the path of one; recommended) or its `agent_secret`, to the
    `allowed_issuers` alone (default: `server_url`), each written byte for byte as it names itself.
    `allowed_websites` and `allowed_scopes` bound every sign-in; empty means no bound.
    `allowed_resources` are the APIs that may be asked for; without them a native client (an app or
    MCP client, which belongs to no website) gets none.
    With a `signing_key` (Ed25519; another key than `private_key`) each request of `sign_in`,
    `session` and `http()` is signed (RFC 9421, Web Bot Auth), as `signature_agent`: the URL of the
    agent's document, which is its server's (`{server_url}/agents/{agent_id}`) if none is given.
    `signature_form="string"` sends the older form of `Signature-Agent` everywhere;
    `signature_string_hosts` are the websites that need it.
    With `dpop=True` the tokens that its methods return are bound to a key of this process if the
    server offers it (RFC 9449), so that they are worth nothing elsewhere; without it only if the
    server demands it of this agent (`agent add --dpop`), and with `dpop=False` never.
    `timeout` bounds each request, `deadline` a call with its repetitions, both in seconds.
    `tokens` stores the agent's tokens; the callbacks are called with them, too.
    A given `http_client` stays open, and its cookies are used and filled. Otherwise each call opens
    a connection of its own, unless the SDK is used in a `with` statement, which keeps it open.
    Raises `SettingsError` with every mistake at once.
    """

    def __init__(
        self,
        *,
        agent_id: str = "",
        agent_secret: Secret | str | None = None,
        private_key: Secret | str | Path | None = None,
        server_url: str = "",
        signing_key: Secret | str | Path | None = None,
        signature_agent: str | None = None,
        signature_form: SignatureForm = "dictionary",
        signature_string_hosts: Iterable[str] = (),
        dpop: bool | None = None,
        model: str | None = None,
        allowed_issuers: Iterable[str] = (),
        allowed_websites: Iterable[str] = (),
        allowed_scopes: Iterable[str] = (),
        allowed_resources: Iterable[str] = (),
        timeout: float = TIMEOUT,
        deadline: float = DEADLINE,
        http_client: C | None = None,
        tokens: TokenManager | None = None,
        on_tokens_received: Callable[[TokenResponse], Any] | None = None,
        on_tokens_refreshed: Callable[[TokenResponse], Any] | None = None,
        on_tokens_revoked: Callable[[], Any] | None = None,
    ) -> None:
        agent_secret, private_key = _hidden(agent_secret), _hidden(private_key)
        signing_key = _hidden(signing_key)
        with emptied_frames():
            self._options = Options(
                agent_id=agent_id,
                agent_secret=agent_secret,
                private_key=read_key(private_key),
                signing_key=read_key(signing_key, "signing_key"),
                signature_agent=signature_agent,
                signature_form=signature_form,
                signature_string_hosts=tuple(signature_string_hosts),
                server_url=server_url,
                model=model,
                allowed_issuers=tuple(allowed_issuers),
                allowed_websites=tuple(allowed_websites),
                allowed_scopes=frozenset(allowed_scopes),
                allowed_resources=tuple(allowed_resources),
                timeout=timeout,
                deadline=deadline,
            )
        self._signer = _signer(self._options)
        self._http_client = http_client
        self._kept: C | None = None
        self._listeners = Listeners(on_tokens_received, on_tokens_refreshed, on_tokens_revoked)
        self.tokens = TokenManager() if tokens is None else tokens
        prover = None if dpop is False else prover_of(server_url, agent_id)
        self._calls = Calls(
            self._options, self._listeners, self.tokens, prover, if_offered=dpop is True
        )

    def __repr__(self) -> str:
        name, options = type(self).__name__, getattr(self, "_options", None)
        if options is None:  # a traceback shows an SDK whose options were refused
            return f"{name}()"
        return f"{name}(agent_id={options.agent_id!r}, server_url={options.server_url!r})"

    @property
    def options(self) -> Options:
        """Returns the options that this SDK was made with; frozen."""
        return self._options

    _sign: Callable[[Any, Signer], None]
    """Makes a client sign its requests."""

    def _need_signer(self) -> Signer:
        """Raises `SettingsError` if the agent has no signing key."""
        if self._signer is None:
            raise SettingsError(
                ["signing_key is missing: make one with `auth-agent agent signing-key add ID --new"]
            )
        return self._signer

    def signature_headers(self, url: str, method: str = "GET", body: bytes = b"") -> dict[str, str]:
        """Returns the headers that sign one request of another HTTP or WebSocket client.

        They are valid for a minute, once; none are given for plain http to another machine. Raises
        `SettingsError` if the agent has no signing key.
        """
        return dict(self._need_signer().headers(method.upper(), url, body))

    def token_headers(self, access_token: str, url: str, method: str = "GET") -> dict[str, str]:
        """Returns the headers that send an access token of this SDK in one request.

        A token that is bound to a key goes with a proof for this one request (RFC 9449), any other
        as a bearer token. The caller sees to it that `url` is where the token is meant for.
        """
        token, prover = Secret(access_token), self._calls.prover
        del access_token  # a traceback would show it
        if prover is None or not prover.holds(token.reveal()):
            return {"Authorization": f"Bearer {token.reveal()}"}
        with emptied_frames():
            proof = prover.proof_now(method.upper(), handshake_url(url), token.reveal())
        return {"Authorization": f"DPoP {token.reveal()}", "DPoP": proof}

    def _session_calls(self, tokens: TokenManager | None, *, dpop: bool) -> Calls:
        """Returns calls that keep a session's own tokens apart, and that share given ones.

        Tokens in a file outlive this process, so they are bound to a key that does not only if the
        server demands it.
        """
        options = self._options
        prover = prover_of(options.server_url, options.agent_id) if dpop else None
        if tokens is None:
            return Calls(options, Listeners(), TokenManager(), prover)
        in_memory = not tokens.outlives_process
        return Calls(options, self._listeners, tokens, prover, if_offered=in_memory)

    def _with_client(self, flow: Flow[T]) -> Flow[T]:
        """Performs the flow with the client that is there, else with one of its own."""
        if self._http_client is not None or self._kept is not None:
            return (yield from flow)
        yield from open_client("", self._options.timeout)
        result = yield from flow
        yield from close_client()
        return result

    def _signed_in(
        self, kind: Callable[..., S], url: str, wanted: SignInOptions, within: float, log: StepLog
    ) -> Flow[S]:
        """Signs in with the caller's client, else with a new one that the result owns."""
        client: Any = self._http_client
        if client is None:
            client = yield from open_client(url, self._options.timeout)
        landing = yield from sign_in(url, self._options, wanted=wanted, within=within)
        response = http.to_response(landing.url, landing.response)
        if self._http_client is None and self._signer is not None:
            self._sign(client, self._signer)
        is_ours = self._http_client is None
        return kind(client, landing.url, response, tuple(log.steps), owns_client=is_ours)


class StepLog:
    """Keeps the steps of one sign-in, and passes each on to the caller's listener."""

    def __init__(self, listener: Callable[[Step], None] | None) -> None:
        self._listener = listener
        self.steps: list[Step] = []

    def add(self, step: Step) -> None:
        self.steps.append(step)
        if self._listener is not None:
            self._listener(step)


def _hidden(given: T | str) -> T | Secret:
    return Secret(given) if isinstance(given, str) else given


def _signer(options: Options) -> Signer | None:
    if options.signing_key is None:
        return None
    return Signer(
        options.signing_key,
        options.named_as,
        form="string" if options.signature_form == "string" else "dictionary",
        string_hosts=options.signature_string_hosts,
    )


def sign_in_options(
    scopes: Iterable[str] | None,
    second_factor: Callable[[], Any] | None,
    *,
    follow_form: bool = False,
) -> SignInOptions:
    allowed = None if scopes is None else frozenset(scopes)
    return SignInOptions(allowed, second_factor, follow_form)


def annotate(method: Callable[..., Any], flow: Callable[..., Any]) -> None:
    """Gives a method the signature of its flow, returning what the flow ends with."""
    _, _, returned = get_args(get_type_hints(flow)["return"])  # Generator[Effect, Any, T]
    method.__annotations__ = {**flow.__annotations__, "return": returned}
    signature = inspect.signature(flow).replace(return_annotation=returned)
    method.__signature__ = signature  # type: ignore[attr-defined]
