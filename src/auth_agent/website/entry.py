"""The middleware's result for the application, the same for every framework."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from auth_agent.errors import SettingsError
from auth_agent.flow.effects import Flow
from auth_agent.protocol.details import Act
from auth_agent.website.agent import Agent, copied
from auth_agent.website.gate import RelyingParty
from auth_agent.website.policy.approval import Approval
from auth_agent.website.policy.requirement import ANY_AGENT, Requirement
from auth_agent.website.web.headers import cookie_headers, is_page, link_headers, private_headers
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.website.web.visit import Cookie, Visit


class Entry(msgspec.Struct, eq=False):
    """The agent of one request, and whether the application has read it."""

    relying_party: RelyingParty
    visit: Visit
    passed: Pass
    refused: Reply | None = None
    """The reply of which the framework renders a part, in a way of its own."""
    _own: Agent | None = None

    @property
    def agent(self) -> Agent | None:
        """Returns this request's own agent: changed claims do not reach the next request."""
        return self._copy()

    @property
    def is_nobody(self) -> bool:
        return self.passed.agent is None

    @property
    def cookies(self) -> tuple[Cookie, ...]:
        """Returns the cookies that the response has to set."""
        return self.passed.cookies

    @property
    def read(self) -> bool:
        """Whether the response depends on the agent, so that it is private."""
        return self.visit.is_private

    @read.setter
    def read(self, read: bool) -> None:
        self.visit.is_private = read

    def finishes(self) -> bool:
        """Returns whether `finish` may change the headers of a response."""
        passed = self.passed
        return self.visit.is_private or passed.agent is None or bool(passed.cookies)

    def look(self) -> Agent | None:
        """Returns the agent and marks the response as private, because it depends on the agent."""
        self.visit.is_private = True
        return self._copy()

    def require(self, requirement: Requirement = ANY_AGENT) -> Reply | None:
        """Returns None if the agent meets the requirement, else the reply to send instead."""
        self.visit.is_private = True
        return self.relying_party.require(self.visit, self.passed.agent, requirement)

    def require_no_agent(self) -> Reply | None:
        """Returns None if no agent is signed in, else a reply: for pages kept for humans."""
        self.visit.is_private = True
        return self.relying_party.require_no_agent(self.visit, self.passed.agent)

    def use_approval(self, act: Act) -> Flow[Approval | Reply]:
        """Uses the owner's approval of this very act, else returns the reply to send instead."""
        self.visit.is_private = True
        return self.relying_party.use_approval(self.visit, self.passed.agent, act)

    def finish(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Returns the headers of the application's response, with ours.

        A response that depends on the agent is private, a response with a cookie of ours is not
        stored, and a page without an agent links to the sign-in.
        """
        finished = private_headers(headers) if self.read else list(headers)
        if self.is_nobody and self.relying_party.settings.sign_in and is_page(finished):
            login_path = self.relying_party.login_path(self.visit.target)
            finished = link_headers(finished, f'<{login_path}>; rel="login"')
        return cookie_headers(finished, self.cookies) if self.cookies else finished

    def __repr__(self) -> str:
        return f"Entry(is_nobody={self.is_nobody}, read={self.read})"

    def __rich_repr__(self) -> Any:
        yield repr(self)

    def _copy(self) -> Agent | None:
        if self._own is None and self.passed.agent is not None:
            self._own = copied(self.passed.agent)
        return self._own


def agent_of(request: Mapping[str, Any]) -> Agent | None:
    """Returns the agent of a scope or an environ, and marks the response as private.

    Raises `SettingsError` if the middleware has not seen the request.
    """
    entry = request.get("auth_agent.entry")
    if not isinstance(entry, Entry):
        raise SettingsError(["AuthAgentMiddleware is missing: app = AuthAgentMiddleware(app)"])
    return entry.look()
