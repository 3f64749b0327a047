"""The whole way over real HTTP, in both colours."""

from __future__ import annotations

import httpx2
import pytest
from starlette.responses import JSONResponse, Response

from auth_agent import AuthError, ServerUnavailable, SettingsError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from tests.adapters.network import free_port
from tests.sdk.conftest import make_shop

ALL_STEPS = [
    *("redirected", "redirected", "issuer_checked", "waiting_page_found", "request_checked"),
    *("agent_proved", "code_received", "returned", "returned", "signed_in"),
]


def test_the_website_knows_the_agent_afterwards(world, sign_in):
    told = []
    result = sign_in(world.options(), f"{world.website}/me", on_step=told.append)
    expected = {"agent_id": world.agent_id, "model": "claude-sonnet-4"}
    assert result.url == f"{world.website}/me"
    assert result.response.json() == result.again.json() == expected
    assert [step.action for step in result.steps] == ALL_STEPS
    assert told == list(result.steps)
    assert world.shop.asked.count(("GET", "/auth-agent/login")) == 1


def test_the_secret_is_told_to_nobody_else(world, sign_in):
    result = sign_in(world.options(), f"{world.website}/me")
    assert world.secret.encode() in world.server.told
    assert world.server.asked.count(("POST", "/api/agent/authenticate")) == 1
    assert world.secret.encode() not in world.shop.told
    assert b"authorization" not in world.shop.told
    assert world.secret not in f"{result.text} {result.steps}"
    assert "code=" not in f"{result.text} {result.steps}"


def test_the_login_itself_may_be_given(world, sign_in):
    result = sign_in(world.options(), f"{world.website}/auth-agent/login?next=/me#top")
    assert result.response.json()["agent_id"] == world.agent_id


def test_a_401_that_names_the_door_is_understood(world, sign_in):
    refusal = {
        "error": "login_required",
        "login_url": f"{world.website}/auth-agent/login?next=%2Fme",
        "issuer": world.issuer,
    }
    world.shop.instead["/api"] = JSONResponse(refusal, 401)
    result = sign_in(world.options(), f"{world.website}/api")
    assert [step.action for step in result.steps] == ["login_offered", *ALL_STEPS[1:]]
    assert result.again.status_code == 200


def test_without_a_model_the_registered_one_is_used_or_the_server_refuses(world, sign_in):
    with pytest.raises(AuthError, match="model") as caught:
        sign_in(world.options(model=None), f"{world.website}/me")
    assert caught.value.code == "model_missing"


@pytest.mark.parametrize("wrong", [{"agent_secret": "ags_wrong"}, {"agent_id": "agent_unknown"}])
def test_wrong_credentials(world, sign_in, wrong):
    with pytest.raises(AuthError) as caught:
        sign_in(world.options(**wrong), f"{world.website}/me")
    assert (caught.value.code, caught.value.status_code) == ("invalid_credentials", 401)
    assert "unknown agent ID, or its secret or key is wrong" in caught.value.description
    assert "auth-agent agent rotate-secret ID" in caught.value.description
    assert "ags_" not in f"{caught.value!r} {caught.value}"
    assert ("GET", "/auth-agent/callback") not in world.shop.asked


def test_an_expired_request(world, sign_in):
    def pass_time():
        world.ahead[0] += 3_600

    world.server.before["/api/auth-requests/"] = pass_time
    with pytest.raises(AuthError) as caught:
        sign_in(world.options(), f"{world.website}/me")
    assert caught.value.code == "request_expired"


def test_a_scope_that_the_caller_does_not_give(world, sign_in):
    with pytest.raises(AuthError, match="email profile") as caught:
        sign_in(world.options(), f"{world.website}/me", allowed_scopes=["openid"])
    assert caught.value.code == "scope_not_allowed"
    assert ("POST", "/api/agent/authenticate") not in world.server.asked


def test_a_second_factor_is_not_there_yet(world, sign_in):
    answer = {"success": True, "requires_2fa": True, "expires_in": 300}
    world.server.instead["/api/agent/authenticate"] = JSONResponse(answer)
    with pytest.raises(AuthError) as caught:
        sign_in(world.options(), f"{world.website}/me")
    assert caught.value.code == "two_factor_required"


def test_a_page_that_asks_nobody(world, sign_in):
    with pytest.raises(AuthError, match="login") as caught:
        sign_in(world.options(), f"{world.website}/")
    assert caught.value.code == "not_a_sign_in"


def test_a_website_that_admits_somebody_else(world, sign_in):
    from auth_agent import Settings

    settings = Settings(**world.settings, deny_agents="agent_*")
    world.shop.instead["/auth-agent/callback"] = make_shop(settings)
    with pytest.raises(AuthError, match="does not admit this agent") as caught:
        sign_in(world.options(), f"{world.website}/me")
    assert caught.value.code == "sign_in_failed"


def test_nobody_at_home(world, sign_in):
    nowhere = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServerUnavailable) as caught:
        sign_in(world.options(), f"{nowhere}/me")
    assert caught.value.code == "website_unavailable"
    options = world.options(server_url=nowhere, allowed_issuers=[nowhere, world.issuer])
    assert sign_in(options, f"{world.website}/me").again.status_code == 200
    with pytest.raises(ServerUnavailable) as caught:
        sign_in(world.options(server_url=nowhere), f"{world.website}/me")
    assert caught.value.code == "server_unavailable"


def test_a_server_that_fails(world, sign_in):
    world.server.instead["/api/check-status"] = Response("broken", 503, {"Retry-After": "20"})
    with pytest.raises(AuthError) as caught:  # no time is left for another attempt
        sign_in(world.options(), f"{world.website}/me", within=15)
    assert caught.value.code == "timeout"
    world.server.instead["/authorize"] = Response("broken", 500)
    with pytest.raises(ServerUnavailable):
        sign_in(world.options(), f"{world.website}/me")


def test_a_client_of_the_callers_keeps_its_secrets_and_stays_open(world):
    with httpx2.Client(
        auth=("me", "my password"), headers={"Authorization": "Bearer mine"}, params={"a": "mine"}
    ) as client:
        with AgentSDK(**world.options(), http_client=client).sign_in(f"{world.website}/me") as site:
            assert site.client is client
        assert b"mine" not in world.shop.told + world.server.told
        assert b"authorization" not in world.shop.told
        assert client.cookies
        assert not client.is_closed


def test_a_client_of_our_own_is_closed(world):
    with AgentSDK(**world.options()).sign_in(f"{world.website}/me") as site:
        assert not site.client.is_closed
    assert site.client.is_closed


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_wrong_options_are_told_at_once(kind):
    with pytest.raises(SettingsError) as caught:
        kind(allowed_issuers=["http://id.example"], model="\n", timeout=0)
    problems = " ".join(caught.value.problems)
    for name in ("agent_id", "server_url is missing", "http://id.example", "model", "timeout"):
        assert name in problems
    assert len(caught.value.problems) == 5


def test_a_secret_never_shows(world):
    assert world.secret not in repr(AgentSDK(**world.options()))
    with pytest.raises(SettingsError, match="agent_secret is missing"):
        AgentSDK(**world.options(agent_secret=None)).sign_in(f"{world.website}/me")
