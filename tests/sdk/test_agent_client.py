"""The agent as an OAuth client of its own, against the real server in both colours."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx2
import pytest

from auth_agent import AuthError, SettingsError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK, TokenResponse
from auth_agent.server.registry.agents import add_agent
from tests.sdk.conftest import run_async

SEVENTEEN = """get_authorization_url exchange_code refresh_access_token register_agent
authenticate_agent get_agent_profile update_agent_profile get_user_info send_event
send_verified_click send_post_run request_challenge confirm_verification get_verify_status
poll_and_authenticate revoke_token introspect_token""".split()  # noqa: SIM905
CALLBACK = "http://localhost:3000/callback"


def approve(world, url, **changes):
    """Acts as a browser and the agent beside it; returns the callback's parameters."""
    with httpx2.Client() as browser:
        page = browser.get(url)
        request_id = page.text.partition("request_id: '")[2].partition("'")[0]
        answer = {
            "request_id": request_id,
            "agent_id": world.agent_id,
            "agent_secret": world.secret,
            "model": "m",
            **changes,
        }
        said = browser.post(f"{world.issuer}/api/agent/authenticate", json=answer)
        assert said.json()["status"] == "authenticated", said.text
        status = browser.get(
            f"{world.issuer}/api/check-status", params={"request_id": request_id}
        ).json()
    return status["code"], status["state"]


class Ears:
    def __init__(self):
        self.told = []

    def options(self):
        return {
            "on_tokens_received": lambda tokens: self.told.append(("received", tokens)),
            "on_tokens_refreshed": lambda tokens: self.told.append(("refreshed", tokens)),
            "on_tokens_revoked": lambda: self.told.append(("revoked",)),
        }


def test_from_the_url_to_the_end_of_the_session(world, make_sdk):
    ears = Ears()
    sdk = make_sdk(**world.options(), **ears.options())
    begun = sdk.get_authorization_url(redirect_uri=CALLBACK)
    code, state = approve(world, begun.url)
    tokens = sdk.exchange_code(code, state, CALLBACK)
    assert tokens.token_type == "Bearer"
    assert tokens.scope.split() == ["openid", "profile", "email", "agent"]
    assert tokens.id_token
    assert sdk.get_user_info(tokens.access_token).agent_id == world.agent_id

    renewed = sdk.refresh_access_token(tokens.refresh_token)
    assert renewed.refresh_token != tokens.refresh_token
    found = sdk.introspect_token(renewed.access_token)
    assert (found.active, found.sub, found.client_id) == (True, world.agent_id, world.agent_id)
    assert found.extra["model"] == "m"
    assert sdk.sdk.tokens.access_token == renewed.access_token

    sdk.revoke_token(renewed.access_token)
    assert not sdk.introspect_token(renewed.access_token).active
    with pytest.raises(AuthError) as caught:
        sdk.get_user_info(renewed.access_token)
    assert (caught.value.code, caught.value.status_code) == ("token_expired", 401)
    with pytest.raises(AuthError) as caught:
        sdk.refresh_access_token(renewed.refresh_token)
    assert caught.value.code == "refresh_failed"
    assert ears.told == [("received", tokens), ("refreshed", renewed), ("revoked",)]
    assert sdk.sdk.tokens.access_token is None


def test_the_whole_way_in_one_call(world, make_sdk):
    tokens = make_sdk(**world.options()).authorize(CALLBACK, scope="openid agent")
    assert tokens.scope.split() == ["openid", "agent"]


def test_another_process_may_take_the_callback(world, make_sdk):
    begun = make_sdk(**world.options()).get_authorization_url(redirect_uri=CALLBACK)
    kept = json.loads(json.dumps(begun.to_dict()))
    code, state = approve(world, kept["url"])
    sdk = make_sdk(**world.options())
    with pytest.raises(AuthError) as caught:
        sdk.exchange_code(code, state, CALLBACK)
    assert caught.value.code == "pkce_missing"
    tokens = sdk.exchange_code(code, state, CALLBACK, code_verifier=kept["code_verifier"])
    assert tokens.access_token


def test_a_code_is_good_once_and_for_its_own_verifier(world, make_sdk):
    sdk = make_sdk(**world.options())
    mine = sdk.get_authorization_url(redirect_uri=CALLBACK)
    other = sdk.get_authorization_url(redirect_uri=CALLBACK)
    code, _ = approve(world, mine.url)
    with pytest.raises(AuthError) as caught:
        sdk.exchange_code(code, other.state, CALLBACK)
    assert (caught.value.code, caught.value.status_code) == ("token_exchange_failed", 400)
    sdk.exchange_code(code, mine.state, CALLBACK)


def test_wrong_credentials_have_a_name_each(world, make_sdk):
    good = make_sdk(**world.options())
    token = good.authorize(CALLBACK).access_token
    bad = make_sdk(**world.options(agent_secret="ags_wrong"))
    for method, code in (
        ("introspect_token", "introspection_failed"),
        ("revoke_token", "revoke_failed"),
        ("refresh_access_token", "refresh_failed"),
    ):
        with pytest.raises(AuthError) as caught:
            getattr(bad, method)(token)
        assert (caught.value.code, caught.value.status_code) == (code, 401)
        assert "ags_wrong" not in str(caught.value)
    assert good.introspect_token(token).active


def test_a_key_is_all_that_an_agent_needs(world, make_sdk, agent_key):
    agent = add_agent(
        world.database, "ada@example.com", public_key=agent_key.public_pem, now=int(time.time())
    )
    sdk = make_sdk(
        agent_id=agent.agent_id, private_key=agent_key.pem, server_url=world.issuer, model="m"
    )
    tokens = sdk.authorize(CALLBACK)
    assert sdk.get_user_info(tokens.access_token).agent_id == agent.agent_id
    tokens = sdk.refresh_access_token(tokens.refresh_token)
    assert sdk.introspect_token(tokens.access_token).active
    sdk.revoke_token(tokens.access_token)


def test_sign_in_by_key(world, sign_in, agent_key, tmp_path):
    agent = add_agent(
        world.database, "ada@example.com", public_key=agent_key.public_pem, now=int(time.time())
    )
    path = tmp_path / "agent.pem"
    path.write_text(agent_key.pem.reveal())
    path.chmod(0o600)
    options = {"agent_id": agent.agent_id, "private_key": path, "server_url": world.issuer}
    result = sign_in({**options, "model": "m"}, f"{world.website}/me")
    assert result.again.json()["agent_id"] == agent.agent_id
    assert b"PRIVATE KEY" not in world.server.told + world.shop.told


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640])
def test_a_key_file_that_others_may_read_or_change_is_refused(agent_key, tmp_path, mode):
    path = tmp_path / "agent.pem"
    path.write_text(agent_key.pem.reveal())
    path.chmod(mode)
    for given in (path, str(path)):
        with pytest.raises(SettingsError, match=r"agent\.pem .*: run chmod 600"):
            AgentSDK(agent_id="agent_1", private_key=given, server_url="https://id.example")


def test_async_callbacks_are_awaited(world):
    told = []

    async def hear(tokens):
        await anyio.lowlevel.checkpoint()
        told.append(tokens)

    async def main():
        sdk = AsyncAgentSDK(**world.options(), on_tokens_received=hear)
        return await sdk.authorize(CALLBACK)

    assert told == [run_async(main)]


def test_an_async_callback_among_threads_is_a_mistake_that_is_told(world):
    async def hear(tokens):
        pass

    with pytest.raises(TypeError, match="AsyncAgentSDK"):
        AgentSDK(**world.options(), on_tokens_received=hear).authorize(CALLBACK)


def test_threads_share_one_sdk(world):
    with AgentSDK(**world.options()) as sdk, ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: sdk.get_authorization_url(CALLBACK), range(8)))
        callbacks = list(pool.map(lambda one: approve(world, one.url), begun))
        found = list(pool.map(lambda back: sdk.exchange_code(*back, CALLBACK), callbacks))
    assert len({tokens.access_token for tokens in found}) == 8


def test_a_connection_is_kept_inside_a_with_statement(world):
    sdk = AgentSDK(**world.options())
    with sdk:
        kept = sdk._kept
        sdk.authorize(CALLBACK)
        assert not kept.is_closed
    assert kept.is_closed

    async def main():
        sdk = AsyncAgentSDK(**world.options())
        async with sdk:
            kept = sdk._kept
            await sdk.authorize(CALLBACK)
        return kept.is_closed

    assert run_async(main)


def test_the_query_of_the_url_is_what_the_server_wants(world):
    begun = AgentSDK(**world.options()).get_authorization_url(CALLBACK, state="a&b")
    assert dict(parse_qsl(urlsplit(begun.url).query))["state"] == "a&b"
    _, state = approve(world, begun.url)
    assert state == "a&b"


def test_both_colours_have_the_same_methods():
    def public(kind):
        return {name for name in vars(kind) if not name.startswith("_")}

    assert public(AgentSDK) - {"close"} == public(AsyncAgentSDK) - {"aclose"}
    assert len(SEVENTEEN) == 17
    assert public(AgentSDK) >= set(SEVENTEEN)


def test_importing_the_sdk_loads_no_client_browser_or_protocol():
    program = (
        "import sys, auth_agent.sdk; print([name for name in "
        "('httpx2', 'playwright', 'mcp', 'jwt', 'keyring') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_a_method_has_the_signature_of_what_it_does(kind):
    signature = inspect.signature(kind.exchange_code)
    assert list(signature.parameters)[:4] == ["self", "code", "state", "redirect_uri"]
    assert signature.return_annotation is TokenResponse
    assert inspect.signature(kind.revoke_token).return_annotation is type(None)
