"""Back-channel logout over real HTTP: every stack reads the form, and the session is gone."""

from __future__ import annotations

import pytest

from tests.adapters.conftest import Visitor
from tests.adapters.stacks import STACKS
from tests.services import redis_server

JSON = {"accept": "application/json"}
PATH = "/auth-agent/backchannel-logout"


@pytest.fixture(scope="module")
def redis_url():
    with redis_server() as url:
        yield url


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
