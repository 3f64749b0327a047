"""The one entrance for every framework.

`RelyingParty.enter` takes a `Visit` and returns a `Pass` (go on, with this agent) or a `Reply`
(answer this, the application never hears of it). Where it needs somebody else it returns a flow
that ends in one of the two; a visit whose cookie or token is known to be good never becomes one.
Adapters translate.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from auth_agent.errors import AuthError, ServerUnavailable, SettingsError
from auth_agent.flow.drive import arun, run
from auth_agent.flow.effects import Flow, join
from auth_agent.url import safe_next
from auth_agent.website.agent import Agent
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Hooks, Site
from auth_agent.website.events import log_event
from auth_agent.website.policy.admission import ANY_AGENT, Admission
from auth_agent.website.policy.challenge import reject
from auth_agent.website.policy.requirement import Decision, Requirement, explain
from auth_agent.website.recognition.bearer import Bearers, is_bearer
from auth_agent.website.recognition.reader import SessionReader
from auth_agent.website.recognition.renewal import keep, renew, wants_keeping
from auth_agent.website.recognition.session import (
    Session,
    cleared_cookie,
    read_session_id,
    session_cookie,
)
from auth_agent.website.recognition.store import Store
from auth_agent.website.sign_in.routes import Routes
from auth_agent.website.web.outcome import Outcome, Reply
from auth_agent.website.web.visit import Visit

_EVERYBODY: Any = object()  # not None, which a caller's variable may be by mistake


class RelyingParty:
    """A website that lets agents in: its settings, its keys, and what it knows of its server.

    Raises `SettingsError` at birth where the settings are wrong. Never talks to the server at
    birth, so that a website starts although its server is down. `site.Hooks` says what the hooks
    may do.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        on_sign_in: Callable[[Agent], Any] | None = None,
        on_refused: Callable[[AuthError], Any] | None = None,
        on_sign_out: Callable[[Agent], Any] | None = None,
        is_welcome: Callable[[Agent], Any] | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.settings = settings or Settings.from_env()
        hooks = Hooks(
            on_sign_in=on_sign_in,
            on_refused=on_refused,
            on_sign_out=on_sign_out,
            is_welcome=is_welcome,
        )
        self._site = Site.open(self.settings, hooks, clock=clock, random=random)
        self._clock = clock
        store_url = self.settings.store_url
        self._store = Store(store_url, self._site) if store_url is not None else None
        self._sessions = SessionReader(self._site)
        self._recall = self._sessions.recall
        self._routes = Routes(self._site, self._sessions, self._store).table()
        self._bearers = Bearers(self._site)
        self._admission = Admission(self._site)
        if self.settings.report_only:
            log_event("report_only", level=logging.WARNING, cause="AUTH_AGENT_REPORT_ONLY")

    def enter(self, visit: Visit) -> Outcome | Flow[Outcome]:
        """The entrance; this much of it runs for every request of the website."""
        route = self._routes.get(visit.path)
        if route is not None:
            return route(visit)
        authorization = visit.authorization
        if authorization is not None and is_bearer(authorization):
            return self._enter_with_token(visit, authorization)
        if self._store is not None:
            return self._enter_with_id(visit, self._store)
        key = visit.cookie_key
        if key is None:
            return self._admission.admit(visit, None)
        now = self._clock()
        known = self._recall(key)
        if known is None or not known.since <= now < known.due_at:
            return self._enter_with_session(visit, now)
        if self._admission.lets_all_pass:
            return known.passed
        return self._admission.admit(visit, known.session.agent)

    def enter_socket(self, visit: Visit) -> Outcome | Flow[Outcome]:
        """The entrance for a WebSocket's handshake, which gets no cookie in return.

        Browsers let any page open a socket to us with our cookies, so with a session the Origin
        must be ours (RFC 6455 10.2).
        """
        authorization = visit.authorization
        if authorization is not None and is_bearer(authorization):
            return self._enter_with_token(visit, authorization)
        if visit.header("origin") != self.settings.base_url:
            return self._admission.admit(visit, None)
        if self._store is not None:
            return self._enter_with_id(visit, self._store)
        known = self._sessions.read(visit, self._clock())
        return self._admission.admit(visit, known.session.agent if known else None)

    def require(
        self, visit: Visit, agent: Agent | None, requirement: Requirement = ANY_AGENT
    ) -> Reply | None:
        """None where the agent brings what is required, else what to answer instead."""
        return self._admission.require(visit, agent, requirement)

    def require_no_agent(self, visit: Visit, agent: Agent | None) -> Reply | None:
        """None where no agent is signed in: for a place that is kept for humans."""
        return self._admission.require_no_agent(visit, agent)

    def require_own_request(self, visit: Visit, agent: Agent | None) -> Reply | None:
        """None where no other website can have sent this with the agent's cookie.

        For what changes something where no framework's own CSRF protection stands.
        """
        return self._admission.require_own_request(visit, agent)

    def explain(self, agent: Agent | None, requirement: Requirement = ANY_AGENT) -> Decision:
        """Which rule admits or refuses the agent, and why; nothing is logged."""
        return explain(agent, requirement, self.settings, now=self._clock())

    def login_path(self, next_path: str = "/") -> str:
        """Where the button "Sign in with Auth Agent" leads, and where the agent returns to."""
        return self.settings.login_path(safe_next(next_path, prefix=self.settings.prefix))

    def logout_path(self) -> str:
        """Where the button "Sign out" posts to."""
        return f"{self.settings.prefix}/logout"

    def end_sessions(self, *, agent_id: str = _EVERYBODY, email: str = _EVERYBODY) -> int:
        """Ends every session of an agent or an owner's e-mail, or all of them; says how many.

        Effective at the next request on every machine. Raises `SettingsError` where sessions are
        kept in cookies, which nobody can reach, `ServerUnavailable` where the store is away, and
        `TypeError` for None and the empty string, which must not end everybody's sessions.
        """
        return run(self._end_sessions(agent_id, email))

    async def aend_sessions(self, *, agent_id: str = _EVERYBODY, email: str = _EVERYBODY) -> int:
        """`end_sessions` for tasks."""
        return await arun(self._end_sessions(agent_id, email))

    def _end_sessions(self, agent_id: str, email: str) -> Flow[int]:
        if self._store is None:
            raise SettingsError(["AUTH_AGENT_SESSION_STORE must be redis://… to end sessions"])
        given = [whose for whose in (agent_id, email) if whose is not _EVERYBODY]
        if len(given) > 1:
            raise TypeError("end_sessions takes an agent_id or an email, not both")
        if not all(isinstance(whose, str) and whose for whose in given):
            raise TypeError("agent_id and email are text; without either all sessions are ended")
        if not given:
            ended = yield from self._store.end("all")
        elif agent_id is not _EVERYBODY:
            ended = yield from self._store.end("agent", agent_id)
        else:
            ended = yield from self._store.end("email", email.casefold())
        agent = agent_id if agent_id is not _EVERYBODY else None
        log_event("ended", cause="end_sessions", agent=agent, sessions=ended)
        return ended

    def _enter_with_session(self, visit: Visit, now: float) -> Outcome | Flow[Outcome]:
        known = self._sessions.read(visit, now)
        if known is None:
            return self._admission.admit(visit, None)
        if now >= known.due_at:
            return self._renew(visit, known.session)
        return self._admission.admit(visit, known.session.agent)

    def _enter_with_token(self, visit: Visit, authorization: str) -> Outcome | Flow[Outcome]:
        agent = self._bearers.recall(authorization)
        if agent is None:
            return self._resolve(visit, authorization)
        return self._admission.admit(visit, agent)

    def _resolve(self, visit: Visit, authorization: str) -> Flow[Outcome]:
        try:
            agent = yield from self._bearers.resolve(authorization)
        except AuthError as problem:
            visit.problem = problem
            return self._admission.decide(visit, None)
        return (yield from self._admission.admit_later(visit, agent))

    def _enter_with_id(self, visit: Visit, store: Store) -> Outcome | Flow[Outcome]:
        session_id = read_session_id(visit, self.settings)
        if session_id is None:
            return self._admission.admit(visit, None)
        return self._load(visit, session_id, store)

    def _load(self, visit: Visit, session_id: str, store: Store) -> Flow[Outcome]:
        try:
            session = yield from store.load(session_id)
            if session is not None and wants_keeping(session, self._site):
                found = session
                key = ("keep", self, session_id)
                session = yield from join(key, lambda: keep(found, store, self._site))
        except ServerUnavailable as problem:  # whoever is signed in must not seem signed out
            log_event("refused", level=logging.WARNING, cause=problem.code)
            return reject(visit, self.settings, problem)
        agent = session.agent if session is not None else None
        return (yield from self._admission.admit_later(visit, agent))

    def _renew(self, visit: Visit, session: Session) -> Flow[Outcome]:
        """Asks once for all requests of this session that are under way."""
        key = ("renew", self, session.id)
        renewed = yield from join(key, lambda: renew(session, self._site))
        if renewed is None:
            log_event("ended", agent=session.agent.id, cause="token_inactive")
            outcome, cookie = self._admission.decide(visit, None), cleared_cookie(self.settings)
        else:
            outcome = yield from self._admission.admit_later(visit, renewed.agent)
            cookie = session_cookie(renewed, self._site)
        return msgspec.structs.replace(outcome, cookies=(*outcome.cookies, cookie))
