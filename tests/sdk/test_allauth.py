"""An agent at a website with django-allauth as it comes, and our server as its provider."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from auth_agent import AuthError
from auth_agent.server.registry.clients import add_client, change_client
from tests.adapters.network import free_port

PROVIDER = "/accounts/oidc/auth-agent/login/"


@pytest.fixture(scope="module")
def allauth(_world, tmp_path_factory):
    url = f"http://127.0.0.1:{free_port()}"
    callback = f"{url}{PROVIDER}callback/"
    client = add_client(_world.database, "Django", [callback], now=int(time.time()))
    database = tmp_path_factory.mktemp("allauth") / "db.sqlite3"
    words = [url.rpartition(":")[2], _world.issuer, client.client_id,
             client.client_secret.reveal(), str(database)]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "tests.sdk.allauth_site", *words],
                               cwd=Path(__file__).parents[2], env=os.environ)  # fmt: skip
    try:
        until = time.monotonic() + 60
        while True:
            try:
                httpx2.get(f"{url}/who", trust_env=False).raise_for_status()
                break
            except httpx2.TransportError:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
        yield url, client.client_id
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("path", [PROVIDER, "/accounts/login/"])
def test_its_form_is_sent_on_demand(world, sign_in, allauth, path):
    url, _ = allauth
    with pytest.raises(AuthError, match="follow_form") as caught:
        sign_in(world.options(), f"{url}{path}")
    assert caught.value.code == "not_a_sign_in"
    result = sign_in(world.options(), f"{url}{path}", follow_form=True)
    # It leads to a page that is not there, and has signed the agent in all the same.
    assert result.response.status_code == 404
    assert result.url == f"{url}/nothing-here"
    assert "404" in result.steps[-1].text


def test_its_refusal_is_told_with_the_servers_own_words(world, sign_in, allauth):
    url, client_id = allauth
    now = int(time.time())
    assert change_client(world.database, client_id, now, scopes=["orders:read"])
    try:
        with pytest.raises(AuthError) as caught:
            sign_in(world.options(), f"{url}{PROVIDER}", follow_form=True)
    finally:
        change_client(world.database, client_id, now, scopes=["openid", "profile", "email"])
    text = caught.value.description
    assert text.index("invalid_scope") < text.index("Third-Party Login Failure")
