"""An account id is only read as one of the accounts that it came from."""

from __future__ import annotations

import functools

import pytest

from auth_agent import RelyingParty
from auth_agent.testing import test_settings
from auth_agent.website.config.site import name_of
from tests.website.browser import Browser


def users(agent):
    return 1


def profiles(agent):
    return 1


def no_account(agent):
    return None


def in_transaction(hook, agent):
    return hook(agent)


@pytest.fixture
def visit(clock, server):
    """Opens a browser at a website with this hook; all of them share their settings."""
    settings = test_settings(base_url="https://shop.example")

    def visit(cookies=None, **hooks):
        found = Browser(RelyingParty(settings, clock=clock, **hooks), server)
        found.cookies = dict(cookies or {})
        return found

    return visit


def signed_in(browser):
    browser.sign_in()
    assert browser.agent is not None
    return browser.cookies


def test_another_hook_does_not_accept_the_session(visit):
    cookies = signed_in(visit(on_sign_in=users))
    assert visit(cookies, on_sign_in=users).agent.account_id == "1"
    assert visit(cookies, on_sign_in=profiles).agent is None
    assert visit(cookies).agent is None


def test_a_hook_in_a_partial_is_named_by_what_it_holds(visit):
    cookies = signed_in(visit(on_sign_in=functools.partial(in_transaction, users)))
    again = functools.partial(in_transaction, users)
    assert visit(cookies, on_sign_in=again).agent.account_id == "1"
    other = functools.partial(in_transaction, profiles)
    assert visit(cookies, on_sign_in=other).agent is None


def test_a_name_that_is_given_counts_alone(visit):
    cookies = signed_in(visit(on_sign_in=users, accounts="people"))
    assert visit(cookies, on_sign_in=profiles, accounts="people").agent.account_id == "1"
    assert visit(cookies, on_sign_in=users, accounts="agents").agent is None
    assert visit(cookies, on_sign_in=users).agent is None


def test_a_session_without_an_account_is_everybodys(visit):
    cookies = signed_in(visit(on_sign_in=no_account))
    for hooks in ({}, {"on_sign_in": users}, {"on_sign_in": profiles, "accounts": "x"}):
        agent = visit(cookies, **hooks).agent
        assert (agent.id, agent.account_id) == ("agent_7", None)


def test_the_name_survives_decoration_and_is_the_same_in_every_process():
    @functools.wraps(users)
    def wrapped(agent):
        return users(agent)

    assert name_of(wrapped) == name_of(users) == f"{__name__}.users"
    assert name_of(functools.partial(in_transaction, "a")) == f"{__name__}.in_transaction(a)"
    assert " at 0x" not in name_of(functools.partial(in_transaction, object()))
