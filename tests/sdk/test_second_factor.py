"""A code that the agent's owner was mailed, against the real server in both colours."""

from __future__ import annotations

import contextlib
import queue
import re
import time

import anyio
import pytest

from auth_agent import AuthError
from auth_agent.sdk import AsyncAgentSDK
from auth_agent.server.registry.agents import add_agent, set_second_factor
from tests.sdk.conftest import run_async


@pytest.fixture
def mails(world):
    """Returns the owner's mailbox; the server's own outbox delivers into it."""
    with contextlib.suppress(queue.Empty):
        while True:
            world.mails.get_nowait()
    return world.mails


def read_code(mails):
    while True:  # other mail tells of first sign-ins
        found = re.search(r"\b\d{8}\b", mails.get(timeout=10).text)
        if found:
            return found[0]


@pytest.fixture
def options(world):
    agent = add_agent(world.database, "ada@example.com", now=int(time.time()))
    set_second_factor(world.database, agent.agent_id, 1, needed=True)
    secret = agent.agent_secret.reveal()
    return world.options(agent_id=agent.agent_id, agent_secret=secret)


def test_the_owner_is_asked(world, sign_in, mails, options):
    wanted = {"second_factor": lambda: read_code(mails)}
    result = sign_in(options, f"{world.website}/me", **wanted)
    assert result.again.json()["agent_id"] == options["agent_id"]


def test_without_anybody_to_ask(world, sign_in, mails, options):
    with pytest.raises(AuthError, match="second_factor") as caught:
        sign_in(options, f"{world.website}/me")
    assert caught.value.code == "two_factor_required"


def test_a_wrong_code_and_then_the_right_one(world, sign_in, mails, options):
    said = []

    def ask():
        code = said[0] if said else read_code(mails)
        said.append(code)
        return code if len(said) == 2 else f"{(int(code) + 1) % 100_000_000:08d}"

    assert sign_in(options, f"{world.website}/me", second_factor=ask).again.status_code == 200
    with pytest.raises(AuthError) as caught:
        sign_in(options, f"{world.website}/me", second_factor=lambda: "")
    assert caught.value.code == "invalid_code"


def test_the_answer_may_be_awaited(world, mails, options):
    async def ask():
        return await anyio.to_thread.run_sync(read_code, mails)

    async def main():
        sdk = AsyncAgentSDK(**options)
        async with await sdk.sign_in(f"{world.website}/me", second_factor=ask) as site:
            return site.response.status_code

    assert run_async(main) == 200
