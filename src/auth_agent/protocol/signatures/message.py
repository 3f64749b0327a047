"""A request or a response as signatures see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import msgspec

from auth_agent.url import normal_origin

Header = Callable[[str], str | None]


class Message(msgspec.Struct, frozen=True):
    """A request without its body; `path` and `query` (without "?") are percent-encoded, as sent.

    `header(name)` returns a field, its lines joined by ", ", or None; `name` is in lower case. A
    response has the `request` that it answers, and only that one's derived components.
    """

    method: str
    origin: str
    """Scheme and authority as browsers write them: lower case, no default port."""
    path: str
    query: str | None
    header: Header
    request: Message | None = None

    @property
    def scheme(self) -> str:
        return self.origin.partition("://")[0]

    @property
    def authority(self) -> str:
        return self.origin.partition("://")[2]

    @property
    def target(self) -> str:
        """Returns path and query, as on the request line."""
        return (self.path or "/") + (f"?{self.query}" if self.query is not None else "")


def request_message(method: str, url: str, headers: Iterable[tuple[str, str]] = ()) -> Message:
    """Returns the message of a request that is about to be sent to an absolute URL."""
    parts = urlsplit(url)
    query = parts.query if "?" in url.partition("#")[0] else None
    return Message(method, normal_origin(url), parts.path or "/", query, header_of(headers))


def response_message(request: Message, headers: Iterable[tuple[str, str]]) -> Message:
    """Returns the message of the response to this request."""
    return Message("", "", "", None, header_of(headers), request)


def header_of(headers: Iterable[tuple[str, str]]) -> Header:
    """Returns a lookup of fields by lower-case name; repeated ones are joined (RFC 9421 2.1)."""
    lines: dict[str, list[str]] = {}
    for name, value in headers:
        lines.setdefault(name.lower(), []).append(value.strip(" \t"))
    return lambda name: ", ".join(lines[name]) if name in lines else None
