"""Sign in with Auth Agent for Django REST Framework.

authentication_classes = [AgentAuthentication]
permission_classes = [HasAgent]                 # or [agent_with(scopes=["reports:read"])]

request.auth                                    # the Agent, or None

`cache_page` around a view stores no response that depends on the agent. Around a method of a view
it cannot notice that: add `vary_on_headers("Cookie", "Authorization")` there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from auth_agent.extras import needed_for

with needed_for("drf"):
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.exceptions import APIException
    from rest_framework.permissions import BasePermission
    from rest_framework.request import Request
    from rest_framework.settings import api_settings

from auth_agent.flow.drive import run
from auth_agent.protocol.details import Act, same_act
from auth_agent.website.agent import Agent
from auth_agent.website.policy.approval import check_source
from auth_agent.website.policy.requirement import Requirement, RequirementFields
from auth_agent.website.web.outcome import Reply
from auth_agent.website.web.visit import Visit
from auth_agent_django.entry import look

if TYPE_CHECKING:
    from typing_extensions import Unpack

_OF_BROWSERS = ("accept", "sec-fetch-mode")


class AgentAuthentication(BaseAuthentication):
    """Sets `request.auth` to the agent and leaves `request.user` anonymous."""

    def authenticate(self, request: Request) -> tuple[Any, Agent] | None:
        entry = look(request)
        agent = entry.agent
        if agent is None:
            return None
        # The framework takes its views out of Django's CSRF protection.
        reply = entry.relying_party.require_own_request(_ApiVisit(entry.visit), agent)
        if reply is not None:
            raise _refused(request, reply)
        nobody: Any = api_settings.UNAUTHENTICATED_USER
        return (nobody() if nobody else None), agent

    def authenticate_header(self, request: Request) -> str:
        reply = _require(request, None, Requirement())
        return "" if reply is None else _refused(request, reply).auth_header


class HasAgent(BasePermission):
    """Admits only an agent that meets `requirement`; everything else gets the core's answer.

    It raises its refusal, so write it last, as in `IsAdminUser | HasAgent`.
    """

    requirement = Requirement()

    def has_permission(self, request: Request, view: Any) -> bool:
        _check_not_forced(request)
        reply = _require(request, look(request).agent, self.requirement)
        if reply is not None:
            raise _refused(request, reply)
        return True


def agent_with(**requirement: Unpack[RequirementFields]) -> type[HasAgent]:
    """Returns a permission for a requirement, e.g. `agent_with(scopes=["reports:read"])`."""
    return type("AgentWith", (HasAgent,), {"requirement": Requirement.of(**requirement)})


def approval_of(
    act: Act | Callable[[Any], Any], /, **requirement: Unpack[RequirementFields]
) -> type[HasAgent]:
    """Returns a permission for one act that the agent's owner has approved: `request.approval`.

    `act` is what the owner sees, or a function of the request that gives it.
    """
    check_source(act)
    kind = {"requirement": Requirement.of(**requirement), "act": staticmethod(lambda: act)}
    return type("ApprovalOf", (_HasApproval,), kind)


class _HasApproval(HasAgent):
    act: Callable[[], Any]

    def has_permission(self, request: Request, view: Any) -> bool:
        super().has_permission(request, view)
        entry, act = look(request), self.act()
        wanted = act(request) if callable(act) else act
        used = getattr(request._request, "approval", None)
        if used is not None and same_act(used, wanted):
            return True  # the browsable API asks again for each of its forms
        use = entry.relying_party.use_approval
        found = run(use(_ApiVisit(entry.visit), entry.agent, wanted))
        if isinstance(found, Reply):
            raise _refused(request, found)
        request._request.approval = found  # type: ignore[attr-defined]
        return True


class AgentRefused(APIException):
    """Carries a reply of the core as an error that the framework renders."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(detail=msgspec.json.decode(reply.body) if reply.body else {})
        self.status_code = reply.status
        # The framework copies these two into the response, our middleware all others.
        self.auth_header = dict(reply.headers).get("WWW-Authenticate", "")
        self.wait = int(dict(reply.headers).get("Retry-After", 0))


class _ApiVisit(Visit):
    """The same visit without the headers of browsers, so that the answer is never a page."""

    __slots__ = ("_visit",)

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.method, visit.path)
        self.problem = visit.problem
        self._visit = visit

    @property
    def raw_path(self) -> str:
        return self._visit.raw_path

    @property
    def query(self) -> str:
        return self._visit.query

    def header(self, name: str) -> str | None:
        return None if name in _OF_BROWSERS else self._visit.header(name)


def _check_not_forced(request: Request) -> None:
    """Raises `TypeError` for a test that tries to sign an agent in as a user."""
    for name in ("_force_auth_user", "_force_auth_token"):
        if isinstance(getattr(request._request, name, None), Agent):
            raise TypeError(
                "force_authenticate cannot sign an agent in, because it replaces the class that "
                "reads the agent: use auth_agent.testing.sign_in(client, agent)"
            )


def _require(request: Request, agent: Agent | None, requirement: Requirement) -> Reply | None:
    entry = look(request)
    return entry.relying_party.require(_ApiVisit(entry.visit), agent, requirement)


def _refused(request: Request, reply: Reply) -> AgentRefused:
    """Returns the error, and leaves the whole reply to the middleware."""
    look(request).refused = reply
    return AgentRefused(reply)
