"""The package that is published as auth-agent-sdk signs in at our server, unchanged.

It is somebody else's code: it is installed into a directory of this test, and runs in a process of
its own that has no secrets but those of this test. It refuses localhost and 127.0.0.1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.adapters.network import free_port
from tests.world import _wait_for as wait_for

PACKAGE = "auth-agent-sdk==0.0.3"
REDIRECT_URI = "http://127.0.0.1:9/callback"  # nobody has to be there
MAIN = "from auth_agent.cli import main; main()"
PLAY = """
import asyncio, json, sys
from auth_agent_sdk import AuthAgentClient, AuthAgentSDK

given = json.load(sys.stdin)

async def main():
    client = AuthAgentClient(given["client_id"], given["redirect_uri"], given["client_secret"],
                             auth_server_url=given["issuer"], scope="openid profile email")
    url, verifier, state = client.get_authorization_url()
    agent = AuthAgentSDK(given["agent_id"], given["agent_secret"], "gpt-4")
    status = await agent.complete_authentication_flow_async(url, poll_interval=0.05, timeout=20)
    tokens = await client.exchange_code_for_tokens(status["code"], verifier)
    found = await client.introspect_token(tokens["access_token"])
    print(json.dumps({"state": status["state"] == state, "status": status["status"],
                      "token_type": tokens["token_type"], "id_token": bool(tokens["id_token"]),
                      "found": found}))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Installs the package and its HTTP client, without the browser, which it does not need."""
    target = tmp_path_factory.mktemp("published")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
           "--target", str(target)]  # fmt: skip
    for words in (["--no-deps", PACKAGE], ["aiohttp>=3.8"]):
        done = subprocess.run(
            [*pip, *words], check=False, capture_output=True, text=True, timeout=240
        )
        if done.returncode != 0:
            pytest.skip(f"{words[-1]} cannot be installed: {done.stderr.strip()[-200:]}")
    return target


@contextmanager
def serving(database, *flags):
    """Starts our server by its own command line, on a loopback URL that the package accepts."""
    port = free_port()
    issuer = f"http://127.0.0.2:{port}"
    words = ["serve", "--host", "127.0.0.2", "--port", str(port), "--database", database, *flags]
    with subprocess.Popen([sys.executable, "-c", MAIN, *words], env=clean()) as server:
        try:
            wait_for(f"{issuer}/health", server)
            yield issuer
        finally:
            server.terminate()


def added(*words):
    """Returns the output of one of our commands."""
    made = subprocess.run(
        [sys.executable, "-c", MAIN, *words, "--json"], check=True, capture_output=True, env=clean()
    )
    return json.loads(made.stdout)


def clean():
    return {name: value for name, value in os.environ.items() if not name.startswith("AUTH_AGENT")}


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is only there on Linux")
def test_its_agent_and_its_client_complete_a_sign_in(installed, tmp_path):
    url = f"sqlite:///{tmp_path}/auth-agent.db"
    with serving(url, "--upstream-compat") as issuer:
        client = added("client", "add", "Shop", "--redirect-uri", REDIRECT_URI, "--database", url)
        agent = added("agent", "add", "ada@example.com", "--database", url)
        given = {"issuer": issuer, "redirect_uri": REDIRECT_URI, **client, **agent}
        played = subprocess.run(
            [sys.executable, "-c", PLAY],
            check=False,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env={**clean(), "PYTHONPATH": str(installed)},
        )
    assert played.returncode == 0, played.stderr
    said = json.loads(played.stdout)
    found = said.pop("found")
    assert said == {
        "state": True,
        "status": "authenticated",
        "token_type": "Bearer",
        "id_token": True,
    }
    assert (found["active"], found["sub"], found["model"]) == (True, agent["agent_id"], "gpt-4")
