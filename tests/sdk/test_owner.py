"""A sign-in that waits for the agent's owner, against the real server in both colours."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select

from auth_agent import AuthError
from auth_agent.server.approval.state import Answered, withdraw_of_agent
from auth_agent.server.registry.agents import add_agent, change_agent
from auth_agent.server.sign_in.owner import approve_question, deny_question
from auth_agent.server.storage.tables.approvals import owner_question

OWNER = "ada@example.com"


@pytest.fixture
def options(world):
    """Returns the options of an agent whose owner is asked always."""
    now = int(time.time())
    agent = add_agent(world.database, OWNER, approval="always", now=now)
    yield world.options(agent_id=agent.agent_id, agent_secret=agent.agent_secret.reveal())
    with world.database.begin() as connection:
        withdraw_of_agent(connection, agent.agent_id, now)


def answering(world, answer):
    """Answers the question as soon as the SDK says that its owner is asked; keeps the steps."""
    steps = []

    def on_step(step):
        steps.append(step)
        if step.action == "owner_asked":
            with world.database.begin() as connection:
                asked = select(owner_question).where(owner_question.c.answer.is_(None))
                for question in connection.execute(asked).all():
                    answer(world.context, connection, question)

    return steps, on_step


def approve(context, connection, question):
    approve_question(context, connection, question, Answered(by=OWNER, how="mail"))


def deny(context, connection, question):
    deny_question(context, connection, question, OWNER)


def test_a_sign_in_tells_what_it_waits_for_and_goes_on(world, sign_in, options):
    steps, on_step = answering(world, approve)
    result = sign_in(options, f"{world.website}/me", on_step=on_step)
    assert result.again.json()["agent_id"] == options["agent_id"]
    (told,) = [step for step in steps if step.action == "owner_asked"]
    assert "10 minutes" in told.text
    actions = [step.action for step in steps]
    assert actions.index("agent_proved") < actions.index("owner_asked")
    assert actions.index("owner_asked") < actions.index("code_received")


def test_an_owner_who_says_no_ends_it(world, sign_in, options):
    _, on_step = answering(world, deny)
    with pytest.raises(AuthError, match="owner did not approve it") as caught:
        sign_in(options, f"{world.website}/me", on_step=on_step)
    assert caught.value.code == "access_denied"


def test_an_owner_who_does_not_answer_in_the_servers_time(world, sign_in, options):
    def later(_context, _connection, _question):
        world.ahead[0] += 601

    _, on_step = answering(world, later)
    try:
        with pytest.raises(AuthError, match="did not answer in time") as caught:
            sign_in(options, f"{world.website}/me", on_step=on_step)
    finally:
        world.ahead[0] = 0.0
    assert caught.value.code == "owner_silent"


def test_an_agent_that_nobody_has_confirmed(world, sign_in, options):
    change_agent(world.database, options["agent_id"], int(time.time()), email="new@example.com")
    with pytest.raises(AuthError, match="has not confirmed") as caught:
        sign_in(options, f"{world.website}/me")
    assert caught.value.code == "owner_unavailable"
