"""Repeats idempotent requests after 429, 5xx and network errors, with jitter, to a deadline."""

from __future__ import annotations

from collections.abc import Callable

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.exchange.answers import asked_wait, is_busy
from auth_agent.sdk.exchange.journey import TOO_LATE, Journey
from auth_agent.sdk.flow.effects import Flow, chance

MAX_ATTEMPTS = 4
FIRST_WAIT, LONGEST_WAIT, JITTER = 0.25, 4.0, 0.25
HOPELESS = ("tls_failed", "proxy_failed")  # another attempt meets the same certificate

Outcome = HttpResponse | AuthError


def send_with_retries(
    journey: Journey, request: HttpRequest | Callable[[], Flow[HttpRequest]]
) -> Flow[HttpResponse]:
    """Returns the last attempt's answer or raises its error; signs each request again.

    Respects `Retry-After`: skips an attempt that the remaining time has no room for (RFC 9110
    10.2.3).
    """
    outcome: Outcome | None = None
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            built = request if isinstance(request, HttpRequest) else (yield from request())
            outcome = yield from journey.send(built)
        except AuthError as error:
            # The previous attempt's error is more useful than a time-out.
            is_late = error.code == TOO_LATE and outcome is not None
            outcome = outcome if is_late else error
            if is_late or not _is_passing(error):
                break
        else:
            if not is_busy(outcome):
                break
        pause = yield from _pause(attempt, outcome)
        if attempt == MAX_ATTEMPTS or (yield from journey.seconds_left()) <= pause:
            break
        yield from journey.rest(pause)
    if isinstance(outcome, HttpResponse):
        return outcome
    assert outcome is not None  # noqa: S101  # there is at least one attempt
    raise outcome from None


def _is_passing(error: AuthError) -> bool:
    return isinstance(error, ServerUnavailable) and error.code not in HOPELESS


def _pause(attempt: int, outcome: Outcome | None) -> Flow[float]:
    """Returns seconds: exponential, or what the server asks for if that is more."""
    backoff: float = min(FIRST_WAIT * 2.0 ** (attempt - 1), LONGEST_WAIT)
    backoff += JITTER * (yield from chance())
    asked = asked_wait(outcome) if isinstance(outcome, HttpResponse) else None
    return max(asked or 0.0, backoff)
