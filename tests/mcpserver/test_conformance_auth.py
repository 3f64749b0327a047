"""The official conformance suite for authorization servers, and for clients that need a token.

| scenario | |
|---|---|
| authorization-server-metadata-endpoint, authorization-code-grant | our server |
| auth/client-credentials-basic, -jwt | `sdk.mcp_auth()` with a secret, with a key |
| auth/resource-mismatch | `sdk.mcp_auth()` asks for no token for another API |
| auth/metadata-*, iss-*, scope-*, token-endpoint-auth-*, basic-cimd, pre-registration, dpop* | no |
| auth/enterprise-*, wif-*, 2025-03-26-* | other grants and an older revision: not offered |

The fourth row drives the authorization code grant inside the client. An agent asks its own, pinned
server with its own credentials, reads no other server's metadata and follows no browser; standard
clients that do are run against our server in `test_standard_clients.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from auth_agent.server.registry.clients import add_client
from tests.mcpserver.test_conformance import suite  # noqa: F401  (a fixture)
from tests.services import free_port
from tests.world import serve_auth_server

ROOT = Path(__file__).parents[2]
REQUEST_ID = re.compile(r"request_id:\s*'([^']+)'")


def approve(server, url):
    """Approves as the agent, then sends the browser back to the suite."""
    with httpx2.Client() as browser:
        found = REQUEST_ID.search(browser.get(url).text)
        body = {
            "request_id": found[1],
            "agent_id": server.agent_id,
            "agent_secret": server.agent_secret,
            "model": "m",
        }
        proved = browser.post(f"{server.issuer}/api/agent/authenticate", json=body)
        assert proved.status_code == 200, proved.text
        on = f"{server.issuer}/authorize/continue?request_id={found[1]}"
        browser.get(browser.get(on).headers["location"])


def test_our_authorization_server(suite, tmp_path):  # noqa: F811
    node, entry, *_ = suite
    port = free_port()
    with serve_auth_server(tmp_path) as server:
        back = [f"http://127.0.0.1:{port}/callback"]
        client = add_client(server.database, "Suite", back, public=True, now=int(time.time()))
        command = [node, entry, "authorization", "--url", server.issuer]
        command += ["--client-id", client.client_id, "-p", str(port)]
        said = []
        with subprocess.Popen(
            command, cwd=tmp_path, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as program:  # fmt: skip
            limit = threading.Timer(120, program.kill)
            limit.start()
            for line in program.stdout:
                said.append(line)
                if line.startswith(f"{server.issuer}/authorize?"):
                    approve(server, line.strip())
            limit.cancel()
    text = "".join(said)
    assert "authorization-code-grant: 1 passed, 0 failed" in text, text[-3_000:]
    assert "authorization-server-metadata-endpoint: 2 passed, 0 failed" in text


@pytest.mark.parametrize(
    ("scenario", "is_let_in"),
    [
        ("auth/client-credentials-basic", True),
        ("auth/client-credentials-jwt", True),
        ("auth/resource-mismatch", False),
    ],
)
def test_an_agent_as_a_client(suite, scenario, is_let_in, tmp_path):  # noqa: F811
    node, entry, *_ = suite
    program = f"{sys.executable} {ROOT / 'tests/mcpserver/conformance_client.py'}"
    ran = subprocess.run(
        [node, entry, "client", "--command", program, "--scenario", scenario],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    text = ran.stdout + ran.stderr
    assert "OVERALL: PASSED" in text, text[-3_000:]
    assert ("Client exited with code 1" in text) is not is_let_in
