"""Workers behind one address, as real processes: `doctor` says when their secrets differ."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress

import pytest
from typer.testing import CliRunner

from auth_agent.cli.program import app
from tests.adapters.network import free_port
from tests.services import wait_for_port
from tests.world import serve_auth_server

SITE = """
import os, sys, uvicorn
from auth_agent import Settings
from tests.adapters.stacks import build_starlette
app = build_starlette(Settings.from_env())
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


@contextmanager
def worker(environ):
    port = free_port()
    clean = {name: v for name, v in os.environ.items() if not name.startswith("AUTH_AGENT")}
    command = [sys.executable, "-c", SITE, str(port)]
    with subprocess.Popen(command, env={**clean, **environ}) as process:
        try:
            wait_for_port(port, process, 60)
            yield port
        finally:
            process.terminate()


@contextmanager
def round_robin(port, workers):
    """Starts a proxy that gives each connection to the next worker."""
    turns = itertools.cycle(workers)
    with socket.create_server(("127.0.0.1", port)) as listening:

        def serve():
            with suppress(OSError):
                while True:
                    visitor, _ = listening.accept()
                    pass_on(visitor, socket.create_connection(("127.0.0.1", next(turns))))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def pass_on(visitor, upstream):
    """Handles one connection at a time: the doctor opens no more."""
    with visitor, upstream:
        asks = threading.Thread(target=pump, args=(visitor, upstream), daemon=True)
        asks.start()
        pump(upstream, visitor)
        with suppress(OSError):
            visitor.shutdown(socket.SHUT_RD)
        asks.join(10)


def pump(source, target):
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def environ(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("server")) as server:
        yield server.register(f"http://127.0.0.1:{free_port()}")


def examine(environ, secrets):
    with ExitStack() as running:
        ports = [
            running.enter_context(worker({**environ, "AUTH_AGENT_SECRET": secret}))
            for secret in secrets
        ]
        base_url = environ["AUTH_AGENT_BASE_URL"]
        running.enter_context(round_robin(int(base_url.rpartition(":")[2]), ports))
        variables = {name: None for name in os.environ if name.startswith("AUTH_AGENT")}
        result = CliRunner().invoke(app, ["doctor", "--json"], env={**variables, **environ})
    return result.exit_code, {found["check"]: found for found in json.loads(result.stdout)}


def test_workers_with_different_secrets_are_found(environ):
    own = environ["AUTH_AGENT_SECRET"]
    code, found = examine(environ, [own, "another-secret-of-the-second-worker-0123456789"])
    assert code == 1
    assert "different secrets" in found["website.secrets_differ"]["message"]
    assert "the same AUTH_AGENT_SECRET in every worker" in found["website.secrets_differ"]["remedy"]


def test_workers_with_the_same_secret_are_well(environ):
    code, found = examine(environ, [environ["AUTH_AGENT_SECRET"]] * 2)
    assert code == 0
    assert found["website.workers"]["level"] == "ok"
