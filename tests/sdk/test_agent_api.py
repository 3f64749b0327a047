"""Profile, events, verification and registration against the real server, in both colours."""

from __future__ import annotations

import threading
import time

import httpx2
import pytest
from sqlalchemy import select
from starlette.responses import Response

from auth_agent import AuthError, ServerUnavailable
from auth_agent.server.registry.agents import add_agent
from auth_agent.server.storage.tables import records
from tests.sdk.test_agent_client import CALLBACK, SEVENTEEN, approve

SITE = "shop.example"


@pytest.fixture
def signed_in(world, make_sdk):
    """Registers an agent for each test, in one colour; yields it with its access token."""
    agent = add_agent(
        world.database, "ada@example.com", name="Ada", model="gpt-4", now=int(time.time())
    )
    sdk = make_sdk(
        **world.options(agent_id=agent.agent_id, agent_secret=agent.agent_secret.reveal())
    )
    return sdk, sdk.authorize(CALLBACK).access_token, agent.agent_id


def test_a_profile_is_read_and_changed(signed_in):
    sdk, token, agent_id = signed_in
    profile = sdk.get_agent_profile(token)
    assert (profile.agent_id, profile.owner_name, profile.disabled) == (agent_id, "Ada", False)
    assert profile.owner_email == "ada@example.com"
    changed = sdk.update_agent_profile(token, owner_name="Jane Doe", model_name="gpt-4-turbo")
    assert (changed.owner_name, changed.model_name) == ("Jane Doe", "gpt-4-turbo")
    assert sdk.get_agent_profile(token) == changed


def test_events_arrive(world, signed_in):
    sdk, token, agent_id = signed_in
    assert sdk.send_event(token, "custom_event", selector="#b", metadata={"a": 1})["ok"]
    assert sdk.send_verified_click(token, "#purchase-button", SITE)["ok"]
    assert sdk.send_post_run(token, "automated_task", SITE, "x" * 5_000)["ok"]
    with world.database.read() as connection:
        kept = connection.execute(
            select(records.event.c.kind, records.event.c.site, records.event.c.data).where(
                records.event.c.agent_id == agent_id
            )
        ).all()
    assert [(row.kind, row.site) for row in kept] == [
        ("custom_event", None),
        ("verified_click", SITE),
        ("post_run", SITE),
    ]
    assert "x" * 2_000 in kept[2].data
    assert "x" * 2_001 not in kept[2].data


def test_a_challenge_is_confirmed_once(signed_in):
    sdk, token, _ = signed_in
    assert not sdk.get_verify_status(token).verified
    challenge = sdk.request_challenge(token)
    assert challenge.ok
    assert sdk.confirm_verification(token, challenge).verified
    status = sdk.get_verify_status(token)
    assert status.verified
    assert status.verified_at
    with pytest.raises(AuthError) as caught:
        sdk.confirm_verification(token, challenge.to_dict())
    assert (caught.value.code, caught.value.status_code) == ("request_failed", 400)


def open_context(world, agent_id):
    """Does what a website does to find out whether an agent is there."""
    content = {
        "agent_id": agent_id,
        "client_id": world.client_id,
        "client_secret": world.settings["client_secret"].reveal(),
    }
    answer = httpx2.post(f"{world.issuer}/api/verify/challenge", json=content)
    return answer.json()["verify_ctx_id"]


def test_a_websites_context_is_answered(world, signed_in):
    sdk, token, agent_id = signed_in
    context = open_context(world, agent_id)
    assert sdk.poll_and_authenticate(context)  # with the tokens that the SDK holds
    assert sdk.poll_and_authenticate(context, access_token=token)
    assert sdk.get_verify_status(token, context).verified


def test_a_context_that_another_website_has_opened(world, signed_in):
    sdk, _, agent_id = signed_in
    context = open_context(world, agent_id)
    with pytest.raises(AuthError) as caught:
        sdk.poll_and_authenticate(context, website="https://other.example/verify")
    assert (caught.value.code, caught.value.status_code) == ("request_failed", 409)
    assert sdk.poll_and_authenticate(context, website=f"{world.website}/verify")


def test_a_context_that_nobody_answers_in_time(world, signed_in):
    sdk, _, agent_id = signed_in
    context = open_context(world, agent_id)
    world.ahead[0] = 600  # its challenge is over
    assert sdk.poll_and_authenticate(context, timeout=0.05, interval=0.02) is False
    with pytest.raises(AuthError) as caught:
        sdk.poll_and_authenticate("vctx_unknown")
    assert caught.value.status_code == 404


def test_an_agent_registers_itself(world, make_sdk):
    sdk = make_sdk(**world.options())
    details = {
        "agent_id": f"my-ai-agent-{threading.get_ident()}-{make_sdk.__name__}",
        "agent_secret": "secure-random-secret-key",
        "model_name": "gpt-4",
        "owner_name": "John Doe",
        "owner_email": "john@example.com",
    }
    made = sdk.register_agent(**details)
    assert (made.success, made.agent_id) == (True, details["agent_id"])
    with pytest.raises(AuthError) as caught:
        sdk.register_agent(**details)
    assert (caught.value.code, caught.value.status_code) == ("registration_failed", 409)
    mine = world.options(agent_id=made.agent_id, agent_secret=details["agent_secret"])
    token = make_sdk(**mine).authorize(CALLBACK).access_token
    assert sdk.get_agent_profile(token).owner_name == "John Doe"


def test_a_request_that_the_agent_opens_itself(world, make_sdk):
    sdk = make_sdk(**world.options())
    opened = sdk.authenticate_agent(redirect_uri=CALLBACK)
    assert opened.session_id.startswith("req_")
    assert opened.expires_in > 0
    code, state = approve(world, opened.challenge_url)
    assert state == opened.state
    assert sdk.exchange_code(code, state, CALLBACK).access_token
    with pytest.raises(AuthError) as caught:
        sdk.authenticate_agent(redirect_uri=CALLBACK, agent_secret="ags_wrong")
    assert (caught.value.code, caught.value.status_code) == ("agent_auth_failed", 401)


def test_forbidden(world, signed_in):
    """Refuses a website's token at the agent's own endpoints."""
    sdk, _, _ = signed_in
    token = sdk.get_own_token(world.website).access_token
    for method in ("get_agent_profile", "request_challenge", "get_verify_status"):
        with pytest.raises(AuthError) as caught:
            getattr(sdk, method)(token)
        assert caught.value.code in ("forbidden", "token_expired"), method


def test_a_server_that_stumbles_is_asked_again_where_that_is_safe(world, signed_in):
    sdk, token, agent_id = signed_in
    stumbles = {"/api/agents/profile": 2, "/api/events": 1}

    def stumble(path):
        async def answer(scope, receive, send):
            stumbles[path] -= 1
            if stumbles[path] == 0:
                del world.server.instead[path]
            await Response(status_code=503)(scope, receive, send)

        world.server.instead[path] = answer

    for path in stumbles:
        stumble(path)
    world.server.forget_what_was_asked()
    assert sdk.get_agent_profile(token).agent_id == agent_id
    assert world.server.asked.count(("GET", "/api/agents/profile")) == 3
    with pytest.raises(ServerUnavailable):
        sdk.send_event(token, "seen")
    assert world.server.asked.count(("POST", "/api/events")) == 1


def test_every_method_of_the_original_was_called_here():
    """Counts calls in this file and in test_agent_client: real HTTP, both colours."""
    from pathlib import Path

    here = Path(__file__).parent
    text = "".join(
        (here / name).read_text() for name in ("test_agent_api.py", "test_agent_client.py")
    )
    assert [name for name in SEVENTEEN if f".{name}(" not in text and f'"{name}"' not in text] == []
