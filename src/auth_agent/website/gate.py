"""The one entry point for every framework.

`RelyingParty.enter` takes a `Visit` and returns a `Pass` (the application goes on, with this agent)
or a `Reply` (the gate answers, the application does not see the request). It returns a flow that
ends in one of the two only if I/O is needed; a known cookie or token needs none. It reads in one
direction: a route of our own, or recognise, then admit.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from auth_agent.errors import AuthError, SettingsError
from auth_agent.flow.drive import arun, run
from auth_agent.flow.effects import Flow
from auth_agent.protocol.details import Act
from auth_agent.url import safe_next
from auth_agent.website.agent import Agent
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Hooks, Site, name_accounts
from auth_agent.website.events import log_event
from auth_agent.website.policy.admission import Admission
from auth_agent.website.policy.approval import Approval, Approvals
from auth_agent.website.policy.requirement import ANY_AGENT, Decision, Requirement, explain
from auth_agent.website.recognition.recogniser import Recogniser
from auth_agent.website.sign_in.routes import Routes
from auth_agent.website.web.outcome import Outcome, Reply
from auth_agent.website.web.own_page import Page, check_renderer
from auth_agent.website.web.visit import Visit

RECHECK_SECONDS = 60


class RelyingParty:
    """A website that lets agents in: its settings, its keys, and its cached data of the server.

    Raises `SettingsError` if the settings are wrong. Sends nothing to the server when it is made,
    so that a website starts although its server is down. `site.Hooks` documents the hooks.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        on_sign_in: Callable[[Agent], Any] | None = None,
        on_refused: Callable[[AuthError], Any] | None = None,
        on_sign_out: Callable[[Agent], Any] | None = None,
        is_welcome: Callable[[Agent], Any] | None = None,
        render_page: Callable[[Page], Any] | None = None,
        accounts: str | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = settings or Settings.from_env()
        problems = check_renderer(render_page)
        if problems:
            raise SettingsError(problems)
        hooks = Hooks(
            on_sign_in=on_sign_in,
            on_refused=on_refused,
            on_sign_out=on_sign_out,
            is_welcome=is_welcome,
            accounts=name_accounts(on_sign_in, accounts),
            render_page=render_page,
        )
        self._site = Site.open(self.settings, hooks, clock=clock, random=random)
        self._recogniser = Recogniser(self._site)
        self._sessions = self._recogniser.sessions
        self._routes = Routes(self._site, self._sessions, self._recogniser.store).table()
        self._admission = Admission(self._site)
        store = self._recogniser.store
        self._approvals = Approvals(self._site, None if store is None else store.spend)
        if self.settings.report_only:
            log_event("report_only", level=logging.WARNING, cause="AUTH_AGENT_REPORT_ONLY")

    def enter(self, visit: Visit) -> Outcome | Flow[Outcome]:
        """Admits a request; this code runs for every request of the website."""
        if visit.path in self._routes:
            return self._routes[visit.path](visit)
        return self._admission.admit(visit, self._recogniser.recognise(visit))

    def enter_socket(self, visit: Visit) -> Outcome | Flow[Outcome]:
        """Admits a WebSocket's handshake, whose answer sets no cookie."""
        visit.is_handshake = True
        return self._admission.admit(visit, self._recogniser.recognise_handshake(visit))

    def require(
        self, visit: Visit, agent: Agent | None, requirement: Requirement = ANY_AGENT
    ) -> Reply | None:
        """Returns None if the agent meets the requirement, else the reply to send instead."""
        return self._admission.require(visit, agent, requirement)

    def require_no_agent(self, visit: Visit, agent: Agent | None) -> Reply | None:
        """Returns None if no agent is signed in, else a reply: for pages kept for humans."""
        return self._admission.require_no_agent(visit, agent)

    def require_own_request(self, visit: Visit, agent: Agent | None) -> Reply | None:
        """Returns None unless another website's page may have sent this with the agent's cookie.

        For changes that no framework's own CSRF protection guards.
        """
        return self._admission.require_own_request(visit, agent)

    def is_still_active(self, visit: Visit, agent: Agent) -> Flow[bool]:
        """Returns False if the credential that this agent came in by is refused by now.

        For answers that take long: the token is revoked, the session has ended, or the key of the
        signature is no longer published. Who cannot be asked takes nothing away.
        """
        return self._recogniser.is_still_active(visit, agent)

    def recheck_seconds(self, agent: Agent) -> int:
        """Returns how often to ask `is_still_active` during one answer; 0 for never.

        AUTH_AGENT_BEARER_RECHECK decides; its 0 is for tokens, which then end by themselves alone.
        """
        of_tokens = self.settings.bearer_recheck
        return of_tokens if agent.via in ("bearer", "dpop") else of_tokens or RECHECK_SECONDS

    def use_approval(self, visit: Visit, agent: Agent | None, act: Act) -> Flow[Approval | Reply]:
        """Uses the owner's approval of this very act, else returns the reply to send instead."""
        return self._approvals.use(visit, agent, act)

    def explain(self, agent: Agent | None, requirement: Requirement = ANY_AGENT) -> Decision:
        """Returns the rule that admits or refuses the agent, and why; logs nothing."""
        return explain(agent, requirement, self.settings, now=self._site.clock())

    def login_path(self, next_path: str = "/") -> str:
        """Returns the target of the button "Sign in with Auth Agent"."""
        return self.settings.login_path(safe_next(next_path, prefix=self.settings.prefix))

    def logout_path(self) -> str:
        """Returns the target of the button "Sign out", which sends a POST."""
        return f"{self.settings.prefix}/logout"

    def end_sessions(self, *, agent_id: str | None = None, email: str | None = None) -> int:
        """Ends every session of one agent, or of one owner's e-mail address; returns how many.

        Effective at the next request on every machine. Raises `SettingsError` if sessions are kept
        in cookies, `ServerUnavailable` if the store is unreachable, and `TypeError` if neither or
        both are given, so that an empty variable ends nothing.
        """
        return run(self._end_sessions(agent_id, email))

    def end_all_sessions(self) -> int:
        """Ends every session of every agent; returns and raises as `end_sessions` does."""
        return run(self._end("all"))

    async def aend_sessions(self, *, agent_id: str | None = None, email: str | None = None) -> int:
        """Ends sessions as `end_sessions` does, for tasks."""
        return await arun(self._end_sessions(agent_id, email))

    async def aend_all_sessions(self) -> int:
        """Ends sessions as `end_all_sessions` does, for tasks."""
        return await arun(self._end("all"))

    def _end_sessions(self, agent_id: str | None, email: str | None) -> Flow[int]:
        given = {"agent": agent_id, "email": email}
        named = {kind: value for kind, value in given.items() if value is not None}
        if len(named) != 1 or not all(isinstance(value, str) and value for value in named.values()):
            raise TypeError(
                "end_sessions needs agent_id or email, not both, and not an empty text; to end "
                "the sessions of all agents, call end_all_sessions"
            )
        ((kind, value),) = named.items()
        return self._end(kind, value.casefold() if kind == "email" else value)

    def _end(self, kind: str, value: str = "") -> Flow[int]:
        ended = yield from self._sessions.end(kind, value)
        agent = value if kind == "agent" else None
        cause = "end_all_sessions" if kind == "all" else "end_sessions"
        log_event("ended", cause=cause, agent=agent, sessions=ended)
        return ended
