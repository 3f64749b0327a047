"""The middleware's result for the application, the same for every framework."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from auth_agent.errors import SettingsError
from auth_agent.flow.effects import Flow
from auth_agent.protocol.details import Act
from auth_agent.website.agent import Agent, copied
from auth_agent.website.gate import RelyingParty
from auth_agent.website.policy.admission import ANY_AGENT
from auth_agent.website.policy.approval import Approval
from auth_agent.website.policy.requirement import Requirement
from auth_agent.website.web.headers import cookie_headers, is_page, link_headers, private_headers
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.website.web.visit import Cookie, Visit


class Entry:
    """The agent of one request, and whether the application has read it."""

    __slots__ = ("_own", "_passed", "adds", "read", "refused", "relying_party", "visit")

    def __init__(self, relying_party: RelyingParty, visit: Visit, passed: Pass) -> None:
        self.relying_party = relying_party
        self.visit = visit
        self.read = visit.judged
        self.adds = passed.agent is None or bool(passed.cookies)
        """Whether `finish` may add headers although the application has not read the agent."""
        self.refused: Reply | None = None
        """The reply of which the framework renders a part, in a way of its own."""
        self._passed = passed
        self._own: Agent | None = None

    @property
    def agent(self) -> Agent | None:
        """Returns this request's own agent: changed claims do not reach the next request."""
        if self._own is None and self._passed.agent is not None:
            self._own = copied(self._passed.agent)
        return self._own

    @property
    def is_nobody(self) -> bool:
        return self._passed.agent is None

    @property
    def cookies(self) -> tuple[Cookie, ...]:
        """Returns the cookies that the response has to set."""
        return self._passed.cookies

    def look(self) -> Agent | None:
        """Returns the agent and marks the response as private, because it depends on the agent."""
        self.read = True
        return self._own or self.agent

    def require(self, requirement: Requirement = ANY_AGENT) -> Reply | None:
        """Returns None if the agent meets the requirement, else the reply to send instead."""
        self.read = True
        return self.relying_party.require(self.visit, self._passed.agent, requirement)

    def require_no_agent(self) -> Reply | None:
        """Returns None if no agent is signed in, else a reply: for pages kept for humans."""
        self.read = True
        return self.relying_party.require_no_agent(self.visit, self._passed.agent)

    def use_approval(self, act: Act) -> Flow[Approval | Reply]:
        """Uses the owner's approval of this very act, else returns the reply to send instead."""
        self.read = True
        return self.relying_party.use_approval(self.visit, self._passed.agent, act)

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


def agent_of(request: Mapping[str, Any]) -> Agent | None:
    """Returns the agent of a scope or an environ, and marks the response as private.

    Raises `SettingsError` if the middleware has not seen the request.
    """
    entry = request.get("auth_agent.entry")
    if not isinstance(entry, Entry):
        raise SettingsError(["AuthAgentMiddleware is missing: app = AuthAgentMiddleware(app)"])
    return entry.look()
