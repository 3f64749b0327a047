"""What a decorator refuses when a view is defined, instead of at the first request."""

from __future__ import annotations

import msgspec
import pytest

from auth_agent import Requirement
from auth_agent.testing import make_agent
from auth_agent.website.policy.requirement import judge


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"scope": ["a"]}, "scope= is not a requirement: did you mean scopes="),
        ({"model": "claude-*"}, "did you mean models="),
        ({"colour": "red"}, "see the fields of Requirement"),
        ({"max_age": "60"}, "max_age must be a number of seconds"),
        ({"max_age": -1}, "max_age must be a number of seconds"),
        ({"max_age": True}, "max_age must be a number of seconds"),
        ({"max_age": 1.5}, "max_age must be a number of seconds"),
        ({"verified_email": "no"}, "verified_email must be True or False"),
        ({"verified_email": 1}, "verified_email must be True or False"),
        ({"scopes": None}, "scopes must be a list of text"),
        ({"scopes": [1]}, "scopes must be a list of text"),
        ({"scopes": b"a"}, "scopes must be a list of text"),
        ({"agents": 7}, "agents must be a list of text"),
        ({"permissions": [["a"]]}, "permissions must be a list of text"),
        ({"via": 1}, "via must be a list of text"),
        ({"via": ["cookie"]}, "via holds 'cookie'; choose from session, bearer, dpop, signature"),
        ({"via": "signatures"}, "via holds 'signatures'"),
    ],
)
def test_a_mistake_is_refused_at_once(fields, problem):
    with pytest.raises(TypeError, match=problem):
        Requirement.of(**fields)


@pytest.mark.parametrize("fields", [{"max_age": "60"}, {"verified_email": "no"}, {"models": [1]}])
def test_and_so_it_is_in_a_value(fields):
    with pytest.raises(TypeError):
        Requirement(**fields)


@pytest.mark.parametrize("scopes", ["a b", ["a", "b"], ("a", "b"), {"a": 1, "b": 2}])
def test_text_and_lists_become_tuples(scopes):
    assert Requirement.of(scopes=scopes).scopes == ("a", "b")


@pytest.mark.parametrize("door", ["session", "bearer", "dpop", "signature"])
def test_a_requirement_can_name_the_doors(door):
    agent = msgspec.structs.replace(make_agent(), via=door)
    for via, admitted in ((None, True), (door, True), ([door, "dpop"], True), ((), False)):
        refusal = judge(agent, Requirement.of(via=via), now=agent.authenticated_at)
        assert (refusal is None) is admitted
    other = "bearer" if door != "bearer" else "session"
    refusal = judge(agent, Requirement.of(via=other), now=agent.authenticated_at)
    assert (refusal.code, refusal.rule) == ("access_denied", "via")
    assert f"({other})" in refusal.description
    assert door in refusal.description


def _decorators():
    import auth_agent_django
    import auth_agent_flask
    import auth_agent_starlette
    from auth_agent_starlette.fastapi import agent_with

    yield auth_agent_django.requires_agent
    yield auth_agent_flask.requires_agent
    yield auth_agent_starlette.requires_agent
    yield agent_with


@pytest.mark.parametrize("decorator", [*_decorators()])
def test_every_decorator_says_so(decorator):
    with pytest.raises(TypeError, match="did you mean scopes="):
        decorator(scope=["a"])
    with pytest.raises(TypeError, match="max_age"):
        decorator(max_age="60")


@pytest.mark.parametrize(
    ("via", "way"),
    [
        ("session", "AUTH_AGENT_SCOPE"),
        ("signature", "AUTH_AGENT_SCOPE"),
        ("bearer", "sdk.session(url, scope=...)"),
        ("dpop", "sdk.session(url, scope=...)"),
    ],
)
def test_a_missing_scope_is_to_be_had_the_way_the_agent_came(via, way):
    agent = msgspec.structs.replace(make_agent(scopes=[]), via=via)
    assert way in judge(agent, Requirement(scopes=["orders:write"]), now=0).description
