"""Approvals of single acts: compared field by field with what the owner saw, and used once."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from auth_agent.errors import ServerUnavailable
from auth_agent.flow.effects import Flow
from auth_agent.flow.kept import Guard
from auth_agent.protocol.details import (
    GOOD_FOR,
    Act,
    BadDetails,
    bare,
    canonical,
    check_act,
    same_act,
)
from auth_agent.protocol.jose.base64url import encode
from auth_agent.protocol.jose.bounds import CLOCK_SKEW
from auth_agent.website.agent import Agent
from auth_agent.website.config.site import Site
from auth_agent.website.events import log_event
from auth_agent.website.policy.challenge import challenge, reject
from auth_agent.website.policy.remediation import remedy
from auth_agent.website.policy.requirement import is_approved
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.own_page import dressed
from auth_agent.website.web.visit import Visit

LONGEST_ACT = 1_536
"""Bytes of an act's JSON: it comes back in a session's cookie."""
MOST_USED = 100_000
_LONGEST_ID = 128

_declared: list[object] = []  # the first act of a guard in this process
Approval = Mapping[str, Any]
"""The act as its owner saw and approved it, with `approval_id` and `approved_at`."""
Spend = Callable[[str, int], Flow[bool]]


class Approvals:
    """One website's memory of used approvals: the store of its sessions, else this process.

    `spend` returns True the first time a name is used, on whichever machine.
    """

    def __init__(self, site: Site, spend: Spend | None) -> None:
        self._site = site
        self._used = Used()
        self._spend = spend or self._used.spend_here(site.ticks)
        self._warns = spend is None
        if _declared:
            self._warn()

    def use(self, visit: Visit, agent: Agent | None, act: Act) -> Flow[Approval | Reply]:
        """Uses the owner's approval of this very act, else returns the reply to send instead.

        AUTH_AGENT_REPORT_ONLY changes nothing here. Raises `BadDetails` if the website's own act
        is malformed.
        """
        self._warn()
        check_own_act(act)
        if agent is None:
            reply = challenge(visit, self._site.settings, approved=True)
            return dressed(self._site.hooks, reply, visit)
        try:
            for approval in granted(agent, now=self._site.clock()):
                if same_act(approval, act) and (yield from self._use(approval)):
                    log_event("approved_act", agent=agent.id, approval=approval["approval_id"])
                    return copy.deepcopy(approval)  # other requests share the agent
        except ServerUnavailable as problem:
            return dressed(self._site.hooks, reject(visit, self._site.settings, problem), visit)
        log_event("refused", agent=agent.id, cause="insufficient_authorization", rule="act")
        return dressed(self._site.hooks, remedy(visit, agent, act, self._site), visit)

    def _warn(self) -> None:
        """Says once, if possible at start, that used approvals are remembered in this process."""
        if self._warns:
            self._warns = False
            detail = (
                "Each worker process remembers on its own which approvals were used. With "
                "several workers set AUTH_AGENT_SESSION_STORE to redis://...; otherwise each "
                "worker could do an approved act once."
            )
            log_event("approvals_in_memory", level=logging.WARNING, detail=detail)

    def _use(self, approval: Approval) -> Flow[bool]:
        name = f"approval\0{approval['approval_id']}\0{digest_of(approval)}"
        return self._spend(name, GOOD_FOR + CLOCK_SKEW)


class Used:
    """Approvals that were used in this process. A live one is never forgotten for another."""

    def __init__(self, most: int = MOST_USED) -> None:
        self._most = most
        self._until: dict[str, float] = {}
        self._guard = Guard()

    def spend(self, name: str, until: float, now: float) -> bool:
        """Returns True the first time; raises `ServerUnavailable` if no more can be remembered."""
        with self._guard:
            if self._until.get(name, float("-inf")) > now:
                return False
            if len(self._until) >= self._most:
                self._until = {one: end for one, end in self._until.items() if end > now}
            if len(self._until) >= self._most:
                raise ServerUnavailable(
                    "Too many approvals were used in the last minutes; try again later."
                )
            self._until[name] = until
            return True

    def spend_here(self, ticks: Callable[[], float]) -> Spend:
        """Returns `spend` in the form of a store's."""

        def spend(name: str, seconds: int) -> Flow[bool]:
            now = ticks()
            return self.spend(name, now + seconds, now)
            yield  # a flow, as with a store

        return spend


def granted(agent: Agent, *, now: float) -> Iterator[dict[str, Any]]:
    """Yields the acts that the agent's owner has approved lately, as the server says it."""
    details = agent.claims.get("authorization_details")
    if not is_approved(agent) or not isinstance(details, list):
        return
    for act in details:
        if isinstance(act, dict) and _is_fresh(act, now):
            yield act


def _is_fresh(act: Mapping[str, Any], now: float) -> bool:
    approval_id, at = act.get("approval_id"), act.get("approved_at")
    if not isinstance(approval_id, str) or not 0 < len(approval_id) <= _LONGEST_ID:
        return False
    return type(at) is int and at - CLOCK_SKEW <= now < at + GOOD_FOR


def check_source(act: object) -> None:
    """Raises `TypeError` unless a guard can take its act from this: an act, or a function."""
    try:
        if not callable(act):
            check_own_act(act)
    except BadDetails as problem:
        raise TypeError(
            f"requires_approval needs an act, or a function that returns one: {problem}"
        ) from None
    _declared[:] = [act]


def are_declared() -> bool:
    """Returns True if a guard of this process needs the approval of an act."""
    return bool(_declared)


def check_own_act(act: object) -> None:
    """Raises `BadDetails` unless an owner can be asked about this act of the website."""
    check_act(act)
    assert isinstance(act, dict)  # noqa: S101  (for mypy)
    if len(canonical(act).encode()) > LONGEST_ACT:
        raise BadDetails(f"The act is longer than {LONGEST_ACT} bytes of JSON")


def digest_of(act: Act) -> str:
    """Returns a short name of an act, without what the server has added."""
    return encode(hashlib.sha256(canonical(bare(act)).encode()).digest()[:16])
