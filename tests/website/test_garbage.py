"""A request is freed as it ends: garbage in circles makes Python's collector stop the process."""

from __future__ import annotations

import gc
from contextlib import suppress

import pytest

from auth_agent import RelyingParty
from auth_agent.asgi import AuthAgentMiddleware
from auth_agent.testing import make_agent, session_cookies
from auth_agent.testing import test_settings as settings_of_a_test


async def application(_scope, _receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def nothing(_message=None):
    return {"type": "http.request"}


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_a_request_leaves_nothing_to_the_garbage_collector(is_signed_in):
    settings = settings_of_a_test()
    cookies = session_cookies(make_agent(), settings) if is_signed_in else {}
    app = AuthAgentMiddleware(application, relying_party=RelyingParty(settings))
    header = "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()

    def request():
        scope = {
            **{"type": "http", "method": "GET", "scheme": "https", "path": "/", "raw_path": b"/"},
            **{"query_string": b"", "root_path": "", "headers": [(b"cookie", header)]},
        }
        with suppress(StopIteration):
            app(scope, nothing, nothing).send(None)
        assert (scope["auth_agent"] is not None) is is_signed_in

    for _ in range(3):
        request()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            request()
        assert gc.collect() == 0
    finally:
        gc.enable()
