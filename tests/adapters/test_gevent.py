"""Greenlets: a preloaded gevent worker patches the standard library after our import."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.adapters.network import free_port
from tests.services import website_environ
from tests.world import run_process

pytest.importorskip("gevent")

SITE = """
import os
from auth_agent.wsgi import AuthAgentMiddleware, agent_of

def shop(environ, start_response):
    agent = agent_of(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(agent.id if agent else "nobody").encode()]

app = AuthAgentMiddleware(shop)
"""


def test_each_greenlet_has_a_deadline_of_its_own():
    program = """
from auth_agent.flow.connections import deadline
from gevent import monkey
monkey.patch_all()
import gevent, time

def left(seconds, pause):
    with deadline.deadline(seconds):
        time.sleep(pause)  # the other greenlet sets its own meanwhile
        return deadline.seconds_left(1_000)

short, long = gevent.spawn(left, 5, 0.1), gevent.spawn(left, 500, 0.2)
gevent.joinall([short, long], raise_error=True)
assert 4 < short.value < 5, short.value
assert 499 < long.value < 500, long.value
assert deadline.seconds_left(7) == 7
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_preloaded_worker_serves_others_while_a_visit_waits(provider, tmp_path):
    (tmp_path / "gevent_shop.py").write_text(SITE)
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    environ = {
        **website_environ(provider, site),
        "AUTH_AGENT_PROTECT": "/private/*",
        "PYTHONPATH": str(tmp_path),
    }
    go, arrived = threading.Event(), threading.Semaphore(0)

    def wait(_handler):
        arrived.release()
        go.wait(60)

    provider.answers["/introspect"] = wait
    with (
        run_process("gevent_shop:app", "gunicorn with gevent", port, environ),
        httpx2.Client(base_url=site, timeout=30) as client,
    ):
        good = {"authorization": f"Bearer {provider.access_token(aud=site)}"}
        assert client.get("/private/x", headers=good).text == "agent_7"
        assert client.get("/private/x").status_code == 401
        with ThreadPoolExecutor(2) as pool:
            opaque = {"authorization": "Bearer opaque"}
            slow = pool.submit(client.get, "/private/x", headers=opaque)
            assert arrived.acquire(timeout=10)
            assert client.get("/").text == "nobody"  # the one worker is not held
            assert client.get("/private/x", headers=good).text == "agent_7"
            assert not slow.done()
            go.set()
            assert slow.result(30).status_code in (401, 502, 503)
