"""Idempotent requests are sent again: on 429, 5xx and network errors, with jitter, to a deadline.

Tenacity decides whether and when; the waiting is an effect like any other, so that both colours
and the tests share it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.exchange.answers import asked_wait, is_busy
from auth_agent.sdk.exchange.journey import TOO_LATE, Journey
from auth_agent.sdk.flow.effects import Flow

if TYPE_CHECKING:
    import tenacity

MAX_ATTEMPTS = 4
FIRST_WAIT, LONGEST_WAIT, JITTER = 0.25, 4.0, 0.25
HOPELESS = ("tls_failed", "proxy_failed")  # another attempt meets the same certificate


def insist(
    journey: Journey, request: HttpRequest | Callable[[], Flow[HttpRequest]]
) -> Flow[HttpResponse]:
    """The last attempt's answer or error; a signed request is built anew for each.

    `Retry-After` is respected: what it does not leave time for is not tried (RFC 9110 10.2.3).
    """
    import tenacity  # noqa: PLC0415

    left = yield from journey.seconds_left()
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_result(is_busy) | tenacity.retry_if_exception(_is_passing),
        wait=_pause,
        stop=lambda state: state.attempt_number >= MAX_ATTEMPTS or state.upcoming_sleep >= left,
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    retrying.begin()
    state = tenacity.RetryCallState(retrying, None, (), {})
    failure: AuthError | None = None
    while True:
        decided = retrying.iter(state)
        if isinstance(decided, tenacity.DoAttempt):
            try:
                built = request if isinstance(request, HttpRequest) else (yield from request())
                state.set_result((yield from journey.send(built)))
            except AuthError as known:
                if failure is not None and known.code == TOO_LATE:
                    raise failure from None  # it says more than that the time is up
                failure = known
                kind, error, trace = sys.exc_info()
                assert kind is not None  # noqa: S101  # mypy: an error is being handled
                assert error is not None  # noqa: S101
                state.set_exception((kind, error, trace))
            left = yield from journey.seconds_left()
        elif isinstance(decided, tenacity.DoSleep):
            state.prepare_for_next_attempt()
            yield from journey.rest(decided)
        else:
            response: HttpResponse = decided
            return response


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, ServerUnavailable) and error.code not in HOPELESS


def _pause(state: tenacity.RetryCallState) -> float:
    import tenacity  # noqa: PLC0415

    backoff = tenacity.wait_exponential_jitter(
        multiplier=FIRST_WAIT, max=LONGEST_WAIT, jitter=JITTER
    )(state)
    outcome = state.outcome
    asked = None if outcome is None or outcome.failed else asked_wait(outcome.result())
    return max(asked or 0.0, backoff)
