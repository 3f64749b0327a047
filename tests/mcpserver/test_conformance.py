"""The official conformance suite: a guarded server fails no check that the bare one passes.

The suite sends no tokens, so what stands between it and the guard adds one.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.mcpserver.sites import make_app, make_server
from tests.npm import node_modules

PACKAGES = ("@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@22")
SCENARIOS = (
    "server-session-lifecycle",
    "server-stateless",
    "http-header-validation",
)
_FAILED = re.compile(r"\[([\w-]+)\s*\]\S* \S*FAILURE")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Returns the command that runs the suite, on a recent enough Node.js."""
    modules = node_modules(tmp_path_factory.mktemp("npm"), *PACKAGES)
    entry = modules / "@modelcontextprotocol/conformance/dist/index.js"
    return str(modules / "node/bin/node"), str(entry), "server", "--url"


def bare(kind, _provider, _base_url):
    server = make_server(kind)
    return server.streamable_http_app() if kind == "mcp" else server.http_app()


def guarded(kind, provider, base_url):
    app = make_app(kind, provider, base_url)
    token = provider.access_token(aud=f"{base_url}/mcp", scope="invoices:write danger")
    header = (b"authorization", f"Bearer {token}".encode())

    async def with_token(scope, receive, send):
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], header]}
        await app(scope, receive, send)

    return with_token


def failures(suite, world, scenario, folder):
    command = (*suite, f"{world.base_url}/mcp", "--scenario", scenario)
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, cwd=folder
    )
    text = ran.stdout + ran.stderr
    assert "SUCCESS" in text, text[-2_000:]
    return set(_FAILED.findall(re.sub(r"\x1b\[\d+m", "", text)))


@pytest.fixture(scope="module", params=["mcp", "fastmcp"])
def pair(request, serve):
    return serve(request.param, app=bare), serve(request.param, app=guarded)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_guard_breaks_nothing(suite, pair, scenario, tmp_path):
    before, after = (failures(suite, world, scenario, tmp_path) for world in pair)
    assert after <= before
