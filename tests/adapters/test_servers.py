"""Each example site under its usual server, two workers where it has workers, and a real agent."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from auth_agent.sdk import AgentSDK
from tests.world import MODEL, run_site, serve_auth_server

JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def auth_server(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("servers")) as server:
        yield server


def sign_in(auth_server, site):
    """An HTTP client with the cookies that the website gave to the agent."""
    sdk = AgentSDK(
        agent_id=auth_server.agent_id,
        agent_secret=auth_server.agent_secret,
        model=MODEL,
        server_url=auth_server.issuer,
    )
    return sdk.sign_in(f"{site}/me")


@pytest.mark.parametrize(
    ("target", "server", "workers"),
    [
        ("tests.adapters.workers:flask", "gunicorn", 2),
        ("tests.adapters.workers:flask", "waitress", 1),
        ("tests.adapters.workers:fastapi", "uvicorn with workers", 2),
        ("tests.adapters.workers:django_wsgi", "gunicorn", 2),
        ("tests.adapters.workers:django_asgi", "uvicorn with workers", 2),
    ],
    ids=[
        "flask-gunicorn",
        "flask-waitress",
        "fastapi-uvicorn",
        "django-gunicorn",
        "django-uvicorn",
    ],
)
def test_an_agent_signs_in_acts_and_signs_out(auth_server, target, server, workers):
    with run_site(auth_server, target, server) as site, sign_in(auth_server, site) as visit:
        cookies = dict(visit.client.cookies)
        assert ask(site, "/me", cookies).json() == {
            "agent_id": auth_server.agent_id,
            "model": MODEL,
            "email": "owner@example.com",
            "scopes": ["openid", "profile", "email", "refunds:write"],
            "via": "session",
        }
        assert len(meet_workers(site, cookies, workers)) == workers
        assert ask(site, "/private/report", cookies).json() == {"report": "42 orders this week"}
        assert "May be refunded" in ask(site, "/refunds", cookies).text
        assert ask(site, "/reports", cookies).status_code == 403
        assert ask(site, "/private/report", {}).status_code == 401

        out = visit.client.post(f"{site}/auth-agent/logout", follow_redirects=False)
        assert (out.status_code, out.headers["location"]) == (303, "/")
        assert visit.client.get(f"{site}/me", headers=JSON).status_code == 401


def ask(site, path, cookies):
    return httpx2.get(f"{site}{path}", headers=JSON, cookies=cookies)


def meet_workers(site, cookies, workers):
    """Asks at once, on fresh connections, until this many workers have known the agent."""
    seen = set()
    deadline = time.monotonic() + 20
    with ThreadPoolExecutor(8) as pool:
        while len(seen) < workers and time.monotonic() < deadline:
            for answer in pool.map(lambda _: ask(site, "/me", cookies), range(16)):
                assert answer.status_code == 200, answer.text
                seen.add(answer.headers["x-worker"])
    return seen
