"""One request to a website inside a session that is there, bounded in time, size and reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from auth_agent.errors import AuthError, ServerUnavailable
from auth_agent.flow.exchange import Headers, HttpRequest, HttpResponse
from auth_agent.sdk.exchange.journey import PAGE, Journey, check_hop, readable, redirect_target
from auth_agent.sdk.flow.effects import Flow, now
from auth_agent.sdk.sign_in.website import OWN_CAUSES
from auth_agent.sdk.text import one_line
from auth_agent.sdk.tools.acts import Acts, demanded
from auth_agent.url import normal_origin

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUEST_SECONDS = 10.0
MAX_FORM = 65_536
TOO_LATE = "The website took too long to answer; try again later."


Credentials = Callable[[str, str], Mapping[str, str]]


class Visited(NamedTuple):
    """The last answer; None if the website wants a sign-in, or the owner's approval of `acts`."""

    url: str
    response: HttpResponse | None
    acts: Acts = []  # noqa: RUF012  # never changed


def build_request(url: str, method: str, form: Mapping[str, str] | None) -> HttpRequest:
    """Builds a request as a browser's form would send it; raises `request_invalid`."""
    method = method.upper()
    if method not in METHODS:
        raise _invalid(f"The method {one_line(method, 20)} is not one of {', '.join(METHODS)}.")
    encoded = urlencode(dict(form or {}))
    if len(encoded) > MAX_FORM:
        raise _invalid(f"The form has more than {MAX_FORM} characters.")
    if method == "GET":
        joint = "" if not encoded else "&" if "?" in url else "?"
        return HttpRequest("GET", f"{url}{joint}{encoded}", (PAGE,))
    headers: Headers = (
        PAGE,
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", normal_origin(url)),
        ("Referer", url),
    )
    return HttpRequest(method, url, headers, encoded.encode())


def visit(
    request: HttpRequest, website: str, *, within: float, credentials: Credentials
) -> Flow[Visited]:
    """Sends the request and follows redirects on the same website; raises `AuthError`.

    `credentials` gives more headers for a URL and a method, as long as the method is kept.
    """
    ends_at = (yield from now()) + within
    journey = Journey(ends_at=ends_at, timeout=REQUEST_SECONDS, too_late=TOO_LATE)
    while True:
        url = request.url
        try:
            response = yield from journey.open(_with_headers(request, credentials))
        except ServerUnavailable as error:
            code = error.code if error.code in OWN_CAUSES else "website_unavailable"
            raise ServerUnavailable(
                f"The website cannot be reached: {error.description}", code=code
            ) from None
        target = redirect_target(url, response)
        if response.status == 401:
            return Visited(url, None, demanded(response))
        if target is None:
            return Visited(url, readable(response))
        check_hop(target, came_from=url)
        if normal_origin(target) != website:
            return Visited(url, None)
        keeps_body = response.status in (307, 308)  # RFC 9110 15.4.8, 15.4.9
        credentials = credentials if keeps_body else _no_credentials
        request = HttpRequest(
            request.method if keeps_body else "GET",
            target,
            request.headers if keeps_body else (PAGE,),
            request.body if keeps_body else b"",
        )


def _with_headers(request: HttpRequest, credentials: Credentials) -> HttpRequest:
    more = credentials(request.url, request.method).items()
    return msgspec.structs.replace(request, headers=(*request.headers, *more))


def _no_credentials(_url: str, _method: str) -> Mapping[str, str]:
    return {}


def _invalid(description: str) -> AuthError:
    return AuthError(description, code="request_invalid")
