"""Full account, contextual profile, fresh profile: the example sites on a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from examples import accounts, fastapi_accounts, flask_accounts
from sqlalchemy import select

from tests.adapters.conftest import Visitor
from tests.adapters.network import free_port, serve_asgi, serve_wsgi
from tests.services import website_environ

JSON = {"Accept": "application/json"}
SITES = {"flask": (flask_accounts, serve_wsgi), "fastapi": (fastapi_accounts, serve_asgi)}


@pytest.fixture(params=SITES)
def open_site(request, provider, monkeypatch, tmp_path):
    """Starts the site in a scenario, with Ann (who verified her e-mail) and Bob (who did not)."""
    example, serve = SITES[request.param]
    with ExitStack() as running:

        def start(scenario):
            port = free_port()
            base_url = f"http://127.0.0.1:{port}"
            environ = {
                **website_environ(provider, base_url),
                "SHOP_SCENARIO": scenario,
                "SHOP_DATABASE": f"sqlite:///{tmp_path}/shop.db",
            }
            for name, value in environ.items():
                monkeypatch.setenv(name, value)
            sessions = accounts.open_database(environ["SHOP_DATABASE"])
            with sessions.begin() as db:
                db.add(accounts.Account(name="Ann", email="Ann@example.com", email_verified=True))
                db.add(accounts.Account(name="Bob", email="bob@example.com", email_verified=False))
            running.enter_context(serve(example.create_app(), port))
            site = Site(base_url, provider, sessions)
            running.callback(site.close)
            return site

        yield start


class Site:
    """Agents that come to the site, each with a browser of its own."""

    def __init__(self, base_url, provider, sessions):
        self.base_url, self.provider, self.sessions = base_url, provider, sessions
        self.visitors = []

    def sign_in(self, sub, email, verified=True):
        """Returns the callback's answer, and then the account page's."""
        visitor = Visitor(self.base_url, self.provider, "")
        self.visitors.append(visitor)
        agent = {"sub": sub, "name": sub.title(), "email": email, "email_verified": verified}
        callback = self.provider.approve(visitor.begin("/account"), agent=agent)
        back = visitor.get(callback, headers=JSON)
        return back, visitor.get("/account", headers=JSON)

    def account(self, *arguments):
        back, account = self.sign_in(*arguments)
        assert (back.status_code, account.status_code) == (303, 200), back.text
        return account.json()

    def change(self, act):
        with self.sessions.begin() as db:
            act(db)

    def close(self):
        for visitor in self.visitors:
            visitor.close()


def test_full_account_is_the_owners_own(open_site):
    site = open_site("full_account")
    first = site.account("robot", "ann@EXAMPLE.com")
    assert first == {"acts_as": "Ann", "account": 1}
    assert site.account("second robot", "ann@example.com") == first


STRANGERS = {
    "unverified by the agent": ("ann@example.com", False),
    "unverified by the site": ("bob@example.com", True),
    "of nobody here": ("carl@example.com", True),
    "missing": (None, True),
}


def test_an_unverified_email_never_finds_an_account(open_site):
    site = open_site("full_account")
    for who, (email, verified) in STRANGERS.items():
        back, account = site.sign_in(who, email, verified)
        assert (back.status_code, back.json()["error"]) == (403, "no_account"), who
        assert account.status_code == 401, who
    with site.sessions() as db:
        assert db.scalars(select(accounts.AgentProfile)).all() == []


def test_an_agent_is_known_by_issuer_and_id_not_by_its_email(open_site):
    """Keeps the link if the owner's address changes, and gives none to a newcomer with it."""
    site = open_site("full_account")
    site.account("robot", "ann@example.com")
    site.change(lambda db: setattr(db.get_one(accounts.Account, 1), "email", "ann@new.example"))
    assert site.account("robot", "ann@example.com") == {"acts_as": "Ann", "account": 1}
    back, _ = site.sign_in("another", "ann@example.com")
    assert back.json()["error"] == "no_account"


def test_the_same_id_at_another_issuer_is_somebody_else(open_site):
    site = open_site("contextual_profile")

    def move(db):
        db.scalars(select(accounts.AgentProfile)).one().issuer = "https://other.example"

    assert site.account("robot", "ann@example.com")["profile"] == 1
    site.change(move)
    assert site.account("robot", "ann@example.com")["profile"] == 2


def test_contextual_profile_is_the_agents_and_knows_the_owner(open_site):
    site = open_site("contextual_profile")
    known = {"acts_as": "Robot", "profile": 1, "owner": "Ann"}
    assert site.account("robot", "ann@example.com") == known
    assert site.account("robot", "ann@example.com") == known
    stranger = site.account("stranger", "bob@example.com")
    assert stranger == {"acts_as": "Stranger", "profile": 2, "owner": None}


def test_fresh_profile_asks_for_no_email_and_leads_to_nobody(open_site):
    site = open_site("fresh_profile")
    assert site.account("robot", "ann@example.com") == {
        "acts_as": "Robot",
        "profile": 1,
        "owner": None,
    }
    visitor = site.visitors[0]
    assert "scope=openid+profile&" in visitor.begin() + "&"


def test_a_blocked_agent_stays_outside(open_site):
    site = open_site("fresh_profile")
    site.account("robot", None)
    site.change(lambda db: setattr(db.get_one(accounts.AgentProfile, 1), "blocked", True))
    back, account = site.sign_in("robot", None)
    assert (back.json()["error"], account.status_code) == ("agent_blocked", 401)


def test_an_agent_that_signs_in_ten_times_at_once_has_one_profile(open_site):
    site = open_site("contextual_profile")
    with ThreadPoolExecutor(10) as pool:
        seen = list(pool.map(lambda _: site.account("robot", "ann@example.com"), range(10)))
    assert {profile["profile"] for profile in seen} == {1}
