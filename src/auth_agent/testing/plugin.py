"""The pytest plugin: a server, an agent, and signed-in clients as fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from auth_agent.testing import FakeServer
    from auth_agent.website.agent import Agent

# Every pytest of an environment loads this file, so it imports packages only when they are used.


@pytest.fixture
def auth_agent_server() -> Iterator[FakeServer]:
    """Returns a `FakeServer` that answers in this process, for websites with its `settings()`."""
    from auth_agent.testing import FakeServer  # noqa: PLC0415

    with FakeServer().in_process() as server:
        yield server


@pytest.fixture
def auth_agent_agent() -> Agent:
    """Returns an agent; `make_agent(…)` makes others."""
    from auth_agent.testing import make_agent  # noqa: PLC0415

    return make_agent()


@pytest.fixture
def auth_agent_sign_in() -> Callable[..., Any]:
    """Signs an agent in: `agent = auth_agent_sign_in(client, scopes=["reports:read"])`.

    For an asynchronous client it has to be awaited.
    """
    from auth_agent.testing import make_agent, sign_in  # noqa: PLC0415

    def signed_in(client: Any, agent: Agent | None = None, **fields: Any) -> Any:
        """Returns the agent."""
        who = make_agent(**fields) if agent is None else agent
        waiting = sign_in(client, who)
        return who if waiting is None else _after(waiting, who)

    return signed_in


async def _after(waiting: Any, agent: Agent) -> Agent:
    await waiting
    return agent
