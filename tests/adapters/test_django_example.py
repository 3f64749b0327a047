"""The example site in Django: a database, a real server, and an agent in each scenario."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from auth_agent.sdk import AgentSDK
from tests.world import MODEL, run_site, serve_auth_server

SITE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def auth_server(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("django")) as server:
        yield server


@pytest.fixture(scope="module")
def tables(auth_server, tmp_path_factory):
    database = tmp_path_factory.mktemp("shop") / "shop.db"
    manage({**auth_server.register(SITE), "SHOP_DATABASE": str(database)}, "migrate")
    return database


@pytest.fixture
def shop(auth_server, tables, tmp_path):
    """Sets the environment of a shop whose one customer has the agent's e-mail address."""

    def prepare(*seed, **environ):
        environ["SHOP_DATABASE"] = str(shutil.copy(tables, tmp_path))
        settings = {**auth_server.register(SITE), **environ}
        manage(settings, "seed", "ann", "owner@example.com", *seed)
        return environ

    return prepare


def manage(environ, *command):
    return subprocess.run(
        [sys.executable, "-m", "examples.django_site.manage", *command],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def account(auth_server, environ):
    target = "examples.django_site.asgi:application"
    sdk = AgentSDK(
        agent_id=auth_server.agent_id,
        agent_secret=auth_server.agent_secret,
        model=MODEL,
        server_url=auth_server.issuer,
    )
    with (
        run_site(auth_server, target, "uvicorn", **environ) as site,
        sdk.sign_in(f"{site}/account") as visit,
    ):
        return visit.client.get(f"{site}/account").json()


def test_full_account_the_agent_sees_its_owners_orders(auth_server, shop):
    found = account(auth_server, shop(SHOP_ACCOUNTS="full"))
    assert found == {"acts_for": "ann", "owner": "ann", "orders": ["Lamp"]}


def test_full_account_an_unverified_address_finds_none(auth_server, shop):
    found = account(auth_server, shop("--unverified", SHOP_ACCOUNTS="full"))
    assert found == {"acts_for": None, "owner": None, "orders": []}


def test_contextual_the_agent_has_its_own_orders_and_an_owner(auth_server, shop):
    found = account(auth_server, shop(SHOP_ACCOUNTS="contextual"))
    assert found == {"acts_for": auth_server.agent_id, "owner": "ann", "orders": []}


def test_fresh_the_agent_stands_alone(auth_server, shop):
    environ = shop(SHOP_ACCOUNTS="fresh", AUTH_AGENT_SCOPE="openid profile")
    found = account(auth_server, environ)
    assert found == {"acts_for": auth_server.agent_id, "owner": None, "orders": []}


def test_the_site_checks_clean_and_its_migrations_are_complete(auth_server):
    environ = {**auth_server.register(SITE), "SHOP_ACCOUNTS": "full"}
    manage(environ, "check", "--fail-level", "WARNING")
    manage(environ, "makemigrations", "--check", "--dry-run")
