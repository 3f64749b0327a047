"""A website below a path, as a proxy, a mount or a dispatcher puts it: its routes are there too."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from starlette.requests import Request
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.adapters import stacks
from tests.adapters.conftest import Visitor, settings_of
from tests.adapters.network import free_port
from tests.adapters.stacks import STACKS

JSON = {"accept": "application/json"}
PAGE = {"accept": "text/html"}
PLACE = "/shop"


def mount_asgi(app):
    async def mounted(scope, receive, send):
        await app({**scope, "root_path": PLACE}, receive, send)

    return mounted


def mount_wsgi(app):
    def mounted(environ, start_response):
        path = environ["PATH_INFO"].removeprefix(PLACE)
        return app({**environ, "SCRIPT_NAME": PLACE, "PATH_INFO": path}, start_response)

    return mounted


# A bare ASGI application has no router that knows what `root_path` is.
MOUNTS = {name: mount_wsgi if "wsgi" in name or name == "flask" else mount_asgi
          for name in STACKS if name != "asgi"}  # fmt: skip


@pytest.fixture(params=MOUNTS)
def site(request, provider):
    stack, port = STACKS[request.param], free_port()
    base_url = f"http://127.0.0.1:{port}"
    settings = settings_of(
        provider, base_url, prefix=f"{PLACE}/auth-agent", protect=f"{PLACE}/private/*"
    )
    app = MOUNTS[request.param](stack.build(settings))
    with stack.serve(app, port), Visitor(base_url, provider, request.param) as visitor:
        yield visitor


def test_an_agent_signs_in_and_out_below_a_path(site):
    door = f"{PLACE}/auth-agent/login?next="
    for path in (f"{PLACE}/me", f"{PLACE}/private/report"):
        assert site.get(path, headers=JSON).status_code == 401
        assert site.get(path, headers=PAGE).headers["location"] == f"{door}{path}"
    asked = site.get(f"{door}{PLACE}/me").headers["location"]
    back = site.get(site.provider.approve(asked))
    assert (back.status_code, back.headers["location"]) == (303, f"{PLACE}/me")
    assert site.get(f"{PLACE}/me").json() == {"agent_id": "agent_7", "via": "session"}
    assert site.get(f"{PLACE}/private/report").json() == {"report": 42}
    assert site.post(f"{PLACE}/auth-agent/logout").status_code == 303
    assert site.get(f"{PLACE}/me", headers=JSON).status_code == 401


def _fastapi(settings):
    """Builds the application behind a proxy that strips the path, told by `root_path` alone."""
    app = STACKS["fastapi"].build(settings)
    app.root_path = PLACE
    return app


def _around_fastapi(settings):
    from fastapi import FastAPI

    from auth_agent.asgi import AuthAgentMiddleware, agent_of

    app = FastAPI()
    app.root_path = PLACE

    @app.get("/private/{rest:path}")
    @app.get("/me")
    async def me(request: Request):
        agent = agent_of(request.scope)
        return {"agent_id": agent.id if agent else None}

    return AuthAgentMiddleware(app, settings)


def _hypercorn(settings):
    return mount_asgi(STACKS["starlette"].build(settings))


def _flask(settings):
    def build(app):
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)
        return app

    with pytest.MonkeyPatch.context() as patch:
        before = stacks.AuthAgent
        patch.setattr(stacks, "AuthAgent", lambda app, settings: before(build(app), settings))
        return STACKS["flask"].build(settings)


def _django(settings):
    app = STACKS["django-asgi"].build(settings)

    async def mounted(scope, receive, send):
        await app({**scope, "root_path": PLACE}, receive, send)

    return mounted


STRIPPED = {
    "fastapi": (_fastapi, "fastapi"),
    "around fastapi": (_around_fastapi, "fastapi"),
    "root_path of the server": (_hypercorn, "starlette"),
    "flask": (_flask, "flask"),
    "django": (_django, "django-asgi"),
}


@pytest.fixture(params=STRIPPED)
def stripped(request, provider):
    """Does what a proxy does that strips the path and announces it."""
    build, name = STRIPPED[request.param]
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"

    def start(**changes):
        app = build(settings_of(provider, base_url, **changes))
        visitor = running.enter_context(Visitor(base_url, provider, name))
        visitor.headers["x-forwarded-prefix"] = PLACE
        running.enter_context(STACKS[name].serve(app, port))
        return visitor

    with ExitStack() as running:
        yield start


def test_an_agent_signs_in_behind_a_proxy_that_strips_the_path(stripped):
    site = stripped(prefix=f"{PLACE}/auth-agent")
    for path in ("/me", "/private/report"):
        sent = site.get(path, headers=PAGE)
        if path == "/private/report" or sent.status_code == 303:
            door = f"{PLACE}/auth-agent/login?next={PLACE}{path}"
            assert sent.headers["location"] == door
    asked = site.get("/auth-agent/login", params={"next": f"{PLACE}/me"}).headers["location"]
    callback = site.provider.approve(asked)
    assert f"{PLACE}/auth-agent/callback" in callback
    back = site.get(callback.replace(PLACE, "", 1))
    assert (back.status_code, back.headers["location"]) == (303, f"{PLACE}/me")
    assert site.get("/me").json()["agent_id"] == "agent_7"


@pytest.mark.parametrize("pattern", ["/private/*", f"{PLACE}/private/*"])
def test_a_rule_holds_with_and_without_the_root(stripped, pattern):
    site = stripped(prefix=f"{PLACE}/auth-agent", protect=pattern)
    assert site.get("/private/report", headers=JSON).status_code == 401
    assert site.get("/private/../private/report", headers=JSON).status_code == 401


@pytest.mark.parametrize("name", ["wsgi", "flask", "django-wsgi"])
def test_a_script_name_from_outside_moves_no_rule(provider, name):
    """Sends what gunicorn reads from a request header, and `ProxyFix` from X-Forwarded-Prefix."""
    stack, port = STACKS[name], free_port()
    base_url = f"http://127.0.0.1:{port}"
    app = mount_wsgi(stack.build(settings_of(provider, base_url)))
    with stack.serve(app, port), Visitor(base_url, provider, name) as site:
        assert site.get(f"{PLACE}/private/report", headers=JSON).status_code == 401
