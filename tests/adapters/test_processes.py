"""Several processes of one website: the same sessions, with nothing installed and with Redis."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx2
import pytest

from tests.adapters.conftest import Visitor
from tests.services import free_port, redis_server, wait_for_port

SITE = """
import os
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route
from auth_agent_starlette import AuthAgentMiddleware, requires_agent

@requires_agent
async def me(request):
    return JSONResponse({"agent_id": request.state.agent.id, "process": os.getpid()})

app = Starlette(routes=[Route("/me", me)], middleware=[Middleware(AuthAgentMiddleware)])
"""


@pytest.fixture
def two_workers(tmp_path, provider):
    """Starts a website of two worker processes, configured by its environment alone."""
    (tmp_path / "site_of_two.py").write_text(SITE)
    running = []

    def start(**environ):
        port = free_port()
        base_url = f"http://127.0.0.1:{port}"
        variables = {
            "ISSUER": provider.issuer,
            "CLIENT_ID": provider.client_id,
            "CLIENT_SECRET": provider.client_secret,
            "SECRET": "a secret of the website that is long enough",
            "BASE_URL": base_url,
            **environ,
        }
        env = {f"AUTH_AGENT_{name}": value for name, value in variables.items()}
        command = [sys.executable, "-m", "uvicorn", "site_of_two:app", "--workers", "2",
                   "--port", str(port), "--log-level", "error"]  # fmt: skip
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **env})
        running.append(process)
        wait_for_port(port, process)
        return base_url

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def redis_url():
    with redis_server() as url:
        yield url


@pytest.mark.parametrize("kept_in", ["cookie", "redis"])
def test_share_their_sessions(two_workers, provider, redis_url, kept_in):
    store = redis_url if kept_in == "redis" else "cookie"
    base_url = two_workers(SESSION_STORE=store)
    with Visitor(base_url, provider, "starlette") as agent:
        assert agent.sign_in().status_code == 303
        cookie = "; ".join(f"{c.name}={c.value}" for c in agent.cookies.jar)
        processes = set()
        for _ in range(100):  # a new connection each time, until both have answered
            answer = httpx2.get(f"{base_url}/me", headers={"cookie": cookie})
            assert answer.json()["agent_id"] == "agent_7"
            processes.add(answer.json()["process"])
            if len(processes) == 2:
                break
        assert len(processes) == 2
        agent.post("/auth-agent/logout")
        if kept_in == "redis":
            for _ in range(20):
                assert httpx2.get(f"{base_url}/me", headers={"cookie": cookie}).status_code == 401


def test_a_login_begun_at_one_may_end_at_the_other(two_workers, provider):
    base_url = two_workers()
    for _ in range(12):
        with Visitor(base_url, provider, "starlette") as agent:
            assert agent.sign_in().status_code == 303
