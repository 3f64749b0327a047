"""A server that hangs: visitors without an agent hold three threads, and public pages answer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.adapters.conftest import TLS
from tests.services import free_port, website_environ
from tests.world import run_process

METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"
AT_ONCE = 8  # twice as many as there are threads
SLOWEST = 2.0  # a second for this busy machine, and one that is promised


@pytest.fixture
def hang(provider):
    """Makes an endpoint hang until the test ends; counts who waits there."""
    go, waiting = threading.Event(), threading.Semaphore(0)

    def make(path):
        def wait(_handler):
            waiting.release()
            go.wait(60)

        provider.answers[path] = wait
        return waiting

    yield make
    go.set()


@pytest.fixture
def waitress(provider):
    """Starts the Flask shop in waitress with its four threads."""
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    environ = website_environ(provider, site)
    with run_process("examples.flask_site:app", "waitress", port, environ):
        yield site


def opaque(_provider, number):
    return "/", {"authorization": f"Bearer garbage{number}"}


def signed(provider, number):
    return "/", {"authorization": f"Bearer {provider.access_token(aud='x', jti=str(number))}"}


def login(_provider, number):
    return f"/auth-agent/login?next=/{number}", {}


@pytest.mark.parametrize(
    ("path", "visit", "is_warm"),
    [
        ("/introspect", opaque, True),
        (METADATA, login, False),
        (METADATA, opaque, False),
        (JWKS, signed, False),
    ],
    ids=["introspection", "login", "metadata", "keys"],
)
def test_a_public_page_answers_throughout(waitress, provider, hang, path, visit, is_warm):
    def ask(number):
        target, headers = visit(provider, number)
        return httpx2.get(f"{waitress}{target}", headers=headers, timeout=60, verify=TLS)

    if is_warm:
        assert httpx2.get(f"{waitress}/auth-agent/login", verify=TLS).status_code == 303
    arrived = hang(path)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for wave in range(2):
            asked = [pool.submit(ask, AT_ONCE * wave + number) for number in range(AT_ONCE)]
            if wave == 0:
                assert arrived.acquire(timeout=10)
            slowest = 0.0
            while not all(one.done() for one in asked):
                started_at = time.monotonic()
                assert httpx2.get(waitress, timeout=60, verify=TLS).status_code == 200
                slowest = max(slowest, time.monotonic() - started_at)
            assert slowest < SLOWEST, f"wave {wave}"
