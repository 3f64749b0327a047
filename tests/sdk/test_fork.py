"""A forked worker finds the locks of the SDK and of the testing kit open."""

from __future__ import annotations

import pytest

from auth_agent import Settings
from auth_agent.sdk import TokenManager
from auth_agent.sdk.calls.pending import Pending
from auth_agent.testing import credentials, offline
from tests.conftest import SECRET
from tests.flow.test_flights import in_a_child
from tests.website.test_fork import within

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def test_of_the_tokens():
    tokens = TokenManager()

    def clear():
        tokens.clear()
        return tokens.access_token is None

    with tokens._lock:
        assert in_a_child(lambda: within(10, clear)) == 0


def test_of_the_sign_ins_under_way():
    pending = Pending()

    def add():
        pending.add("state", "verifier")
        return pending.take("state", None, None) == "verifier"

    with pending._lock:
        assert in_a_child(lambda: within(10, add)) == 0


def test_of_the_testing_kit():
    settings = Settings(
        issuer="https://fork.example",
        client_id="c",
        client_secret="s",
        secret=SECRET,
        base_url="https://shop.example",
    )

    def plug():
        server = credentials._server_for(settings)
        return offline.plugged(server.issuer) is server

    for lock in (credentials._lock, offline._lock):
        with lock:
            assert in_a_child(lambda: within(10, plug)) == 0
