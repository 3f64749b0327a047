"""What an agent approves for a client that belongs to no website: the APIs that it was allowed."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest

from auth_agent import AuthError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.sdk import AgentSDK
from auth_agent.sdk.exchange.html import request_ids
from auth_agent.sdk.exchange.journey import Journey
from auth_agent.sdk.sign_in.consent import answer
from auth_agent.server.registry.clients import add_client
from auth_agent.server.registry.resources import add_resource

API = "https://api.native.example/mcp"
CALLBACK = "http://127.0.0.1:49152/cb"


@pytest.fixture(scope="module")
def native(_world: Any) -> str:
    add_resource(_world.database, API, now=int(time.time()))
    made = add_client(_world.database, "IDE", [CALLBACK], public=True, now=int(time.time()))
    return made.client_id


def _approve(world: Any, client_id: str, redirect_uri: str, resource: Any, **options: Any) -> Any:
    query = {
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        **({"resource": resource} if resource else {}),
    }
    page = httpx2.get(f"{world.issuer}/authorize", params=query)
    found = request_ids(HttpResponse(page.status_code, dict(page.headers), page.content))
    sdk = AgentSDK(**world.options(**options))
    journey = Journey(ends_at=time.monotonic() + 60, timeout=10)
    return sdk._perform(answer(world.issuer, next(iter(found)), None, sdk.options, journey))


def test_a_native_client_gets_no_api_that_was_not_allowed(world: Any, native: str) -> None:
    with pytest.raises(AuthError) as caught:
        _approve(world, native, CALLBACK, API)
    assert caught.value.code == "resource_not_allowed"
    with pytest.raises(AuthError):
        _approve(world, native, CALLBACK, API, allowed_resources=[API + "/x", API + "x"])
    assert ("POST", "/api/agent/authenticate") not in world.server.asked
    request = _approve(
        world, native, CALLBACK, API, allowed_resources=["https://API.native.example:443/mcp"]
    )
    assert (request.resources, request.is_native) == ((API,), True)


def test_a_native_client_that_asks_for_no_api_needs_no_allowance(world: Any, native: str) -> None:
    assert _approve(world, native, CALLBACK, None).resources == ()


def test_a_website_gets_its_own_apis_unless_the_operator_has_bounded_them(world: Any) -> None:
    callback = f"{world.website}/auth-agent/callback"
    below = f"{world.website}/mcp"
    request = _approve(world, world.client_id, callback, below)
    assert (request.resources, request.is_native) == ((below,), False)
    with pytest.raises(AuthError) as caught:
        _approve(world, world.client_id, callback, below, allowed_resources=[API])
    assert caught.value.code == "resource_not_allowed"
