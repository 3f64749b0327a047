"""A website below a path, as a proxy, a mount or a dispatcher puts it: its routes are there too."""

from __future__ import annotations

import pytest

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
