from __future__ import annotations

import pytest

from auth_agent import RelyingParty, Settings
from auth_agent.testing import FakeServer
from tests.core.browser import Browser, Clock

SECRET = "a secret of the website that is long enough"


@pytest.fixture
def clock():
    return Clock(1_800_000_000.0)


@pytest.fixture
def server(clock):
    return FakeServer(clock=clock)


@pytest.fixture
def make_site(clock, server):
    """A website with these settings, and a browser that visits it."""

    def make(**changes):
        settings = {
            "issuer": server.issuer,
            "client_id": server.client_id,
            "client_secret": server.client_secret,
            "secret": SECRET,
            "base_url": "https://shop.example",
            **changes,
        }
        return Browser(RelyingParty(Settings(**settings), clock=clock), server)

    return make


@pytest.fixture
def browser(make_site):
    return make_site()
