"""A PostgreSQL of our own on a free port, from Debian's or any other installation."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _user() -> dict[str, Any]:
    """Returns another user if we are root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return {}


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yields the URL of a new server, without a database name."""
    bin_dir = _binaries()
    if bin_dir is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    folder, user = Path(tempfile.mkdtemp(prefix="auth-agent-pg-")), _user()
    if user:
        os.chown(folder, user["user"], user["group"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run: dict[str, Any] = {"cwd": folder, "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, **user}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **run}
    init = [
        bin_dir / "initdb",
        "-D",
        folder / "data",
        "-U",
        "auth",
        "-A",
        "trust",
        "-N",
        "-E",
        "UTF8",
    ]
    subprocess.run(init, check=True, **quiet)
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    # Nothing here outlives the tests, so that nothing has to reach the disk.
    for setting in ("fsync=off", "full_page_writes=off", "max_connections=200"):
        options += ["-c", setting]
    server = subprocess.Popen([bin_dir / "postgres", "-D", folder / "data", *options], **quiet)
    try:
        _wait_for(port, server)
        yield f"postgresql://auth@127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            psycopg.connect(f"postgresql://auth@127.0.0.1:{port}/postgres").close()
        except psycopg.OperationalError:
            assert server.poll() is None, "PostgreSQL ended at once"
            assert time.monotonic() < end, "PostgreSQL does not answer"
            time.sleep(0.05)
        else:
            return


class Postgres:
    """Makes databases in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._admin = psycopg.connect(url + "postgres", autocommit=True)
        self._count = 0
        has_strategies = self._admin.info.server_version >= 15_00_00
        self._quickest = " STRATEGY FILE_COPY" if has_strategies else ""

    def create(self, template: str = "template0") -> str:
        """Returns the URL of a new database, a copy of the other one."""
        self._count += 1
        name = f"auth{self._count}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}{self._quickest}")
        return self.url + name

    def drop(self, url: str) -> None:
        """Deletes a database, also if somebody is still connected to it."""
        self._admin.execute(f"DROP DATABASE {url.removeprefix(self.url)} WITH (FORCE)")

    def close(self) -> None:
        self._admin.close()
