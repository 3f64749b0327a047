"""The agent and its tokens: authorization, exchange, refresh, revocation, introspection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.calls import oauth
from auth_agent.sdk.calls.oauth import DEFAULT_SCOPE
from auth_agent.sdk.calls.pending import Pending
from auth_agent.sdk.calls.prover import Build, Prover
from auth_agent.sdk.calls.tokens import TokenManager
from auth_agent.sdk.exchange.answers import error_code
from auth_agent.sdk.exchange.journey import Journey, readable
from auth_agent.sdk.exchange.retry import send_with_retries
from auth_agent.sdk.flow.effects import Flow, draw, invoke, now
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.identity.proof import check_clock
from auth_agent.sdk.results import AuthorizationUrl, IntrospectionResponse, TokenResponse
from auth_agent.sdk.sign_in.consent import SignInOptions, answer, await_code
from auth_agent.sdk.sign_in.website import Gateway, open_request
from auth_agent.url import normal_origin

TOO_LATE = "The server took too long; try again, or allow more time with `timeout` and `deadline`."


class Listeners(NamedTuple):
    """The caller's callbacks for tokens; under tasks they may be async."""

    received: Callable[[TokenResponse], Any] | None = None
    refreshed: Callable[[TokenResponse], Any] | None = None
    revoked: Callable[[], Any] | None = None


class TokenCalls:
    """The flows of one agent; `tokens` stores what it receives and refreshes."""

    def __init__(
        self,
        options: Options,
        listeners: Listeners,
        tokens: TokenManager,
        prover: Prover | None = None,
        *,
        if_offered: bool = True,
    ) -> None:
        self._options = options
        self.prover = prover
        """Binds tokens to its key: if the server offers it, else only if the server demands it."""
        self._if_offered = if_offered
        self._listeners = listeners
        self.tokens = tokens
        self._begun = Pending()

    @property
    def options(self) -> Options:
        return self._options

    def get_authorization_url(
        self, redirect_uri: str, *, scope: str = DEFAULT_SCOPE, state: str | None = None
    ) -> Flow[AuthorizationUrl]:
        """Returns the URL that begins a sign-in of the agent as a client, with PKCE (S256).

        Keep `code_verifier` and `state` for the callback: they may outlive this process, unless the
        SDK binds its tokens to a key of this process (`dpop=True`). A `state` of your own has to be
        unguessable.
        """
        verifier = yield from draw()
        found = oauth.authorization_url(
            self._options,
            redirect_uri=redirect_uri,
            scope=scope,
            state=state,
            verifier=verifier,
            jkt=(yield from self._jkt()),
        )
        self._begun.add(found.state, verifier)
        return found

    def exchange_code(
        self,
        code: str,
        state: str,
        redirect_uri: str,
        *,
        code_verifier: str | None = None,
        expected_state: str | None = None,
    ) -> Flow[TokenResponse]:
        """Exchanges the callback's code for tokens, once.

        Without `code_verifier` the sign-in has to have begun in this SDK. With it, `state` is
        checked against it; a state that you chose yourself is given as `expected_state`, too.
        Raises `state_mismatch`, `pkce_missing`, `token_exchange_failed`.
        """
        verifier = self._begun.take(state, code_verifier, expected_state)
        build = partial(oauth.code_request, self._options, code, redirect_uri, verifier)
        try:
            response, is_bound = yield from self._proved(build)
            tokens = oauth.parse_tokens(
                response, failure="token_exchange_failed", is_bound=is_bound
            )
        except AuthError as error:
            if isinstance(error, ServerUnavailable) or error.code in ("rate_limited", "timeout"):
                self._begun.add(state, verifier)  # the code may still be good
            raise
        return (yield from self._received(tokens))

    def authorize(
        self,
        redirect_uri: str,
        *,
        scope: str = DEFAULT_SCOPE,
        second_factor: Callable[[], Any] | None = None,
    ) -> Flow[TokenResponse]:
        """Returns tokens of the agent's own in one call, without a browser.

        Nothing has to listen at `redirect_uri`. Raises what a sign-in and `exchange_code` raise.
        """
        self._options.check_credential()
        begun = yield from self.get_authorization_url(redirect_uri, scope=scope)
        issuer, website = self._options.server_url, normal_origin(redirect_uri)
        journey = yield from self._journey()
        request_id = yield from open_request(Gateway(begun.url, issuer), website, journey)
        wanted = SignInOptions(frozenset(scope.split()), second_factor)
        yield from answer(issuer, request_id, website, self._options, journey, wanted=wanted)
        found = yield from await_code(issuer, request_id, website, journey)
        return (yield from self.exchange_code(found.code, found.state or "", redirect_uri))

    def refresh_access_token(self, refresh_token: str | None) -> Flow[TokenResponse]:
        """Exchanges a refresh token, which is single-use, for new tokens.

        Raises `no_refresh_token`, or `refresh_failed`: then the agent has to sign in again.
        """
        if not refresh_token:
            raise AuthError(
                "There is no refresh token: sign in again.",
                code="no_refresh_token",
                status_code=401,
            )
        build = partial(oauth.refresh_request, self._options, refresh_token)
        is_held = self.prover is not None and self.prover.holds(refresh_token)
        response, is_bound = yield from self._proved(build, has_to=is_held)
        tokens = oauth.parse_tokens(
            response, failure="refresh_failed", refresh_token=refresh_token, is_bound=is_bound
        )
        self._hold(tokens)
        yield from invoke(self.tokens.set_tokens, tokens)
        yield from self._tell(self._listeners.refreshed, tokens)
        return tokens

    def get_own_token(self, resource: str, *, scope: str | None = None) -> Flow[TokenResponse]:
        """Returns an access token of the agent for one API, without any website (RFC 8707)."""
        build = partial(oauth.own_token_request, self._options, resource, scope)
        response, is_bound = yield from self._proved(build)
        tokens = oauth.parse_tokens(response, failure="token_exchange_failed", is_bound=is_bound)
        return (yield from self._received(tokens))

    def revoke_token(self, token: str) -> Flow[None]:
        """Revokes an access or refresh token, and with it the other. Raises `revoke_failed`."""
        response = yield from self._again(lambda: oauth.revoke_request(self._options, token))
        oauth.parse_revoked(response)
        if token in (self.tokens.access_token, self.tokens.refresh_token):
            yield from invoke(self.tokens.clear)
        if self._listeners.revoked is not None:
            yield from invoke(self._listeners.revoked)

    def introspect_token(self, token: str) -> Flow[IntrospectionResponse]:
        """Asks the server about a token. Raises `introspection_failed`."""
        response = yield from self._again(lambda: oauth.introspect_request(self._options, token))
        return oauth.parse_introspection(response)

    def _proved(self, build: Build, *, has_to: bool = False) -> Flow[tuple[HttpResponse, bool]]:
        """Sends a token request, with a proof where the class says so; says whether it did.

        An agent that is registered with `--dpop` is refused without one, before its code or token
        is used (RFC 9449 5.2), and sends it then.
        """
        prover = self.prover
        if prover is not None and (self._if_offered or has_to or prover.is_demanded):
            offered = yield from self._is_offered(prover)
            if offered:
                return (yield from prover.exchange(build, self._once)), True
        response = yield from self._once(build)
        is_refused = response.status == 400 and error_code(response) == "invalid_dpop_proof"
        if prover is not None and is_refused and (yield from self._is_offered(prover)):
            prover.is_demanded = True
            return (yield from prover.exchange(build, self._once)), True
        return response, False

    def _is_offered(self, prover: Prover) -> Flow[bool]:
        journey = yield from self._journey()
        return (yield from prover.is_offered(self._options.server_url, journey))

    def _jkt(self) -> Flow[str | None]:
        """Returns the key that a code is bound to (RFC 9449 10), if the caller wants that."""
        prover = self.prover
        if prover is None or not self._if_offered:
            return None
        return prover.jkt if (yield from self._is_offered(prover)) else None

    def _hold(self, tokens: TokenResponse) -> None:
        if self.prover is not None and tokens.token_type.lower() == "dpop":
            self.prover.hold(tokens.access_token, tokens.refresh_token)

    def _received(self, tokens: TokenResponse) -> Flow[TokenResponse]:
        self._hold(tokens)
        yield from invoke(self.tokens.set_tokens, tokens)
        yield from self._tell(self._listeners.received, tokens)
        return tokens

    def _tell(
        self, listener: Callable[[TokenResponse], Any] | None, tokens: TokenResponse
    ) -> Flow[None]:
        if listener is not None:
            yield from invoke(listener, tokens)

    def _current_token(self) -> Flow[str | None]:
        token = self.tokens.get_access_token()
        if token is None and self.tokens.refresh_token is not None:
            yield from self.refresh_access_token(self.tokens.refresh_token)
            token = self.tokens.access_token
        return token

    def _again(self, request: HttpRequest | Build) -> Flow[HttpResponse]:
        response = yield from send_with_retries((yield from self._journey()), request)
        return (yield from self._explained(readable(response)))

    def _once(self, request: HttpRequest | Build) -> Flow[HttpResponse]:
        journey = yield from self._journey()
        built = request if isinstance(request, HttpRequest) else (yield from request())
        response = yield from journey.send(built)
        return (yield from self._explained(readable(response)))

    def _explained(self, response: HttpResponse) -> Flow[HttpResponse]:
        """Raises `clock_wrong` if that is why the server refused the agent's signature."""
        is_refused = response.status in (400, 401) and self._options.private_key is not None
        if is_refused and error_code(response) == "invalid_client":
            yield from check_clock(response, self._options.server_url)
        return response

    def _journey(self) -> Flow[Journey]:
        options = self._options
        ends_at = (yield from now()) + options.deadline
        return Journey(ends_at=ends_at, timeout=options.timeout, too_late=TOO_LATE)
