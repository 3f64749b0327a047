"""A request to a server and its answer, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from auth_agent.errors import ServerMisbehaved
from auth_agent.flow.documents import read_object
from auth_agent.secret import Discreet

MIN_LIFETIME = 300


MAX_LIFETIME = 86_400


DEFAULT_LIFETIME = 3_600


_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


def cache_seconds(headers: Mapping[str, str]) -> int:
    """Returns how long to cache an answer: its max-age, between five minutes and a day."""
    found = _MAX_AGE.search(headers.get("cache-control", ""))
    wanted = int(found[1]) if found else DEFAULT_LIFETIME
    return min(max(wanted, MIN_LIFETIME), MAX_LIFETIME)


Headers = tuple[tuple[str, str], ...]


class HttpRequest(Discreet, frozen=True):
    """A request to the Auth Agent server."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""

    def __repr__(self) -> str:  # headers and body carry credentials, a query may
        return f"HttpRequest({self.method} {self.url.partition('?')[0]})"


class HttpResponse(Discreet, frozen=True):
    """The server's answer, read in full; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpResponse({self.status}, {len(self.body)} bytes)"


def is_trouble(response: HttpResponse) -> bool:
    """Returns True if the server reports a temporary failure, which answers nothing."""
    return response.status >= 500 or response.status == 429


def json_object(response: HttpResponse, what: str) -> dict[str, Any]:
    """Parses an answer's JSON object; raises `ServerMisbehaved` with `what` was expected."""
    try:
        value = read_object(response.body.removeprefix(b"\xef\xbb\xbf"))  # a byte order mark
    except ValueError:
        raise ServerMisbehaved(
            f"The Auth Agent server's {what} is nested too deeply.", code="answer_too_deep"
        ) from None
    if value is None:
        raise ServerMisbehaved(
            f"The Auth Agent server answered {response.status} without a JSON object "
            f"where its {what} should be."
        )
    return value


def form_request(url: str, fields: Mapping[str, str], headers: Headers = ()) -> HttpRequest:
    content_type = ("Content-Type", "application/x-www-form-urlencoded")
    accept = ("Accept", "application/json")
    return HttpRequest("POST", url, (content_type, accept, *headers), urlencode(fields).encode())
