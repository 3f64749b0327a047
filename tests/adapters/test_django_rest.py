"""Agents in Django REST Framework."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import path
from django.views.decorators.cache import cache_page
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAdminUser
from rest_framework.response import Response
from rest_framework.views import APIView

from auth_agent_django import requires_agent
from auth_agent_django.rest_framework import AgentAuthentication, HasAgent, agent_with
from tests.adapters.django_world import JSON


class Api(APIView):
    authentication_classes = (AgentAuthentication,)

    def get(self, request):
        return Response(
            {"agent": request.auth.id if request.auth else None, "user": str(request.user)}
        )

    post = get


class Guarded(Api):
    permission_classes = (HasAgent,)


class Reports(Api):
    permission_classes = (agent_with(scopes=["reports:read"]),)


class Either(Api):
    permission_classes = (IsAdminUser | HasAgent,)


@api_view(["GET"])
@authentication_classes([AgentAuthentication])
@permission_classes([HasAgent])
def function(request):
    return Response({"agent": request.auth.id})


def read_agent(request):
    return Response({"agent": request.agent.id if request.agent else None})


URLS = (
    path("", Api.as_view()),
    path("guarded", Guarded.as_view()),
    path("reports", Reports.as_view()),
    path("either", Either.as_view()),
    path("function", function),
    path("cached", cache_page(60)(Api.as_view())),
    path("cached-function", cache_page(60)(api_view(["GET"])(requires_agent(read_agent)))),
)


def test_the_agent_is_what_authenticated_the_request(django):
    shop = django(urls=URLS)
    assert shop.get("/").json() == {"agent": None, "user": "AnonymousUser"}
    shop.sign_in()
    answer = shop.get("/")
    assert answer.json() == {"agent": "agent_7", "user": "AnonymousUser"}
    assert "private" in answer["Cache-Control"]


@pytest.mark.parametrize("path", ["/guarded", "/reports", "/either", "/function"])
@pytest.mark.parametrize("headers", [{}, {"HTTP_SEC_FETCH_MODE": "navigate"}])
def test_without_an_agent_the_core_says_where_the_door_is(django, path, headers):
    shop = django(urls=URLS)
    answer = shop.get(path, **JSON, **headers)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["issuer"] == shop.provider.issuer
    assert answer.json()["login_url"].endswith(f"/auth-agent/login?next={path}")


def test_with_one_it_opens(django):
    shop = django(urls=URLS)
    shop.sign_in()
    for name in ("/guarded", "/either", "/function"):
        assert shop.get(name).json()["agent"] == "agent_7"


def test_what_one_agent_was_shown_is_cached_for_nobody(django):
    """Covers the request that the framework wraps: `cache_page` looks at the inner one."""
    shop = django(urls=URLS)
    for name in ("/cached", "/cached-function"):
        for number in (1, 2):
            shop.sign_in(agent={"sub": f"agent_{number}"})
            assert shop.get(name).json()["agent"] == f"agent_{number}"
        shop.post("/auth-agent/logout")
    assert shop.get("/cached").json()["agent"] is None
    assert shop.get("/cached-function", **JSON).status_code == 401


def test_a_missing_scope_is_forbidden(django):
    shop = django(urls=URLS)
    shop.sign_in()
    answer = shop.get("/reports")
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")
    assert 'scope="reports:read"' in answer["WWW-Authenticate"]
    shop.provider.token_response["scope"] = "openid reports:read"
    shop.sign_in()
    assert shop.get("/reports").status_code == 200


def test_a_signed_in_person_is_not_taken_for_the_agent(django, database):
    """Keeps a person's session from passing without the check for cross-site forgery."""
    shop = django(urls=URLS)
    shop.client.force_login(User.objects.create_superuser("admin"))
    shop.sign_in()
    assert shop.get("/").json() == {"agent": "agent_7", "user": "AnonymousUser"}
    assert shop.post("/").json()["user"] == "AnonymousUser"


def test_a_wrong_bearer_token_is_said_to_be_wrong(django):
    shop = django(urls=URLS)
    answer = shop.get("/guarded", HTTP_AUTHORIZATION="Bearer nonsense.of.mine")
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)],
)
def test_another_website_cannot_post_with_the_agents_cookie(django, site, status):
    """Holds although the framework exempts its views from Django's CSRF protection."""
    shop = django(urls=URLS)
    shop.sign_in()
    assert shop.post("/", HTTP_SEC_FETCH_SITE=site).status_code == status
    assert shop.get("/", HTTP_SEC_FETCH_SITE=site).status_code == 200


class ByPermission(APIView):
    """The agent comes from the middleware; nothing authenticates for the framework."""

    authentication_classes = ()
    permission_classes = (HasAgent,)

    def post(self, request):
        return Response({"agent": request.agent.id})


class Unchecked(ByPermission):
    permission_classes = (agent_with(dangerously_allow_cross_site=True),)


@pytest.mark.parametrize(("name", "status"), [("/by-permission", 403), ("/unchecked", 200)])
def test_a_permission_alone_asks_whose_page_has_sent_a_request(django, name, status):
    urls = (*URLS, path("by-permission", ByPermission.as_view()),
            path("unchecked", Unchecked.as_view()))  # fmt: skip
    shop = django(urls=urls)
    shop.sign_in()
    foreign = {"HTTP_ORIGIN": "https://evil.shop.example", "HTTP_SEC_FETCH_SITE": "same-site"}
    assert shop.post(name, **foreign).status_code == status
    assert shop.post(name, HTTP_SEC_FETCH_SITE="same-origin").status_code == 200


def test_a_preflight_permits_nothing(django):
    shop = django(urls=URLS)
    headers = {"HTTP_ORIGIN": "https://app.example", "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET"}
    answer = shop.options("/guarded", **headers)
    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


def test_a_refusal_keeps_the_time_after_which_to_try_again():
    """Relies on the framework, which copies `wait` into Retry-After."""
    from auth_agent.website.web.outcome import Reply
    from auth_agent_django.rest_framework import AgentRefused

    assert AgentRefused(Reply(503, (("Retry-After", "7"),), b"{}")).wait == 7
    assert not AgentRefused(Reply(401, (), b"{}")).wait
