"""Rules and the memory of sessions, without a server."""

from __future__ import annotations

import pytest

from auth_agent import Requirement
from auth_agent.testing import make_agent
from auth_agent.website.mcp.door import together
from auth_agent.website.mcp.message import Target
from auth_agent.website.mcp.routing import read_routing
from auth_agent.website.mcp.rules import Rules
from auth_agent.website.mcp.sessions import REMEMBERED, SessionOwners

WRITE, READ = Requirement(scopes="write"), Requirement(scopes="read", models="claude-*")


def test_every_pattern_that_matches_must_hold():
    rules = Rules(tools={"delete_*": WRITE, "*_invoice": READ})
    found = list(rules.requirements([Target("tools", "delete_invoice")]))
    assert found == [Requirement(), WRITE, READ]
    assert list(rules.requirements([Target("tools", "DELETE_x")])) == [Requirement()]
    assert list(rules.requirements([Target("prompts", "delete_x")])) == [Requirement()]
    long = Target("tools", "delete_" + "x" * 10_000)
    assert WRITE in list(rules.requirements([long]))


def test_a_challenge_names_the_scopes_of_all_of_them():
    first, *others = together((Requirement(), WRITE, READ))
    assert first == Requirement(scopes=("write", "read"))
    assert READ in others


@pytest.mark.parametrize("wrong", [{"a": ["write"]}, {"a": "write"}, {1: WRITE}, {"a": None}])
def test_what_is_no_requirement_is_refused_at_the_start(wrong):
    with pytest.raises(TypeError, match="tools takes patterns"):
        Rules(tools=wrong)


def test_sessions_are_bounded_and_never_change_hands():
    owners, first, second = SessionOwners(), make_agent(id="agent_1"), make_agent(id="agent_2")
    owners.open("s", first)
    owners.open("s", second)
    assert owners.belongs("s", first)
    assert not owners.belongs("s", second)
    assert not owners.belongs("s", make_agent(id="agent_1", issuer="https://other.example"))
    assert not owners.belongs("unknown", first)
    assert not owners.belongs("unknown", None)
    for number in range(REMEMBERED):
        owners.open(f"s{number}", second)
    assert not owners.belongs("s", first), "the oldest is forgotten, and then belongs to nobody"
    owners.open("x" * 1_000, first)
    assert not owners.belongs("x" * 1_000, first)


def test_blanks_around_a_header_do_not_count():
    routing = read_routing([(b"mcp-method", b" tools/call\t"), (b"Mcp-Name", b" a ")])
    assert routing.targets == (Target("tools", "a"),)
