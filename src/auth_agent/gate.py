"""The one entrance for every framework.

`RelyingParty.enter` takes a `Visit` and returns a `Pass` (go on, with this agent) or a `Reply`
(answer this, the application never hears of it). Where it needs the server it returns a flow that
ends in one of the two; a visit whose session is good never becomes one. Adapters translate.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

import msgspec

from auth_agent import login, routes
from auth_agent.agent import Agent
from auth_agent.challenge import challenge, forbid, is_preflight
from auth_agent.errors import AuthError
from auth_agent.policy import Requirement, is_protected, judge, judge_site
from auth_agent.session import Session, cleared_cookie, is_due, read_session, renew, session_cookie
from auth_agent.settings import Settings
from auth_agent.site import Hooks, Site
from auth_agent.transaction import SpentStates
from auth_agent.url import safe_next
from auth_agent.wire import Flow, Outcome, Pass, Reply, Visit, join

logger = logging.getLogger("auth_agent")

ANY_AGENT = Requirement()


class RelyingParty:
    """A website that lets agents in: its settings, its keys, and what it knows of its server.

    Raises `SettingsError` at birth where the settings are wrong. Never talks to the server at
    birth, so that a website starts although its server is down.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        on_sign_in: Callable[[Agent], Any] | None = None,
        on_refused: Callable[[AuthError], Any] | None = None,
        on_sign_out: Callable[[Agent], Any] | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`site.Hooks` says what the hooks may do."""
        self.settings = settings or Settings.from_env()
        hooks = Hooks(on_sign_in=on_sign_in, on_refused=on_refused, on_sign_out=on_sign_out)
        self._site = Site.open(self.settings, hooks, clock=clock, random=random)
        self._routes = routes.routes(self._site, SpentStates())

    def enter(self, visit: Visit) -> Outcome | Flow[Outcome]:
        """The entrance; this much of it runs for every request of the website."""
        route = self._routes.get(visit.path)
        if route is not None:
            return route(visit)
        now = self._site.clock()
        session = read_session(visit, self._site, now)
        if session is not None and is_due(session, self._site, now):
            return self._renew(visit, session)
        return self._admit(visit, session)

    def enter_socket(self, visit: Visit) -> Outcome:
        """The entrance for a WebSocket's handshake: at once, and without a cookie in return.

        Browsers let any page open a socket to us with our cookies, so with a session the Origin
        must be ours (RFC 6455 10.2).
        """
        session = read_session(visit, self._site, self._site.clock())
        if session is not None and visit.header("origin") != self.settings.base_url:
            logger.warning("ignored session of agent=%s cause=foreign_origin", session.agent.id)
            session = None
        return self._admit(visit, session)

    def require(
        self, visit: Visit, agent: Agent | None, requirement: Requirement = ANY_AGENT
    ) -> Reply | None:
        """None where the agent brings what is required, else what to answer instead."""
        if agent is None:
            return challenge(visit, self.settings)
        refusal = judge(agent, requirement, now=self._site.clock())
        if refusal is None:
            return None
        facts = (agent.id, agent.client_id, refusal.code, refusal.rule)
        logger.info("refused agent=%s client=%s cause=%s rule=%s", *facts)
        return forbid(visit, self.settings, refusal)

    def login_path(self, next_path: str = "/") -> str:
        """Where the button "Sign in with Auth Agent" leads, and where the agent returns to."""
        return login.login_path(safe_next(next_path, prefix=self.settings.prefix), self.settings)

    def logout_path(self) -> str:
        """Where the button "Sign out" posts to."""
        return f"{self.settings.prefix}/logout"

    def _admit(self, visit: Visit, session: Session | None) -> Outcome:
        agent = session.agent if session is not None else None
        if agent is not None and judge_site(agent, self.settings) is not None:
            agent = None
        if (
            agent is None
            and is_protected(visit.path, self.settings.protect)
            and not is_preflight(visit)
        ):
            return challenge(visit, self.settings)
        return Pass(agent)

    def _renew(self, visit: Visit, session: Session) -> Flow[Outcome]:
        """Asks once for all requests of this session that are under way."""
        key = ("renew", self, session.id)
        renewed = yield from join(key, lambda: renew(session, self._site))
        if renewed is None:
            logger.info("ended agent=%s cause=token_inactive", session.agent.id)
            cookie = cleared_cookie(self.settings)
        else:
            cookie = session_cookie(renewed, self._site)
        outcome = self._admit(visit, renewed)
        return msgspec.structs.replace(outcome, cookies=(*outcome.cookies, cookie))
