"""What recognition found out about a visit, and what becomes of the visit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from auth_agent.errors import AuthError
from auth_agent.flow.exchange import Headers
from auth_agent.website.agent import Agent
from auth_agent.website.web.visit import Cookie


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a built-in page says, in plain text, and the policy that a website's own page gets."""

    code: str
    site: str
    title: str
    message: str
    action: str
    url: str
    method: Literal["get", "post"] = "get"
    policy: str


class Reply(msgspec.Struct, frozen=True):
    """An answer of the gate; the website's application does not see the request."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    cookies: tuple[Cookie, ...] = ()
    page: Shown | None = None
    """Set if the body is a page that the website may render by itself."""

    def header_list(self) -> list[tuple[str, str]]:
        """Returns all headers, with one `Set-Cookie` for each cookie."""
        headers = list(self.headers)
        if self.status != 204:  # RFC 9110 8.6
            headers.append(("Content-Length", str(len(self.body))))
        headers.extend(("Set-Cookie", cookie.header()) for cookie in self.cookies)
        if self.cookies and not any(name == "Cache-Control" for name, _ in headers):
            headers.append(("Cache-Control", "no-store"))
        return headers

    def missing_headers(self, status: int, told: Iterable[str]) -> Headers:
        """Returns what a framework's own rendering of this refusal lacks, by the names it has."""
        if status != self.status:
            return ()
        known = {name.lower() for name in told} | {"content-type"}
        return tuple(pair for pair in self.headers if pair[0].lower() not in known)


class Pass(msgspec.Struct, frozen=True):
    """The application answers; `cookies` are added to its response.

    Other requests share this agent, so that the application gets a copy from `entry.Entry`.
    """

    agent: Agent | None
    cookies: tuple[Cookie, ...] = ()


Outcome = Pass | Reply


class Recognised(msgspec.Struct, frozen=True):
    """The answer to "who is it?"; nothing is admitted yet.

    A known credential is remembered with this value, so that many requests share it.
    """

    agent: Agent | None
    cookies: tuple[Cookie, ...] = ()
    problem: AuthError | None = None
    """Why the credentials of the visit prove nothing; the reply if an agent is needed."""
    passed: Pass = Pass(None)
    """The outcome on a website without rules of its own; built once, for the hot path."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "passed", Pass(self.agent, self.cookies))


NOBODY = Recognised(None)
"""A visit without credentials of ours."""
