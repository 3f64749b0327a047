"""The agent asks its owner (OpenID CIBA Core 1.0, poll mode): it names acts and waits for a token.

The owner answers on the server's page; agent and model see nothing that proves the owner. The codes
of `AuthError`: `details_invalid`, `owner_unavailable` (no owner can be asked), `owner_denied`,
`owner_silent` (no answer in time), `ask_failed` (the server refused the question).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from auth_agent.errors import AuthError, ServerMisbehaved, ServerUnavailable, SettingsError
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.protocol.details import BadDetails, canonical, check_details
from auth_agent.sdk.calls import oauth
from auth_agent.sdk.calls.event_calls import EventCalls
from auth_agent.sdk.calls.oauth import DEFAULT_SCOPE, at
from auth_agent.sdk.exchange.answers import error_code, read_object
from auth_agent.sdk.flow.effects import Flow, now, wait
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.identity.proof import client_form
from auth_agent.sdk.results import TokenResponse
from auth_agent.url import url_problem

CIBA = "urn:openid:params:grant-type:ciba"
SHORTEST, LONGEST = 30, 3_600  # seconds that a question waits
SLOWER = 5  # seconds, CIBA Core section 11
MAX_INTERVAL = 60
Acts = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class OwnerCalls(EventCalls):
    """The flows of one agent that ask its owner."""

    def ask_owner(
        self,
        details: Acts = (),
        *,
        resource: str,
        scope: str | None = None,
        message: str | None = None,
        timeout: float = 300.0,
    ) -> Flow[TokenResponse]:
        """Asks the agent's owner to approve these acts; returns the token for `resource`.

        `details` is an act or several (RFC 9396: `type`, `title`, ...), as a website's refusal
        lists them in `authorization_details`; without one the owner approves a sign-in. `message`
        is a short text that the owner sees. Waits up to `timeout` seconds (30 to 3600). The token
        is given to the caller alone; `token_headers` makes a request's headers of it, also if it is
        bound to a key. Raises `owner_denied`, `owner_silent`, `owner_unavailable`.
        """
        self._options.check_credential()
        fields = _question(self._options, details, resource, scope, message)
        seconds = int(min(max(timeout, SHORTEST), LONGEST))
        ends_at = (yield from now()) + seconds
        fields["requested_expiry"] = str(seconds)
        endpoint = at(self._options, "/bc-authorize")
        ask = partial(client_form, self._options, endpoint, fields)
        asked, _ = yield from self._proved(ask)
        auth_req_id, interval = _parse_asked(asked)
        poll = partial(_poll_request, self._options, auth_req_id)
        while True:
            left = ends_at - (yield from now())
            yield from wait(max(0.0, min(interval, left)))
            try:
                response, is_bound = yield from self._proved(poll)
            except ServerUnavailable:  # a poll that failed is repeated while there is time
                if left <= interval:
                    raise
                continue
            error = error_code(response) if response.status == 400 else ""
            if error not in ("authorization_pending", "slow_down"):
                tokens = _parse_answer(response, error, is_bound=is_bound)
                self._hold(tokens)
                return tokens
            if left <= interval:
                raise _silent()
            interval = min(interval + SLOWER * (error == "slow_down"), MAX_INTERVAL)


def _question(
    options: Options, details: Acts, resource: str, scope: str | None, message: str | None
) -> dict[str, str]:
    """Returns the fields of the question; refuses what the operator does not allow."""
    if problem := url_problem(resource):
        raise SettingsError([f"the resource {problem}"])
    options.check_website(resource)
    if scope is None:
        words = DEFAULT_SCOPE.split()
        allowed = options.allowed_scopes | {"openid"} if options.allowed_scopes else set(words)
        scope = " ".join(word for word in words if word in allowed)
    else:
        options.check_scopes(frozenset(scope.split()) - {"openid"})
        scope = " ".join(dict.fromkeys(["openid", *scope.split()]))
    fields = {"scope": scope, "resource": resource}
    acts = [dict(details)] if isinstance(details, Mapping) else [dict(act) for act in details]
    if acts:
        try:
            fields["authorization_details"] = canonical(check_details(acts))
        except BadDetails as problem:
            raise AuthError(f"{problem}.", code="details_invalid") from None
    if message is not None:
        fields["binding_message"] = message
    if options.model is not None:
        fields["model"] = options.model
    return fields


def _poll_request(options: Options, auth_req_id: str) -> Flow[HttpRequest]:
    fields = {"grant_type": CIBA, "auth_req_id": auth_req_id}
    return (yield from client_form(options, at(options, "/token"), fields))


def _parse_asked(response: HttpResponse) -> tuple[str, float]:
    """Returns `auth_req_id` and the seconds between two polls."""
    if response.status == 403:
        raise AuthError(
            "The agent's owner cannot be asked: the owner has not confirmed this agent on the "
            "server's pages for owners yet (its address with /owner).",
            code="owner_unavailable",
            status_code=403,
        )
    document = read_object(response, "answer to the question", failure="ask_failed")
    auth_req_id, interval = document.get("auth_req_id"), document.get("interval", SLOWER)
    if not isinstance(auth_req_id, str) or not auth_req_id:
        raise ServerMisbehaved("The server's answer holds no auth_req_id.", code="answer_malformed")
    is_number = isinstance(interval, int) and not isinstance(interval, bool) and interval > 0
    return auth_req_id, float(min(interval, MAX_INTERVAL)) if is_number else float(SLOWER)


def _parse_answer(response: HttpResponse, error: str, *, is_bound: bool) -> TokenResponse:
    if error == "access_denied":
        raise AuthError("The owner did not approve this.", code="owner_denied", status_code=403)
    if error == "expired_token":
        raise _silent()
    return oauth.parse_tokens(response, failure="ask_failed", is_bound=is_bound)


def _silent() -> AuthError:
    return AuthError(
        "The owner did not answer in time. Nothing was approved; ask again later.",
        code="owner_silent",
        status_code=504,
    )
