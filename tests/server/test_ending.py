"""A real `auth-agent serve` while others hang or hold the database."""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert
from sqlalchemy import select as select_rows

from auth_agent.server import Database
from auth_agent.server.registry import agents, clients
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import logout_delivery
from tests.server.outbound.test_mail import MailHost
from tests.server.test_operations import serving
from tests.server.world import NOW

OWNERS = ("ann@owner.example", "bob@owner.example")
_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/auth-agent.db"


class SlowMailHost(MailHost):
    """Greets nobody before it is told to, so that mail waits."""

    def __init__(self) -> None:
        self.asked, self.may_go_on = threading.Event(), threading.Event()
        super().__init__()

    def _talk(self, connection: Any) -> None:
        self.asked.set()
        assert self.may_go_on.wait(60)
        super()._talk(connection)


def _ask_for_code(base: str, email: str) -> None:
    with httpx2.Client(base_url=base) as browser:
        page = browser.get("/owner/sign-in").text
        token = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
        assert token
        form = {"form_token": token[1], "email": email}
        headers = {"sec-fetch-site": "same-origin"}
        assert browser.post("/owner/sign-in", data=form, headers=headers).status_code == 303


def _due_logout(url: str, uri: str) -> None:
    """Adds a website with a logout to deliver, and two owners."""
    database = Database.open(url)
    for email in OWNERS:
        agents.add_agent(database, email, now=NOW)
    shop = clients.add_client(database, "Shop", ["https://shop.example/cb"], now=NOW)
    row = {"client_id": shop.client_id, "uri": uri, "agent_id": "agent_1", "family_id": "sid_1"}
    with database.begin() as connection:
        due = {**row, "created_at": NOW, "attempts": 0, "next_at": 1}
        connection.execute(insert(logout_delivery), due)
    database.close()


def _until_closed(port: int) -> None:
    """Returns when the server has begun to end: it listens no more."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError:
            return
    raise AssertionError("the server still listens")


def test_a_stop_during_a_delivery_that_hangs_sends_the_waiting_mail(url: str) -> None:
    mail = SlowMailHost()
    with socket.create_server(("127.0.0.1", 0)) as website:
        website.settimeout(120)
        _due_logout(url, f"http://127.0.0.1:{website.getsockname()[1]}/logout")
        smtp = f"smtp://127.0.0.1:{mail.port}"
        with serving(url, AUTH_AGENT_SERVER_SMTP_URL=smtp) as server:
            delivery, _ = website.accept()  # it is never answered
            with delivery:
                for email in OWNERS:
                    _ask_for_code(server.base, email)
                assert mail.asked.wait(30)
                server.send_signal(signal.SIGTERM)
                stopped = time.monotonic()
                _until_closed(server.port)
                mail.may_go_on.set()
                assert server.wait(30) in (0, -signal.SIGTERM)
                assert time.monotonic() - stopped < 30
    mail.close()
    for email in OWNERS:
        assert f"To: {email}" in mail.said, server.told
    assert not any("unsent" in line for line in server.told)


@contextmanager
def _locked(url: str) -> Iterator[subprocess.Popen[str]]:
    """Starts another process that holds SQLite's write lock until its input ends."""
    command = [sys.executable, "-c", _HOLDER, url.removeprefix("sqlite:///")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin
        assert holder.stdout
        try:
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            if not holder.stdin.closed:
                holder.stdin.close()
            holder.wait(30)


def _refused_call(port: int, client_id: str) -> socket.socket:
    """Sends a token request that is refused, counted and recorded; the answer is not awaited."""
    body = f"grant_type=refresh_token&refresh_token=x&client_id={client_id}&client_secret=wrong"
    head = (
        "POST /token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return _sent(port, (head + body).encode())


def _sent(port: int, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(request)
    return connection


def test_health_answers_while_another_process_holds_the_write_lock(url: str) -> None:
    database = Database.open(url)
    shop = clients.add_client(database, "Shop", ["https://shop.example/cb"], now=NOW)
    database.close()
    ask = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with (
        serving(url) as server,
        _locked(url) as holder,
        _refused_call(server.port, shop.client_id) as refused,
    ):
        for _ in range(3):
            with _sent(server.port, ask) as asked:
                # The refused call still waits, and nothing waits with it.
                assert select.select([asked, refused], [], [], 60)[0] == [asked]
                assert asked.recv(65_536).startswith(b"HTTP/1.1 200")
        assert holder.stdin
        holder.stdin.close()
        assert refused.makefile("rb").readline().split()[1] in (b"401", b"503")
    database = Database.open(url)
    with database.read() as connection:
        lines = connection.execute(select_rows(audit.c.outcome, audit.c.client_id)).all()
    database.close()
    assert ("refused", shop.client_id) in [tuple(line) for line in lines]
