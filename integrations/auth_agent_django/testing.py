"""Test support for single views: puts the middleware's result into a request."""

from __future__ import annotations

from typing import TypeVar

from django.http import HttpRequest

from auth_agent.website.agent import Agent
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.web.outcome import Pass
from auth_agent_django.configuration import Configuration
from auth_agent_django.entry import visit_of

Request = TypeVar("Request", bound=HttpRequest)


def with_agent(
    request: Request, agent: Agent | None, relying_party: RelyingParty | None = None
) -> Request:
    """Returns a request of `RequestFactory` with this agent, or with a visitor that has none.

    Guards check it as they check a real one; `ALLOW_MODELS` and `PROTECT` belong to the middleware
    and are not applied. `relying_party` replaces the one that the settings describe.
    """
    known = relying_party or RelyingParty(Configuration.read().settings)
    request.__dict__.pop("agent", None)
    request.auth_agent_entry = Entry(known, visit_of(request), Pass(agent))  # type: ignore[attr-defined]
    return request
