"""Admission: the website's rules, applied to a recognised visit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from auth_agent.errors import ServerUnavailable, SignInRefused
from auth_agent.flow.effects import Flow, invoke
from auth_agent.website.agent import Agent, copied
from auth_agent.website.config.site import Site
from auth_agent.website.events import log_event
from auth_agent.website.paths import is_protected
from auth_agent.website.policy.challenge import challenge, forbid, reject
from auth_agent.website.policy.requirement import (
    ANY_AGENT,
    FOREIGN_REQUEST,
    NOT_WELCOME,
    Refusal,
    Requirement,
    judge,
    judge_absence,
    judge_site,
)
from auth_agent.website.policy.signed import offer_signature
from auth_agent.website.web.origin import is_own_request
from auth_agent.website.web.outcome import Outcome, Pass, Recognised, Reply
from auth_agent.website.web.own_page import dressed
from auth_agent.website.web.visit import Cookie, Visit

# Credentials that a browser adds by itself, whichever page sends the request.
_AMBIENT = ("session", "signature")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")  # RFC 9110 9.2.1


class Admission:
    """One website's rules: of its settings, of its hook `is_welcome`, and of a single place."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._settings = site.settings
        self._is_welcome = site.hooks.is_welcome
        self._has_rules = self._settings.allow_models is not None or bool(
            self._settings.deny_agents
        )
        self._protects = bool(self._settings.protect)
        self.lets_all_pass = not (self._has_rules or self._protects) and self._is_welcome is None

    def admit(self, visit: Visit, found: Recognised | Flow[Recognised]) -> Outcome | Flow[Outcome]:
        """Decides at once, unless recognition or the website itself has to be asked."""
        if not isinstance(found, Recognised):
            return self._admit_later(visit, found)
        visit.problem = found.problem
        if self.lets_all_pass:
            return found.passed
        if found.agent is None or self._is_welcome is None:
            return self._decide(visit, found.agent, found.cookies)
        return self._ask(visit, found.agent, found.cookies, self._is_welcome)

    def _admit_later(self, visit: Visit, found: Flow[Recognised]) -> Flow[Outcome]:
        outcome = self.admit(visit, (yield from found))
        return outcome if isinstance(outcome, (Pass, Reply)) else (yield from outcome)

    def _decide(self, visit: Visit, agent: Agent | None, cookies: tuple[Cookie, ...]) -> Outcome:
        """Applies the settings to the agent, then to the path."""
        if agent is not None and self._has_rules:
            refusal = judge_site(agent, self._settings)
            if refusal is not None and self._refuse(visit, agent, refusal) is not None:
                agent = None
        if not self._protects or not is_protected(visit.paths, self._settings.protect):
            return Pass(agent, cookies)
        visit.is_private = True
        if agent is None:
            reply = self._refuse_nobody(visit)
            if reply is not None:
                return msgspec.structs.replace(reply, cookies=(*reply.cookies, *cookies))
        elif not self._settings.dangerously_allow_cross_site:
            reply = self.require_own_request(visit, agent)
            if reply is not None:
                return msgspec.structs.replace(reply, cookies=(*reply.cookies, *cookies))
        return Pass(agent, cookies)

    def require(self, visit: Visit, agent: Agent | None, requirement: Requirement) -> Reply | None:
        """Returns None if the agent meets the requirement of a view, else a reply."""
        if agent is None:
            return self._refuse_nobody(visit, requirement)
        if visit.method not in _SAFE_METHODS and not requirement.dangerously_allow_cross_site:
            reply = self.require_own_request(visit, agent)
            if reply is not None:
                return reply
        if requirement == ANY_AGENT:
            return None
        return self._refuse(visit, agent, judge(agent, requirement, now=self._site.clock()))

    def require_no_agent(self, visit: Visit, agent: Agent | None) -> Reply | None:
        """Returns None if no agent is signed in, and it is known that none is."""
        if isinstance(visit.problem, ServerUnavailable):
            return self._refuse_nobody(visit)
        return self._refuse(visit, agent, judge_absence(agent))

    def require_own_request(self, visit: Visit, agent: Agent | None) -> Reply | None:
        """Returns None unless another website's page may have sent this with the agent's cookie,
        or its browser's signature."""
        is_ambient = agent is not None and agent.via in _AMBIENT
        if not is_ambient or visit.method in _SAFE_METHODS or self._is_own(visit):
            return None
        # Another website's request is no matter of policy, so report-only lets none pass.
        return self._forbid(visit, agent, FOREIGN_REQUEST)

    def _is_own(self, visit: Visit) -> bool:
        return is_own_request(visit, self._settings.base_url)

    def _ask(
        self,
        visit: Visit,
        agent: Agent,
        cookies: tuple[Cookie, ...],
        is_welcome: Callable[[Agent], Any],
    ) -> Flow[Outcome]:
        """Treats an agent as signed out unless `is_welcome` returns True."""
        agent = copied(agent)  # claims that the function changes are for this request alone
        welcome = yield from invoke(is_welcome, agent)
        if welcome is True or self._refuse(visit, agent, NOT_WELCOME) is None:
            return self._decide(visit, agent, cookies)
        visit.problem = SignInRefused(
            NOT_WELCOME.description, code=NOT_WELCOME.code, status_code=403
        )
        return self._decide(visit, None, cookies)

    def _refuse_nobody(self, visit: Visit, requirement: Requirement = ANY_AGENT) -> Reply | None:
        if self._is_only_reported(None, "no_agent"):
            return None
        if visit.problem is not None:
            log_event("refused", cause=visit.problem.code)
            reply = reject(visit, self._settings, visit.problem, requirement.scopes)
        else:
            reply = challenge(
                visit,
                self._settings,
                scopes=requirement.scopes,
                max_age=requirement.max_age,
                approved=requirement.approved,
            )
        return dressed(self._site.hooks, offer_signature(visit, self._settings, reply), visit)

    def _refuse(self, visit: Visit, agent: Agent | None, refusal: Refusal | None) -> Reply | None:
        if refusal is None or self._is_only_reported(agent, refusal.rule):
            return None
        return self._forbid(visit, agent, refusal)

    def _forbid(self, visit: Visit, agent: Agent | None, refusal: Refusal) -> Reply:
        agent_id, client_id = (agent.id, agent.client_id) if agent is not None else (None, None)
        log_event(
            "refused", agent=agent_id, client=client_id, cause=refusal.code, rule=refusal.rule
        )
        reply = offer_signature(visit, self._settings, forbid(visit, self._settings, refusal))
        return dressed(self._site.hooks, reply, visit)

    def _is_only_reported(self, agent: Agent | None, rule: str) -> bool:
        if not self._settings.report_only:
            return False
        agent_id = agent.id if agent is not None else None
        log_event("would_refuse", level=logging.WARNING, agent=agent_id, rule=rule)
        return True
