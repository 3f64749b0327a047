"""A server in a process of its own, and the CPU time that it uses."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.peer import Command

ROOT = Path(__file__).parents[2]
START_TIMEOUT = 120.0  # seconds; a database may have to be made


def cpu_seconds(pid: int) -> float:
    """Returns user and system time of a process and its descendants, as Linux counts it."""
    process = Path(f"/proc/{pid}")
    fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
    used = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    for children in process.glob("task/*/children"):
        used += sum(cpu_seconds(int(child)) for child in children.read_text().split())
    return used


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(command: Command, port: int, log: Path) -> Iterator[int]:
    """Yields the process id of a server that answers; it gets none of our own settings."""
    usual = {name: value for name, value in os.environ.items() if "AUTH_AGENT_" not in name}
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603
            command.arguments,
            stdout=output,
            stderr=output,
            env={**usual, **command.environ},
            cwd=ROOT,
        )
    try:
        _wait(server, port, log)
        yield server.pid
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{server.args!r} does not answer:\n{log.read_text()[-2_000:]}")
        time.sleep(0.05)
