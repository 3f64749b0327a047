"""A request and an answer as plain values, which handlers take and return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from auth_agent.secret import Discreet
from auth_agent.server.web.proxies import party_of

Headers = tuple[tuple[str, str], ...]

NO_STORE: Headers = (("cache-control", "no-store"), ("pragma", "no-cache"))


class Call(Discreet, frozen=True):
    """One request, body read; header names in lower case. It holds secrets."""

    method: str
    path: str
    path_params: Mapping[str, str]
    query: bytes
    headers: Mapping[str, str]
    body: bytes
    address: str

    def __repr__(self) -> str:
        return f"Call({self.method} {self.path})"

    @property
    def party(self) -> str:
        """Returns the address or network whose failures are counted together."""
        return party_of(self.address)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    def cookie(self, name: str) -> str | None:
        """Returns the first cookie of this name; browsers send the most specific one first."""
        for part in self.headers.get("cookie", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return None


class Answer(Discreet, frozen=True):
    """One response; `chunks`, if given, are sent as they are produced, instead of the body."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: str = "application/json"
    chunks: Iterator[bytes] | None = None

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"

    def with_headers(self, headers: Headers) -> Answer:
        """Returns the same answer with these headers appended."""
        return msgspec.structs.replace(self, headers=self.headers + headers)


class Refusal(Exception):
    """A refused request: an OAuth error code, and a `description` for people in plain ASCII."""

    def __init__(self, status: int, error: str, description: str, headers: Headers = ()) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.description = description
        self.headers = headers

    def answer(self) -> Answer:
        """Returns the refusal as an OAuth error in JSON."""
        body = {"error": self.error, "error_description": self.description}
        return json_answer(body, self.status, (*NO_STORE, *self.headers))


def cookie_name(kind: str, *, is_https: bool) -> str:
    """Returns the full name of one of the server's cookies.

    No website's cookie has such a name, so both can live on one host.
    """
    return f"{'__Host-' if is_https else ''}auth_agent_{kind}"


def json_answer(body: Any, status: int = 200, headers: Headers = NO_STORE) -> Answer:
    return Answer(status, msgspec.json.encode(body), headers)


def redirect(location: str, status: int = 303, headers: Headers = NO_STORE) -> Answer:
    """Returns a redirect that drops the posted body (RFC 9700 section 4.12)."""
    extra = (("location", location), ("referrer-policy", "no-referrer"))
    return Answer(status, b"", (*headers, *extra), "text/plain; charset=utf-8")
