"""Two workers on one database: every redemption happens once, and kill -9 loses nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from auth_agent.server import Database
from auth_agent.server.registry import agents, clients
from tests.server.conftest import NewDatabase
from tests.server.world import CHALLENGE, NOW, REDIRECT, UPSTREAM_PATTERN, VERIFIER

ROOT = Path(__file__).parents[3]
FORM = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER}


@contextmanager
def _serving(url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "from auth_agent.cli import main; main()", "serve"]
    command += ["--database", url, "--port", str(port), "--workers", "2"]
    environ = {**os.environ, "AUTH_AGENT_SERVER_SECRET": "s" * 32}
    # A group of its own, so that the workers can be killed together with their parent.
    server = subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True)
    try:
        _wait_for(f"http://127.0.0.1:{port}", server)
        yield server
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) in (0, -signal.SIGTERM)


def _wait_for(base: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            httpx2.get(base + "/health")
        except httpx2.TransportError:
            assert server.poll() is None, "the server ended at once"
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


def _site(url: str) -> dict[str, Any]:
    database = Database.open(url)
    shop = clients.add_client(
        database, "Shop", [REDIRECT, "https://plain.example/callback"], now=NOW
    )
    agent = agents.add_agent(database, "ann@owner.example", model="m", now=NOW)
    database.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert shop.client_secret
    auth = (shop.client_id, shop.client_secret.reveal())
    base = f"http://127.0.0.1:{port}"
    return {"base": base, "port": port, "url": url, "agent": agent, "auth": auth}


@pytest.fixture(scope="module")
def site(copies: NewDatabase) -> Iterator[dict[str, Any]]:
    made = _site(copies())
    with _serving(made["url"], made["port"]):
        yield made


def _sign_in(site: dict[str, Any], browser: httpx2.Client | None = None) -> str:
    """Returns a new code."""
    if browser is None:
        with httpx2.Client(base_url=site["base"]) as own:
            return _sign_in(site, own)
    params = {
        "client_id": site["auth"][0],
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
        "agent_id": site["agent"].agent_id,
        "agent_secret": site["agent"].agent_secret.reveal(),
    }
    assert browser.post("/api/agent/authenticate", json=body).status_code == 200
    told = browser.get("/api/check-status", params={"request_id": found[1]}).json()
    return str(told["code"])


def _at_once(site: dict[str, Any], forms: list[dict[str, str]]) -> list[httpx2.Response]:
    def once(form: dict[str, str]) -> httpx2.Response:
        return browser.post("/token", data=form, auth=site["auth"])

    with (
        httpx2.Client(base_url=site["base"], timeout=60) as browser,
        ThreadPoolExecutor(50) as pool,
    ):
        return list(pool.map(once, forms))


def _one_won(answers: list[httpx2.Response]) -> httpx2.Response:
    won = [answer for answer in answers if answer.status_code == 200]
    lost = [answer for answer in answers if answer.status_code == 400]
    assert (len(won), len(lost)) == (1, 49), [answer.status_code for answer in answers]
    assert {answer.json()["error"] for answer in lost} == {"invalid_grant"}
    return won[0]


def test_fifty_redemptions_and_fifty_refreshes_have_one_winner_each(site: dict[str, Any]) -> None:
    _one_won(_at_once(site, [{**FORM, "code": _sign_in(site)}] * 50))
    (tokens,) = _at_once(site, [{**FORM, "code": _sign_in(site)}])
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens.json()["refresh_token"]}
    winner = _one_won(_at_once(site, [refresh] * 50)).json()
    # The forty-nine others were reuse, which ends the family.
    (last,) = _at_once(site, [{**refresh, "refresh_token": winner["refresh_token"]}])
    assert last.status_code == 400


def test_the_server_does_not_name_itself(site: dict[str, Any]) -> None:
    assert "server" not in httpx2.get(site["base"] + "/health").headers


def _flows_until_it_dies(site: dict[str, Any], seen: dict[str, Any], count: int) -> None:
    """Signs in again and again; what the server has acknowledged is noted at once."""
    with httpx2.Client(base_url=site["base"], timeout=20) as browser:
        for _ in range(count):
            try:
                code = _sign_in(site, browser)
                answer = browser.post("/token", data={**FORM, "code": code}, auth=site["auth"])
            except httpx2.TransportError:
                return
            assert answer.status_code == 200, answer.text
            seen[code] = answer.json()


def test_kill_9_in_the_middle_of_200_flows_loses_nothing(copies: NewDatabase) -> None:
    site, seen = _site(copies()), dict[str, Any]()
    with _serving(site["url"], site["port"]) as server:
        threads = [
            threading.Thread(target=_flows_until_it_dies, args=(site, seen, 25)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 120
        while len(seen) < 60:
            assert time.monotonic() < end
            time.sleep(0.01)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        for thread in threads:
            thread.join()
    assert 60 <= len(seen) < 200
    with _serving(site["url"], site["port"]):
        with httpx2.Client(base_url=site["base"]) as browser:
            for tokens in seen.values():
                form = {"token": tokens["access_token"]}
                told = browser.post("/introspect", data=form, auth=site["auth"]).json()
                assert told["active"] is True
        half = len(seen) // 2
        refreshed = _at_once(
            site,
            [
                {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
                for tokens in list(seen.values())[:half]
            ],
        )
        assert {answer.status_code for answer in refreshed} == {200}
        replayed = _at_once(site, [{**FORM, "code": code} for code in list(seen)[half:]])
        assert {answer.status_code for answer in replayed} == {400}
