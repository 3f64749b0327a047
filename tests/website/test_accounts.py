"""An agent finds its owner's account by an e-mail that is verified on both sides, or not at all."""

from __future__ import annotations

import pytest

from auth_agent.website.agent import Agent
from auth_agent.website.policy.accounts import may_link


def agent(email, verified=True):
    return Agent(
        id="agent_7",
        issuer="https://auth.example",
        client_id="client_1",
        authenticated_at=0,
        expires_at=1,
        email=email,
        email_verified=verified,
    )


@pytest.mark.parametrize("email", ["ann@example.com", "Ann@Example.COM", "jörg@example.com"])
def test_the_same_verified_address_links(email):
    assert may_link(agent(email), email, True)
    assert may_link(agent(email.lower()), email, True)


@pytest.mark.parametrize(("agent_side", "account_side"), [(False, True), (True, False)])
def test_an_address_unverified_on_either_side_does_not(agent_side, account_side):
    assert not may_link(agent("ann@example.com", agent_side), "ann@example.com", account_side)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("ann@example.com", "ann@example.org"),
        ("ann@example.com", " ann@example.com"),
        ("ann+x@example.com", "ann@example.com"),
        ("mi\N{KELVIN SIGN}e@example.com", "mike@example.com"),
        ("stra\N{LATIN SMALL LETTER SHARP S}e@example.com", "strasse@example.com"),
        ("m\N{LATIN SMALL LETTER DOTLESS I}ke@example.com", "mike@example.com"),
        ("JÖRG@example.com", "jörg@example.com"),
    ],
)
def test_an_address_that_only_looks_the_same_does_not(ours, theirs):
    assert not may_link(agent(ours), theirs, True)
    assert not may_link(agent(theirs), ours, True)


@pytest.mark.parametrize("email", [None, ""])
def test_no_address_never_does(email):
    assert not may_link(agent(email), email or "", True)


@pytest.mark.parametrize("truthy", ["false", "no", 1, "0"])
def test_only_true_is_verified(truthy):
    """Keeps a database column that holds text from verifying an address by accident."""
    assert not may_link(agent("ann@example.com"), "ann@example.com", truthy)
