"""Decorated views of Django, as a website's own type checker sees them."""

from collections.abc import Callable, Coroutine
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from typing_extensions import assert_type

from auth_agent_django import no_agents, requires_agent, requires_approval


@requires_agent
def bare(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("bare")


@requires_agent(scopes=["reports:read"])
async def called(_request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(number))


@requires_approval(lambda request: {"type": "payment", "title": request.path}, max_age=60)
def pay(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("paid")


@no_agents
def people(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("people")


@method_decorator(requires_agent, name="dispatch")
class Page(View):
    pass


@method_decorator(requires_agent(scopes=["reports:read"]), name="dispatch")
class Reports(View):
    pass


urlpatterns = [path("bare", bare), path("called/<int:number>", called), path("pay", pay)]
kept: list[Callable[[HttpRequest], HttpResponse]] = [bare, pay, people]
awaited: Callable[[HttpRequest, int], Coroutine[Any, Any, HttpResponse]] = called
assert_type(bare(HttpRequest()), HttpResponse)
called(HttpRequest(), "2")  # type: ignore[arg-type, unused-coroutine]
bare()  # type: ignore[call-arg]
requires_agent(scope=["reports:read"])  # type: ignore[call-overload]
requires_approval({}, scope=["reports:read"])  # type: ignore[call-arg]
