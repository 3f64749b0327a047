from __future__ import annotations

import functools
import os
import socket
from pathlib import Path

import httpcore2
import pytest
from hypothesis import HealthCheck, settings

from auth_agent import RelyingParty, Settings
from auth_agent.testing import FakeServer, offline
from auth_agent.website.policy import approval
from tests.website.browser import Browser, Clock

# As a checkout that was installed before the plugin had its entry point needs it.
pytest_plugins = ["auth_agent.testing.plugin"]

ROOT = Path(__file__).parent

# A busy machine makes no property wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_default_context = httpcore2.default_ssl_context


def _kept_context(**options):
    """Reads a CA bundle once for all clients: for each of them that takes 20 ms and more."""
    return _context(*map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR")), **options)


@functools.cache
def _context(_cert_file, _cert_dir, **options):
    return _default_context(**options)


httpcore2.default_ssl_context = _kept_context
SLOW = {"browser", "cli", "testing", "test_distribution.py", "test_messages.py"}
SECRET = "a secret of the website that is long enough"


@pytest.fixture(autouse=True)
def _no_declared_acts(monkeypatch):
    """Forgets the acts that the views of other tests declare in this process."""
    monkeypatch.setattr(approval, "_declared", [])


@pytest.fixture(autouse=True, scope="module")
def _nothing_plugged():
    """Takes the servers out that a module has plugged in for the rest of its process."""
    before = list(offline._plugged)
    yield
    for server in [server for server in offline._plugged if server not in before]:
        offline.unplug(server)


@pytest.fixture
def clock():
    return Clock(1_800_000_000.0)


@pytest.fixture
def server(clock):
    return FakeServer(clock=clock)


@pytest.fixture
def make_site(clock, server):
    """Builds a website with these settings, and a browser that visits it."""

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


@pytest.fixture(autouse=True)
def _no_socket(request, monkeypatch):
    """Holds what is marked `no_socket` to it: decisions are tested without I/O."""
    if request.node.get_closest_marker("no_socket"):

        def refuse(*_):
            pytest.fail("a decision has opened a connection")

        monkeypatch.setattr(socket.socket, "connect", refuse)


def pytest_collection_modifyitems(items):
    for item in items:
        if {"website", "protocol"} & set(_first_part(item)):
            item.add_marker(pytest.mark.no_socket)
    # Files with the slowest tests go first, so that no worker ends long after the others.
    items.sort(key=lambda item: not SLOW & set(_first_part(item)))


def _first_part(item):
    return item.path.relative_to(ROOT).parts[:1]
