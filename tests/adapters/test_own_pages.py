"""A website's own template on the middleware's pages, in each framework's way."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponse
from django.template import engines
from django.urls import path
from flask import Flask, render_template_string
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from auth_agent import RelyingParty, SettingsError
from auth_agent.testing import make_agent, sign_in, test_settings
from auth_agent_django import requires_agent as django_requires_agent
from auth_agent_flask import AuthAgent, current_agent
from auth_agent_flask import requires_agent as flask_requires_agent
from auth_agent_starlette import AuthAgentMiddleware
from auth_agent_starlette import requires_agent as starlette_requires_agent
from tests.adapters.django_world import open_shopper
from tests.adapters.test_django_settings import problems

PAGE = {"accept": "text/html"}
SHOWS = "<title>{{ page.title }}</title><p>{{ page.code }} {{ page.message }}</p>{{ page.action }}"


def render_with_starlette(page):
    home = Request(page.request).url_for("home")
    return Environment(autoescape=True).from_string(SHOWS).render(page=page) + str(home)


def starlette_client(**hooks):
    @starlette_requires_agent(scopes=["a:b"])
    async def scoped(request):
        return PlainTextResponse("in")

    async def home(request):
        return PlainTextResponse("home")

    relying_party = RelyingParty(test_settings(protect="/private/*"), **hooks)
    app = Starlette(
        routes=[Route("/", home, name="home"), Route("/scoped", scoped)],
        middleware=[Middleware(AuthAgentMiddleware, relying_party=relying_party)],
    )
    return TestClient(app, base_url=relying_party.settings.base_url)


def test_starlette():
    client = starlette_client(render_page=lambda page: SHOWS.partition("{{")[0] + page.code)
    refused = client.post("/private/x", headers=PAGE)
    assert (refused.status_code, refused.text) == (401, "<title>login_required")
    assert "link" in refused.headers
    sign_in(client, make_agent())
    refused = client.get("/scoped", headers=PAGE)
    assert (refused.status_code, refused.text) == (403, "<title>insufficient_scope")
    assert "www-authenticate" in refused.headers
    assert "no-store" in refused.headers["cache-control"]


def test_starlette_templates_may_read_the_request_of_a_view():
    client = starlette_client(render_page=render_with_starlette)
    sign_in(client, make_agent())
    shown = client.get("/scoped", headers=PAGE)
    assert shown.text.endswith("/")
    assert "<p>insufficient_scope " in shown.text


def flask_app(render, **config):
    app = Flask(__name__)
    app.config.update(SECRET_KEY="x", **config)
    AuthAgent(app, test_settings(protect="/private/*"), render_page=render)

    @app.get("/scoped")
    @flask_requires_agent(scopes=["a:b"])
    def scoped():
        return "in"

    return app


OF_FLASK = SHOWS + "{{ url_for('scoped') }} {{ current_agent.id if current_agent else 'nobody' }}"


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_flask(colour):
    def render(page):
        return render_template_string(OF_FLASK, page=page)

    async def arender(page):
        return render(page)

    client = flask_app(arender if colour == "async" else render).test_client()
    refused = client.post("/private/x", headers=PAGE)
    assert refused.status_code == 401
    assert refused.text.startswith("<title>Sign in first</title><p>login_required ")
    assert refused.text.endswith("/scoped nobody")
    assert refused.headers["Link"].endswith('rel="login"')
    sign_in(client, make_agent(id="agent_1"))
    refused = client.get("/scoped", headers=PAGE)
    assert (refused.status_code, refused.text.endswith("/scoped agent_1")) == (403, True)
    shown = client.get("/auth-agent/logout", headers=PAGE)
    assert (shown.status_code, "Sign out?" in shown.text) == (200, True)
    assert client.head("/auth-agent/logout", headers=PAGE).data == b""


def test_flask_calls_is_welcome():
    app = Flask(__name__)
    names = []

    def is_welcome(agent):
        names.append(app.name)
        return agent.id == "agent_1"

    AuthAgent(app, test_settings(), is_welcome=is_welcome)
    app.get("/")(lambda: current_agent.id if current_agent else "nobody")
    client = app.test_client()
    sign_in(client, make_agent(id="agent_1"))
    assert client.get("/").text == "agent_1"
    sign_in(client, make_agent(id="agent_2"))
    assert client.get("/").text == "nobody"
    assert names


def render_with_django(page):
    template = engines["django"].from_string(
        "{% load auth_agent %}" + SHOWS + "{% if request.agent %}agent{% else %}nobody{% endif %}"
    )
    return template.render({"page": page}, page.request)


@django_requires_agent(scopes=["a:b"])
def scoped(request):
    return HttpResponse("in")


URLS = (path("scoped", scoped), path("", lambda request: HttpResponse(str(request.agent))))


@pytest.mark.parametrize("colour", ["wsgi", "asgi"])
def test_django(colour, provider):
    def is_welcome(agent):
        return agent.id != "agent_8"

    hooks = {"RENDER_PAGE": render_with_django, "IS_WELCOME": is_welcome}
    with open_shopper(colour, provider, urls=URLS, **hooks) as shop:
        refused = shop.post("/private/x", HTTP_ACCEPT="text/html")
        shown = refused.content.decode()
        assert (refused.status_code, shown.endswith("nobody")) == (401, True)
        assert shown.startswith("<title>Sign in first</title><p>login_required ")
        assert "no-store" in refused["Cache-Control"]
        shop.sign_in(agent={"sub": "agent_7"})
        refused = shop.get("/scoped", HTTP_ACCEPT="text/html")
        shown = refused.content.decode()
        assert (refused.status_code, shown.endswith("agent")) == (403, True)
        assert "<p>insufficient_scope " in shown
        shop.sign_in(agent={"sub": "agent_8"})
        assert shop.get("/").content == b"None"


def test_django_names_a_function_that_cannot_be_used():
    async def late(page):
        return ""

    (problem,) = problems(RENDER_PAGE=late)
    assert problem == "AUTH_AGENT_RENDER_PAGE must name a plain function, not an async one"
    with pytest.raises(SettingsError):
        RelyingParty(test_settings(), render_page=late)


def test_a_template_that_fails_shows_the_built_in_page(caplog):
    def render(page):
        return render_template_string("{{ missing.field }}", page=page)

    client = flask_app(render).test_client()
    with caplog.at_level(logging.ERROR, "auth_agent"):
        refused = client.get("/auth-agent/callback", headers=PAGE)
    assert (refused.status_code, "The sign-in did not work" in refused.text) == (400, True)
    assert "render_page of this website has failed" in caplog.text
    assert urlsplit(refused.request.url).path == "/auth-agent/callback"
