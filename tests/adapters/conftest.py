from __future__ import annotations

from contextlib import ExitStack

import httpx2
import pytest
from django.core.management import call_command

from auth_agent import Settings
from auth_agent.flow import drive
from auth_agent.testing import FakeServer
from tests.adapters.django_world import empty_database, open_shopper
from tests.adapters.network import free_port, serve_provider
from tests.adapters.stacks import STACKS


@pytest.fixture
def provider():
    """Starts the misbehaving server over real HTTP."""
    port = free_port()
    provider = FakeServer(f"http://127.0.0.1:{port}")
    with serve_provider(provider, port):
        yield provider
    drive.close()


def settings_of(provider, base_url, **changes):
    """Returns the settings of a website of this provider."""
    return Settings(
        **{
            "issuer": provider.issuer,
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "secret": "a secret of the website that is long enough",
            "base_url": base_url,
            "protect": "/private/*",
            **changes,
        }
    )


@pytest.fixture
def serve(provider):
    """Starts a stack with these settings; returns its base URL."""
    with ExitStack() as running:

        def start(name, **changes):
            port = free_port()
            base_url = f"http://127.0.0.1:{port}"
            settings = settings_of(provider, base_url, **changes)
            stack = STACKS[name]
            running.enter_context(stack.serve(stack.build(settings), port))
            return base_url

        yield start


@pytest.fixture(params=STACKS)
def site(request, serve, provider):
    """Yields an agent's HTTP client in front of the site, one stack after the other."""
    with Visitor(serve(request.param), provider, request.param) as visitor:
        yield visitor


TLS = httpx2.create_ssl_context()  # 20 ms that hundreds of clients need not wait for


class Visitor(httpx2.Client):
    """Keeps cookies, follows nothing by itself."""

    def __init__(self, base_url, provider, stack):
        super().__init__(base_url=base_url, timeout=30, verify=TLS)
        self.provider = provider
        self.stack = stack

    def begin(self, next_path="/me"):
        answer = self.get("/auth-agent/login", params={"next": next_path})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def sign_in(self, next_path="/me", **changes):
        return self.get(self.provider.approve(self.begin(next_path), **changes))


@pytest.fixture(params=["wsgi", "asgi"])
def django(request, provider):
    """Opens a Django site of its own, in one colour after the other, with an agent before it."""
    with ExitStack() as stack:
        yield lambda **site: stack.enter_context(open_shopper(request.param, provider, **site))


@pytest.fixture(scope="session")
def _tables():
    call_command("migrate", verbosity=0)


@pytest.fixture
def database(_tables):
    """Creates Django's tables, and empties them after the test."""
    yield
    empty_database()
