"""Reads the server's answers: results, and refusals by their codes."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from auth_agent.errors import AuthError, ServerMisbehaved, ServerUnavailable
from auth_agent.flow.exchange import HttpResponse, json_object
from auth_agent.sdk.exchange.html import excerpt

POLL_SECONDS = 0.5
MAX_RETRY_AFTER = 30.0
MAX_DIGITS = 9  # of seconds: longer than any wait


def read_object(response: HttpResponse, what: str, *, failure: str) -> dict[str, Any]:
    """Returns the JSON object of a 2xx answer; refuses any other with the code `failure`."""
    check_answer(response, failure=failure)
    return json_object(response, what)


def check_answer(response: HttpResponse, *, failure: str) -> None:
    """Raises unless this is a 2xx answer of an Auth Agent server."""
    check_origin(response)
    if not 200 <= response.status < 300:
        refuse(response, failure=failure)


def read_protected(response: HttpResponse, what: str, *, failure: str) -> dict[str, Any]:
    """Returns the JSON object of an answer to an access token (RFC 6750 3.1)."""
    check_origin(response)
    if response.status == 401:
        raise token_expired(
            "The server does not accept the access token: it has expired, was revoked, or belongs "
            "to another server. Refresh it, or sign in again."
        )
    if response.status == 403:
        raise AuthError(
            f"The access token does not allow this: {excerpt(response)}",
            code="forbidden",
            status_code=403,
        )
    return read_object(response, what, failure=failure)


def token_expired(description: str) -> AuthError:
    return AuthError(description, code="token_expired", status_code=401)


def check_origin(response: HttpResponse) -> None:
    """Raises if a proxy or a captive portal answers instead of the server."""
    status = response.status
    is_page = "html" in response.headers.get("content-type", "").lower()
    if status == 511 or (status < 500 and (is_page or 300 <= status < 400)):
        raise ServerMisbehaved(
            f"The answer ({status}) is a web page, and an Auth Agent server answers with JSON: "
            "server_url is wrong, or the network wants you to sign in first (a captive portal "
            f"or a proxy). The page begins: {excerpt(response)}",
            code="unexpected_page",
        )


def refuse(response: HttpResponse, *, failure: str) -> NoReturn:
    """Raises `rate_limited`, `server_unavailable`, or the refusal with the code `failure`."""
    if response.status == 429:
        seconds = int(asked_wait(response) or POLL_SECONDS)
        raise AuthError(
            f"Too many attempts; the server asks to wait {seconds} seconds.",
            code="rate_limited",
            status_code=429,
        )
    if response.status >= 500:
        raise ServerUnavailable(
            "The Auth Agent server reports an internal error; try again in a few seconds."
        )
    raise AuthError(
        f"The server refused: {excerpt(response)}", code=failure, status_code=response.status
    )


def error_code(response: HttpResponse) -> str:
    """Returns the OAuth error that an answer names, or nothing."""
    try:
        return str(json_object(response, "error").get("error", ""))
    except ServerMisbehaved:
        return ""


def is_busy(response: HttpResponse) -> bool:
    """Returns True if the same request may succeed in a moment."""
    return response.status == 429 or response.status in (500, 502, 503, 504)


def asked_wait(response: HttpResponse) -> float | None:
    """Returns seconds; a date counts from the answer's own `Date` (RFC 9110 10.2.3)."""
    text = response.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:MAX_DIGITS])
    try:
        at, said = (parsedate_to_datetime(when) for when in (text, response.headers["date"]))
        return max(0.0, (at - said).total_seconds())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def retry_after(response: HttpResponse) -> float:
    """Returns the seconds until the next poll."""
    return min(max(asked_wait(response) or 0.0, POLL_SECONDS), MAX_RETRY_AFTER)
