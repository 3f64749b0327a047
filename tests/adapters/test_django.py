"""What is Django's own on the path of a request: colours, guards, caches, responses."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import connection
from django.db.transaction import non_atomic_requests
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from django.views.generic import TemplateView
from rest_framework.views import APIView

from auth_agent import Agent, RelyingParty, Requirement, SettingsError
from auth_agent_django import (
    AuthAgentMiddleware,
    RequiresAgentMixin,
    login_path,
    logout_path,
    no_agents,
    requires_agent,
)
from tests.adapters.conftest import settings_of
from tests.adapters.django_site import MIDDLEWARE
from tests.adapters.django_world import BASE_URL, JSON, PAGE
from tests.website.browser import Browser, Clock

OURS = "auth_agent_django.AuthAgentMiddleware"
READS = Requirement(scopes=["reports:read"])


def who(request):
    return JsonResponse({"agent": request.agent.id if request.agent else None})


@non_atomic_requests
async def where(request):
    """Returns the thread of an async view, and that of its event loop."""
    running = asyncio.get_running_loop()
    ident = await running.run_in_executor(None, threading.get_ident)
    assert ident != threading.get_ident()
    return JsonResponse({"agent": request.agent is not None})


@requires_agent
def guarded(request):
    return who(request)


@non_atomic_requests
@requires_agent(scopes=["reports:read"])
async def guarded_async(request):
    return who(request)


class Mixed(RequiresAgentMixin, View):
    def get(self, request):
        return who(request)


class MixedAsync(RequiresAgentMixin, View):
    requirement = READS

    async def get(self, request):
        return who(request)


@method_decorator(requires_agent, name="dispatch")
class Decorated(View):
    def get(self, request):
        return who(request)


@method_decorator(requires_agent(scopes=["reports:read"]), name="dispatch")
class DecoratedAsync(View):
    async def get(self, request):
        return who(request)


@no_agents
def humans(request):
    return JsonResponse({"for": "people"})


def broken(request):
    raise ValueError(request.agent)


def stream(request):
    return StreamingHttpResponse(iter([b"first ", b"second"]))


def queries(request):
    return JsonResponse({"in_transaction": connection.in_atomic_block})


URLS = (
    path("", who),
    path("where", where),
    path("guarded", guarded),
    path("guarded-async", guarded_async),
    path("mixed", Mixed.as_view()),
    path("mixed-async", non_atomic_requests(MixedAsync.as_view())),
    path("decorated", Decorated.as_view()),
    path("decorated-async", non_atomic_requests(DecoratedAsync.as_view())),
    path("humans", humans),
    path("broken", broken),
    path("stream", stream),
    path("queries", queries),
    path("cached", cache_page(60)(who)),
    path("cached-guarded", cache_page(60)(requires_agent(who))),
    path("<path:page>/", who),
)
SHAPES = ["guarded", "mixed", "decorated"]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_view_is_guarded(django, shape):
    shop = django(urls=URLS)
    assert shop.get(f"/{shape}", **JSON).status_code == 401
    assert shop.get(f"/{shape}", **PAGE).status_code == 303
    shop.sign_in()
    assert shop.get(f"/{shape}", **JSON).json() == {"agent": "agent_7"}


@pytest.mark.parametrize("shape", SHAPES)
def test_and_every_async_one_by_its_requirement(django, shape):
    shop = django(urls=URLS)
    assert shop.get(f"/{shape}-async", **JSON).status_code == 401
    shop.sign_in()
    refusal = shop.get(f"/{shape}-async", **JSON)
    assert (refusal.status_code, refusal.json()["error"]) == (403, "insufficient_scope")
    shop.provider.token_response["scope"] = "openid reports:read"
    shop.sign_in()
    assert shop.get(f"/{shape}-async", **JSON).json() == {"agent": "agent_7"}


@pytest.mark.parametrize("view", [View, TemplateView, APIView])
def test_a_mixin_that_would_guard_nothing_is_refused(view):
    """Refuses a mixin behind the view: it would never run, and the page would be open."""
    with pytest.raises(TypeError, match="Open is open: put RequiresAgentMixin before"):
        type("Open", (view, RequiresAgentMixin), {})
    for good in [(RequiresAgentMixin, view), (LoginRequiredMixin, RequiresAgentMixin, view)]:
        type("Guarded", (type("Base", good, {}),), {"requirement": READS})
    with pytest.raises(TypeError, match="requirement must be a Requirement"):
        type("Vague", (RequiresAgentMixin, view), {"requirement": {"scopes": ["a"]}})


def test_a_guard_on_a_bare_method_says_how_it_is_written(django):
    class Bare(View):
        @requires_agent
        def get(self, request):
            return who(request)

    shop = django(urls=(path("", who), path("bare", non_atomic_requests(Bare.as_view()))))
    with pytest.raises(TypeError, match=r"Bare is not a request.*@method_decorator"):
        shop.get("/bare")


def test_a_place_for_humans_turns_agents_away(django):
    shop = django(urls=URLS)
    assert shop.get("/humans").status_code == 200
    shop.sign_in()
    assert shop.get("/humans", **JSON).status_code == 403


def test_a_decorated_view_keeps_its_name_and_its_marks(django):
    assert guarded.__name__ == "guarded"
    assert asyncio.iscoroutinefunction(guarded_async)
    assert guarded_async._non_atomic_requests == {"default"}


def test_no_thread_is_between_the_server_and_an_async_view(django, caplog):
    """Reads Django's DEBUG log, which says where a thread bridges sync and async."""
    caplog.set_level(logging.DEBUG, "django.request")
    shop = django(urls=URLS, middleware=[OURS])
    shop.sign_in()
    assert shop.get("/where").json() == {"agent": True}
    assert [record for record in caplog.records if "adapted" in record.getMessage()] == []


def test_an_async_request_starts_no_thread_in_the_middleware(provider):
    browser = Browser(RelyingParty(settings_of(provider, BASE_URL)), provider)
    browser.sign_in()
    seen = []

    async def respond(request):
        seen.append((threading.get_ident(), request.agent.id))
        return HttpResponse()

    async def main():
        middleware = AuthAgentMiddleware(respond, browser.relying_party)
        before = threading.active_count()
        await middleware(RequestFactory().get("/", headers={"cookie": cookie_of(browser)}))
        return threading.active_count() - before

    assert asyncio.run(main()) == 0
    assert seen == [(threading.get_ident(), "agent_7")]


def cookie_of(browser):
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def test_a_renewed_session_reaches_the_browser_even_with_an_error_page(provider):
    clock = Clock(1_800_000_000.0)
    provider.clock = clock
    party = RelyingParty(settings_of(provider, BASE_URL), clock=clock)
    browser = Browser(party, provider)
    browser.sign_in()
    clock.advance(2_400)

    def respond(request):
        return HttpResponse(status=500, headers={"Cache-Control": "public"})

    request = RequestFactory().get("/", headers={"cookie": cookie_of(browser)})
    response = AuthAgentMiddleware(respond, party)(request)
    (cookie,) = response.cookies.values()
    assert response.status_code == 500
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert response["Cache-Control"] == "no-store"


def test_an_error_page_of_a_view_that_read_the_agent_is_private(django):
    shop = django(urls=URLS)
    shop.client.raise_request_exception = False
    shop.sign_in()
    answer = shop.get("/broken")
    assert (answer.status_code, answer["Cache-Control"]) == (500, "private")
    assert answer["Vary"].startswith("Cookie, Authorization")


@pytest.mark.parametrize("place", [0, len(MIDDLEWARE) - 1])
def test_our_routes_are_answered_wherever_the_middleware_stands(django, place):
    """Covers CommonMiddleware in front: APPEND_SLASH would redirect to a catch-all with a slash."""
    others = [name for name in MIDDLEWARE if name != OURS]
    shop = django(urls=URLS, middleware=[*others[:place], OURS, *others[place:]])
    assert shop.sign_in("/mixed")["Location"] == "/mixed"
    shop.client.handler.enforce_csrf_checks = True
    assert shop.post("/auth-agent/logout").status_code == 303
    assert shop.get("/").json() == {"agent": None}


def test_what_one_agent_was_shown_is_cached_for_nobody(django):
    """Covers `cache_page`, which decides before the middleware can mark the response private."""
    shop = django(urls=URLS)
    for name in ("cached", "cached-guarded"):
        for number in (1, 2):
            shop.sign_in(agent={"sub": f"agent_{number}"})
            assert shop.get(f"/{name}").json() == {"agent": f"agent_{number}"}
        shop.post("/auth-agent/logout")
    assert shop.get("/cached").json() == {"agent": None}
    assert shop.get("/cached-guarded", **JSON).status_code == 401


def test_a_stream_passes_untouched(django):
    shop = django(urls=URLS)
    shop.sign_in()
    answer = shop.get("/stream")
    assert answer.streaming
    assert "Vary" not in answer


def test_views_keep_their_transaction(django, database):
    assert django(urls=URLS).get("/queries").json() == {"in_transaction": True}


def test_a_cookie_header_in_parts_is_read_as_one(provider):
    """Splits it as HTTP/2 does; Django joins the parts with a comma (RFC 9113 8.2.3)."""
    browser = Browser(RelyingParty(settings_of(provider, BASE_URL)), provider)
    browser.sign_in()
    request = asgi_request([(b"cookie", b"a=1"), (b"cookie", cookie_of(browser).encode())])
    AuthAgentMiddleware(lambda _: HttpResponse(), browser.relying_party)(request)
    assert request.agent.id == "agent_7"


def asgi_request(headers):
    from django.core.handlers.asgi import ASGIRequest

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    return ASGIRequest(scope, None)


def test_a_test_may_give_a_request_an_agent():
    request = RequestFactory().get("/")
    request.agent = Agent(
        id="agent_1", issuer="https://a.example", client_id="c", authenticated_at=0, expires_at=9
    )
    assert request.agent.id == "agent_1"


@pytest.mark.parametrize("act", [lambda r: r.agent, login_path, logout_path, guarded])
def test_without_the_middleware_the_error_says_what_to_do(act):
    with pytest.raises(SettingsError, match="MIDDLEWARE lacks") as caught:
        act(RequestFactory().get("/"))
    assert "call auth_agent_django.testing.with_agent" in caught.value.description


@override_settings(AUTH_AGENT={"ISSUER": "http://auth.example"})
def test_a_site_with_wrong_settings_does_not_start():
    with pytest.raises(SettingsError, match="AUTH_AGENT_ISSUER uses http") as caught:
        AuthAgentMiddleware(lambda request: HttpResponse())
    assert len(caught.value.problems) == 5


def test_it_leaves_the_user_alone(django, database):
    from django.contrib.auth.models import User

    shop = django(urls=(path("", lambda r: HttpResponse(str(r.user))),))
    shop.sign_in()
    assert shop.get("/").content == b"AnonymousUser"
    user = User.objects.create_user("ann")
    shop.client.force_login(user)
    assert shop.get("/").content == b"ann"


def test_the_csrf_check_of_the_websites_own_forms_stays(django):
    shop = django(urls=URLS)
    shop.client.handler.enforce_csrf_checks = True
    shop.sign_in()
    assert shop.post("/guarded").status_code == 403
