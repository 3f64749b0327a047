"""Two worker processes on one SQLite file: every redemption happens once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from auth_agent.server import Database, registry
from tests.server.world import CHALLENGE, REDIRECT, UPSTREAM_PATTERN, VERIFIER


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('workers')}/auth-agent.db"
    database = Database.open(url)
    shop = registry.add_client(database, "Shop", [REDIRECT])
    agent = registry.add_agent(database, "ann@owner.example", model="m")
    database.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from auth_agent.cli import main; main()", "serve"]
    command += ["--database", url]
    command += ["--port", str(port), "--workers", "2"]
    root = Path(__file__).parents[2]
    server = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(base)
        yield {"base": base, "shop": shop, "agent": agent, "pid": server.pid}
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)


def _wait_for(base: str) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            httpx2.get(base + "/health")
        except httpx2.TransportError:
            assert time.monotonic() < end
            os.sched_yield()
        else:
            return


def _sign_in(site: dict[str, Any]) -> str:
    shop, agent = site["shop"], site["agent"]
    with httpx2.Client(base_url=site["base"]) as browser:
        params = {
            "client_id": shop.client_id,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": "openid",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        found = UPSTREAM_PATTERN.search(browser.get("/authorize", params=params).text)
        assert found
        body = {
            "request_id": found[1],
            "agent_id": agent.agent_id,
            "agent_secret": agent.agent_secret.reveal(),
        }
        assert browser.post("/api/agent/authenticate", json=body).status_code == 200
        told = browser.get("/api/check-status", params={"request_id": found[1]}).json()
        return str(told["code"])


def _fifty_at_once(site: dict[str, Any], form: dict[str, str]) -> list[httpx2.Response]:
    auth = (site["shop"].client_id, site["shop"].client_secret.reveal())

    def once(_: int) -> httpx2.Response:
        return httpx2.post(site["base"] + "/token", data=form, auth=auth, timeout=60)

    with ThreadPoolExecutor(50) as pool:
        return list(pool.map(once, range(50)))


def _one_won(answers: list[httpx2.Response]) -> httpx2.Response:
    won = [answer for answer in answers if answer.status_code == 200]
    lost = [answer for answer in answers if answer.status_code == 400]
    assert (len(won), len(lost)) == (1, 49), [answer.status_code for answer in answers]
    assert {answer.json()["error"] for answer in lost} == {"invalid_grant"}
    return won[0]


def test_fifty_redemptions_and_fifty_refreshes_have_one_winner_each(site: dict[str, Any]) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT}
    form |= {"code": _sign_in(site), "code_verifier": VERIFIER}
    _one_won(_fifty_at_once(site, form))
    auth = (site["shop"].client_id, site["shop"].client_secret.reveal())
    form["code"] = _sign_in(site)
    tokens = httpx2.post(site["base"] + "/token", data=form, auth=auth).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    winner = _one_won(_fifty_at_once(site, refresh)).json()
    # The forty-nine others were reuse, which ends the family.
    refresh["refresh_token"] = winner["refresh_token"]
    assert httpx2.post(site["base"] + "/token", data=refresh, auth=auth).status_code == 400


def test_the_server_does_not_name_itself(site: dict[str, Any]) -> None:
    assert "server" not in httpx2.get(site["base"] + "/health").headers
