"""The middleware, for WSGI and ASGI alike: it runs in the colour of what it wraps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from auth_agent.flow.drive import arun, run
from auth_agent.website.entry import Entry
from auth_agent.website.gate import RelyingParty
from auth_agent.website.web.outcome import Pass, Reply
from auth_agent.website.web.visit import Visit
from auth_agent_django.configuration import Configuration
from auth_agent_django.entry import (
    ReplyResponse,
    RequestAgent,
    async_body_reader,
    body_reader,
    finish,
    visit_of,
)
from auth_agent_django.hooks import open_relying_party

HttpRequest.agent = RequestAgent()  # type: ignore[attr-defined]


class AuthAgentMiddleware:
    """Lets agents in. Raises `SettingsError` at the start if the settings are wrong."""

    sync_capable = True
    async_capable = True

    def __init__(
        self, get_response: Callable[[HttpRequest], Any], relying_party: RelyingParty | None = None
    ) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        self.relying_party = relying_party or open_relying_party(
            Configuration.read(), is_async=self.is_async
        )
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._acall(request)
        visit = visit_of(request)
        outcome = self.relying_party.enter(visit)
        if not isinstance(outcome, (Pass, Reply)):
            outcome = run(outcome, body_reader(request))
        if isinstance(outcome, Reply):
            return ReplyResponse(outcome, visit.method)
        entry = self._attach(request, visit, outcome)
        try:
            return finish(self.get_response(request), entry)
        finally:
            visit.request = None  # the request holds the entry: a cycle for the collector

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        visit = visit_of(request)
        outcome = self.relying_party.enter(visit)
        if not isinstance(outcome, (Pass, Reply)):
            outcome = await arun(outcome, async_body_reader(request))
        if isinstance(outcome, Reply):
            return ReplyResponse(outcome, visit.method)
        entry = self._attach(request, visit, outcome)
        try:
            return finish(await self.get_response(request), entry)
        finally:
            visit.request = None

    def _attach(self, request: Any, visit: Visit, outcome: Pass) -> Entry:
        entry = request.auth_agent_entry = Entry(self.relying_party, visit, outcome)
        return entry
