"""Every stack under its usual servers, two workers each, configured alike, and a real agent."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest

from auth_agent.sdk import AgentSDK
from tests.adapters.conftest import TLS
from tests.services import free_port
from tests.world import MODEL, run_process, serve_auth_server

JSON = {"Accept": "application/json"}
SERVERS = {
    "uvicorn with workers": ("asgi", "starlette", "fastapi", "django_asgi"),
    "hypercorn": ("asgi", "starlette", "fastapi", "django_asgi"),
    "gunicorn": ("wsgi", "flask", "django_wsgi"),
    "waitress": ("flask",),
}
ROWS = [(server, stack) for server, stacks in SERVERS.items() for stack in stacks]


@pytest.fixture(scope="module")
def auth_server(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("servers")) as server:
        yield server


@pytest.fixture(params=ROWS, ids=lambda row: f"{row[1]}-{row[0].partition(' ')[0]}")
def addresses(request, auth_server):
    """Returns the URLs of a site's two workers, the site's own first."""
    server, stack = request.param
    ports = [free_port() for _ in range(2 if server == "waitress" else 1)]  # it has no workers
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    environ = auth_server.register(addresses[0])
    with ExitStack() as running:
        for port in ports:
            target = f"tests.adapters.workers:{stack}"
            running.enter_context(run_process(target, server, port, environ))
        yield addresses


def test_an_agent_signs_in_acts_and_signs_out(auth_server, addresses):
    site = addresses[0]
    with sign_in(auth_server, site) as visit:
        cookies = dict(visit.client.cookies)
        assert ask(site, "/me", cookies).json() == {
            "agent_id": auth_server.agent_id,
            "issuer": auth_server.issuer,
            "model": MODEL,
            "email": "owner@example.com",
            "scopes": ["openid", "profile", "email", "refunds:write"],
            "via": "session",
        }
        assert len(meet_workers(addresses, cookies)) == 2
        assert ask(site, "/private/report", cookies).json() == {"report": "42 orders this week"}
        assert "May be refunded" in ask(site, "/refunds", cookies).text
        assert ask(site, "/reports", cookies).status_code == 403
        assert ask(site, "/private/report", {}).status_code == 401
        closed = ask(site, "/private/a%2Fb%2525", {}).json()["login_url"]
        assert closed.endswith("?next=/private/a%252Fb%252525"), "exactly what was asked for"
        assert ask(site, "/x/%2e%2e/private/report", {}).status_code == 401

        out = visit.client.post(f"{site}/auth-agent/logout", follow_redirects=False)
        assert (out.status_code, out.headers["location"]) == (303, "/")
        assert visit.client.get(f"{site}/me", headers=JSON).status_code == 401


def sign_in(auth_server, site):
    """Returns an HTTP client with the cookies that the website gave to the agent."""
    sdk = AgentSDK(
        agent_id=auth_server.agent_id,
        agent_secret=auth_server.agent_secret,
        model=MODEL,
        server_url=auth_server.issuer,
    )
    return sdk.sign_in(f"{site}/me")


def ask(site, path, cookies):
    return httpx2.get(f"{site}{path}", headers=JSON, cookies=cookies, verify=TLS)


def meet_workers(addresses, cookies):
    """Asks at once, on fresh connections, until two workers have known the agent."""
    seen = set()
    deadline = time.monotonic() + 120
    with ThreadPoolExecutor(8) as pool:
        while len(seen) < 2 and time.monotonic() < deadline:
            sites = addresses * (8 // len(addresses))
            for answer in pool.map(lambda site: ask(site, "/me", cookies), sites):
                assert answer.status_code == 200, answer.text
                seen.add(answer.headers["x-worker"])
    return seen
