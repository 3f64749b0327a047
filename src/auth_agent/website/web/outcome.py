"""What becomes of a visit: the application goes on, or we answer ourselves."""

from __future__ import annotations

import msgspec

from auth_agent.flow.exchange import Headers
from auth_agent.website.agent import Agent
from auth_agent.website.web.visit import Cookie


class Reply(msgspec.Struct, frozen=True):
    """An answer that the website's application never sees the request of."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    cookies: tuple[Cookie, ...] = ()

    def header_list(self) -> list[tuple[str, str]]:
        """All headers, one `Set-Cookie` for each cookie."""
        headers = [*self.headers, ("Content-Length", str(len(self.body)))]
        headers.extend(("Set-Cookie", cookie.header()) for cookie in self.cookies)
        if self.cookies and not any(name == "Cache-Control" for name, _ in headers):
            headers.append(("Cache-Control", "no-store"))
        return headers


class Pass(msgspec.Struct, frozen=True):
    """The application may answer; `cookies` go into whatever it says.

    Other requests share this agent, which therefore reaches the application through `gate.Entry`.
    """

    agent: Agent | None
    cookies: tuple[Cookie, ...] = ()


Outcome = Pass | Reply
