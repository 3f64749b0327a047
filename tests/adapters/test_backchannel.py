"""Back-channel logout over real HTTP: every stack reads the form, and the session is gone."""

from __future__ import annotations

import io

import anyio
import pytest
from django.core.handlers.wsgi import WSGIRequest

from auth_agent import asgi, wsgi
from auth_agent_django.entry import body_reader
from tests.adapters.conftest import Visitor
from tests.adapters.stacks import STACKS
from tests.services import redis_server

JSON = {"accept": "application/json"}
PATH = "/auth-agent/backchannel-logout"


@pytest.fixture(scope="module")
def redis_url():
    with redis_server() as url:
        yield url


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        ([b"one", b"two"], b"onetwo"),
        ([b"x" * 5, b"x" * 5], b"x" * 10),
        ([b"x" * 5, b"x" * 6], None),
        ([b"x"] * 11, None),
        ([b"begun", None], None),
    ],
)
def test_a_body_is_bounded_in_size_and_complete(chunks, body):
    messages = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]

    async def receive():
        return messages.pop(0)

    assert anyio.run(asgi.body_reader(receive), 10) == body


@pytest.mark.parametrize("framework", ["bare", "django"])
@pytest.mark.parametrize(
    ("sent", "environ", "body"),
    [
        (b"x" * 10, {"CONTENT_LENGTH": "10"}, b"x" * 10),
        (b"x" * 11, {"CONTENT_LENGTH": "11"}, None),
        (b"x" * 10, {"wsgi.input_terminated": True}, b"x" * 10),
        (b"x" * 11, {"wsgi.input_terminated": True}, None),
        (b"x" * 99, {"wsgi.input_terminated": True, "CONTENT_LENGTH": "3"}, b"xxx"),
        (b"x" * 99, {}, b""),
        (b"x" * 99, {"CONTENT_LENGTH": ""}, b""),
        (b"x" * 99, {"CONTENT_LENGTH": "9" * 5_000}, None),
        (b"x" * 10, {"CONTENT_LENGTH": "0010"}, b"x" * 10),
    ],
)
def test_a_body_in_chunks_is_read_where_the_server_ends_it(framework, sent, environ, body):
    """gunicorn gives no length for `Transfer-Encoding: chunked`, as some proxies send it."""
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(sent), **environ}
    if framework == "bare":
        assert wsgi.body_reader(environ)(10) == body
    else:
        assert body_reader(WSGIRequest(environ))(10) == body


@pytest.mark.parametrize("chunk", [b"", b"x"])
def test_a_body_that_does_not_arrive_is_waited_for_ten_seconds(monkeypatch, chunk):
    assert asgi.BODY_SECONDS == 10
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.05)

    async def receive():
        await anyio.sleep(0.02)
        return {"type": "http.request", "body": chunk, "more_body": True}

    assert anyio.run(asgi.body_reader(receive), 1_000) is None


@pytest.mark.parametrize("stack", STACKS)
def test_ends_the_session_within_one_request(stack, serve, provider, redis_url):
    with Visitor(serve(stack, session_store=redis_url), provider, stack) as agent:
        agent.sign_in()
        assert agent.get("/me", headers=JSON).status_code == 200
        refused = agent.post(PATH, data={"logout_token": "garbage"})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        too_large = agent.post(PATH, data={"logout_token": "x" * 70_000})
        assert too_large.status_code == 400
        assert agent.get("/me", headers=JSON).status_code == 200
        announced = agent.post(PATH, data={"logout_token": provider.logout_token()})
        assert (announced.status_code, announced.headers["cache-control"]) == (200, "no-store")
        assert agent.get("/me", headers=JSON).status_code == 401
