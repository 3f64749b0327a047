"""A request to the website, and the cookies that it brings and takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from auth_agent.errors import AuthError
from auth_agent.secret import Discreet

MAX_COOKIE_HEADER = 16_384
_OWN = r"(?:__Host-)?auth_agent[A-Za-z0-9_-]*=[^;,]*"
_FOLDED = re.compile(rf",[ \t]*({_OWN})")
_FOLDED_AFTER = re.compile(rf"((?:^|;)[ \t]*{_OWN}),[^;]*")

# The two names of one website's session (`session.cookie_names`).
_OF_SESSION = re.compile(r"((?:__Host-)?auth_agent_[A-Za-z0-9_-]{8})(?:_2)?")


class Cookie(Discreet, frozen=True):
    """One `Set-Cookie`; `max_age` is in seconds, 0 removes the cookie."""

    name: str
    value: str
    max_age: int
    secure: bool

    def __repr__(self) -> str:
        return f"Cookie({self.name}, max_age={self.max_age})"

    def header(self) -> str:
        """Returns the value; SameSite=Lax, because the callback is a cross-site navigation."""
        secure = "; Secure" if self.secure else ""
        return (
            f"{self.name}={self.value}; Path=/; Max-Age={self.max_age}; HttpOnly; SameSite=Lax"
            + secure
        )


class Visit:
    """A request to the website without its body; each adapter says how to read a header.

    `path` is the public path, decoded; `raw_path` is the same, percent-encoded.
    """

    __slots__ = ("is_handshake", "is_private", "method", "path", "problem")

    def __init__(self, method: str, path: str) -> None:
        self.problem: AuthError | None = None
        """Why the credentials of this visit prove nothing; the reply if an agent is needed."""
        self.is_private = False
        """Whether the answer depends on the agent: a rule or the application has looked at it."""
        self.is_handshake = False
        """Whether the request opens a WebSocket, through which anything may be changed."""
        self.method = method
        self.path = path

    def header(self, name: str) -> str | None:
        """Returns a header, repeated ones joined (RFC 9110 5.3); `name` is in lower case."""
        raise NotImplementedError

    @property
    def authorization(self) -> str | None:
        return self.header("authorization")

    @property
    def cookie_header(self) -> str | None:
        return self.header("cookie")

    @property
    def cookie_key(self) -> str | bytes | None:
        """Returns the cookies as the web server passes them on: the key of verified sessions."""
        return self.cookie_header

    @property
    def paths(self) -> tuple[str, ...]:
        """Returns every path by which the application may route this visit."""
        return (self.path,)

    @property
    def request(self) -> Any:
        """Returns the framework's own request, for the website's functions."""
        return None

    @property
    def raw_path(self) -> str:
        raise NotImplementedError

    @property
    def query(self) -> str:
        raise NotImplementedError

    @property
    def target(self) -> str:
        return f"{self.raw_path}?{self.query}" if self.query else self.raw_path

    def cookies(self) -> Iterator[tuple[str, str]]:
        """Yields every cookie, in the browser's order, of at most 16 KiB."""
        return split_cookies(self.cookie_header or "")

    def cookie(self, name: str) -> str | None:
        """Returns the first cookie of this name."""
        return find_cookie(self.cookie_header or "", name)


def split_cookies(header: str) -> Iterator[tuple[str, str]]:
    if len(header) > MAX_COOKIE_HEADER:
        return
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        if equals:
            # RFC 6265 5.2 knows two kinds of whitespace. `strip()` knows many more, so that another
            # host's cookie called "\x85__Host-…" would count as ours.
            yield name.strip(" \t"), value.strip(" \t")


def unfold_cookies(header: str) -> str:
    """Returns the cookies of several headers that a WSGI server has joined by commas.

    A comma counts only beside a name of ours: other cookies hold commas of their own. What stands
    after one comes last, and no session counts there beside one that stands on its own, so that no
    other host's cookie hides a cookie of ours.
    """
    if "," not in header or len(header) > MAX_COOKIE_HEADER:
        return header
    plain = _FOLDED_AFTER.sub(r"\1", header)
    held = {_session_of(name) for name, _ in split_cookies(plain)} - {None}
    folded = (pair for pair in _FOLDED.findall(header) if _session_of(pair) not in held)
    return ";".join([plain, *folded])


def _session_of(pair: str) -> str | None:
    """Returns which session a cookie is of, by its first name; None for any other cookie."""
    found = _OF_SESSION.fullmatch(pair.partition("=")[0])
    return None if found is None else found[1]


def find_cookie(header: str, name: str) -> str | None:
    if name not in header or len(header) > MAX_COOKIE_HEADER:
        return None
    return next((value for given, value in split_cookies(header) if given == name), None)
