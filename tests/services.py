"""Real servers that the tests start themselves, on free ports; missing ones are said."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import pytest


def need(binary, package):
    """Returns a program's path; if it is missing, skips the test and says so, or fails in CI."""
    found = shutil.which(binary)
    if found is None:
        reason = f"{binary} is not installed: apt-get install {package}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def website_environ(provider, base_url) -> dict[str, str]:
    """Returns the variables of a website at this URL, which a server in a value knows."""
    return {
        "AUTH_AGENT_ISSUER": provider.issuer,
        "AUTH_AGENT_CLIENT_ID": provider.client_id,
        "AUTH_AGENT_CLIENT_SECRET": provider.client_secret,
        "AUTH_AGENT_SECRET": "a secret of the website that is long enough",
        "AUTH_AGENT_BASE_URL": base_url,
    }


@contextmanager
def redis_server(*options):
    """Starts a Redis that keeps nothing; yields its URL."""
    port = free_port()
    command = [need("redis-server", "redis-server"), "--port", str(port), "--save", "",
               "--appendonly", "no", "--bind", "127.0.0.1", "--loglevel", "warning",
               *options]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def wait_for_port(port, process, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"nothing listens on port {port}")
