"""Every adapter hands on all headers of a refusal, whatever its framework makes of one."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack

import httpx2
import pytest
from django.urls import path
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from starlette.testclient import TestClient

from auth_agent.testing import (
    FakeServer,
    bearer_headers,
    dpop_headers,
    make_agent,
    test_settings,
)
from auth_agent_django.rest_framework import (
    AgentAuthentication,
    AgentRefused,
    HasAgent,
    approval_of,
)
from tests.adapters.django_world import open_shopper
from tests.adapters.stacks import STACKS

JSON = {"accept": "application/json"}
SETTINGS = {"signatures": "issuer", "base_url": "http://localhost"}
NAMES = ("accept-signature", "cache-control", "link", "retry-after", "www-authenticate")


class View(APIView):
    authentication_classes = (AgentAuthentication,)
    permission_classes = (HasAgent,)

    def get(self, request):
        return Response({})

    post = get


class ByUser(View):
    """The framework's own permission refuses, and asks the authentication for the challenge."""

    permission_classes = (IsAuthenticated,)


class Act(View):
    permission_classes = (approval_of({"type": "payment", "title": "Pay"}),)


class Caught(View):
    """A view that looks after its guard itself, and answers all the same."""

    def initial(self, request, *args, **kwargs):
        with contextlib.suppress(AgentRefused):
            super().initial(request, *args, **kwargs)


VIEWS = {"me": View, "by-user": ByUser, "act": Act, "caught": Caught}
URLS = tuple(path(name, view.as_view()) for name, view in VIEWS.items())


@pytest.fixture
def shop_in():
    """Opens a Django site with these views, in one colour."""
    with ExitStack() as stack:
        yield lambda colour: stack.enter_context(
            open_shopper(colour, FakeServer(), urls=URLS, SIGNATURES="issuer")
        )


def client_of(app, is_wsgi):
    if is_wsgi:
        return httpx2.Client(transport=httpx2.WSGITransport(app=app), base_url=SETTINGS["base_url"])
    return TestClient(app, base_url=SETTINGS["base_url"])


def headers_of(answer):
    return {name: answer.headers[name] for name in NAMES if name in answer.headers}


def asked(client, settings):
    """The answers to strangers and to agents that may not: status and headers by request."""
    agent = make_agent()
    found = {}
    for title, where, headers in (
        ("stranger", "/me", {}),
        ("garbage", "/me", {"authorization": "Bearer x"}),
        ("no proof", "/me", {"authorization": dpop_headers(agent, settings)["Authorization"]}),
        ("unsigned", "/me", {"signature": "x"}),
        ("scope", "/reports", bearer_headers(agent, settings)),
    ):
        answer = client.get(where, headers={**JSON, **headers})
        found[title] = answer.status_code, headers_of(answer)
    return found


@pytest.fixture(scope="module")
def wanted():
    """What the core says, through the thinnest adapter."""
    settings = test_settings(**SETTINGS)
    with client_of(STACKS["asgi"].build(settings), is_wsgi=False) as client:
        found = asked(client, settings)
    statuses = {title: status for title, (status, _) in found.items()}
    assert statuses == {
        "stranger": 401, "garbage": 401, "no proof": 401, "unsigned": 401, "scope": 403
    }  # fmt: skip
    assert {*found["stranger"][1]} == {*NAMES} - {"retry-after"}
    assert all(found[title][1]["accept-signature"] for title in ("garbage", "no proof", "unsigned"))
    assert "DPoP algs=" in found["stranger"][1]["www-authenticate"]
    return found


@pytest.mark.parametrize("stack", [name for name in STACKS if name != "asgi"])
def test_all_headers_of_a_refusal_reach_the_agent(wanted, stack):
    settings = test_settings(**SETTINGS)
    is_wsgi = stack in ("wsgi", "flask", "django-wsgi")
    with client_of(STACKS[stack].build(settings), is_wsgi) as client:
        found = asked(client, settings)
    assert same(found) == same(wanted)


def same(found):
    """A guard that stands at a view adds what makes its answer private."""
    return {
        title: (status, {name: value for name, value in headers.items() if name != "cache-control"})
        for title, (status, headers) in found.items()
    }


@pytest.mark.parametrize("colour", ["wsgi", "asgi"])
@pytest.mark.parametrize("name", ["/me", "/by-user", "/act"])
def test_also_through_django_rest_framework(shop_in, wanted, colour, name):
    shop, expected = shop_in(colour), wanted["stranger"][1]
    answer = shop.get(name, HTTP_ACCEPT="application/json")
    assert answer.status_code == 401
    assert answer["Accept-Signature"] == expected["accept-signature"]
    assert answer["WWW-Authenticate"].startswith("Bearer ")
    assert "DPoP algs=" in answer["WWW-Authenticate"]
    assert answer["Link"].endswith('; rel="login"')
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Type"] == "application/json"
    changed = shop.post(name, HTTP_ACCEPT="application/json")
    assert changed["Accept-Signature"].startswith('sig1=("@method" ')


def test_a_refusal_that_a_view_has_caught_leaves_nothing_behind(shop_in):
    answer = shop_in("wsgi").get("/caught", HTTP_ACCEPT="application/json")
    assert answer.status_code == 200
    assert "Accept-Signature" not in answer.headers
    assert "WWW-Authenticate" not in answer.headers
