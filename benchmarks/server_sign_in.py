"""Whole sign-ins on the Auth Agent server: /authorize, approval, poll, /token.

One worker as `auth-agent serve` runs it, SQLite on disk, secrets hashed with bcrypt, 16 sign-ins
in flight. Counted are sign-ins per second and the CPU time of the server's process.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from auth_agent.server import Database, registry

IN_FLIGHT = 16
WARM_UP, SIGN_INS = 200, 2_000
REDIRECT = "https://shop.example/callback"
VERIFIER = "v" * 50
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
_REQUEST_ID = re.compile(rb"request_id: '([^']+)'")
_COOKIE = re.compile(rb"set-cookie: ([^;]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class People:
    """Who takes part."""

    client_id: str
    client_secret: str
    agent_id: str
    agent_secret: str

    @property
    def basic(self) -> str:
        plain = f"{self.client_id}:{self.client_secret}"
        return "Basic " + base64.b64encode(plain.encode()).decode()


class Wire:
    """A bare keep-alive connection: the client must not be what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, method: str, target: str, headers: str = "", body: bytes = b"") -> bytes:
        """Head and body of the answer; it has to be 200."""
        head = f"{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}"
        if body:
            head += f"content-length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        found = _LENGTH.search(answer)
        assert found
        return answer + await self._reader.readexactly(int(found[1]))


async def sign_in(wire: Wire, people: People) -> None:
    query = {
        "client_id": people.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "openid profile email agent",
        "state": "state",
        "nonce": "nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    page = await wire.ask("GET", "/authorize?" + urlencode(query))
    request_id, cookie = _REQUEST_ID.search(page), _COOKIE.search(page)
    assert request_id
    assert cookie
    proof = {
        "request_id": request_id[1].decode(),
        "agent_id": people.agent_id,
        "agent_secret": people.agent_secret,
        "model": "m",
    }
    typed = "content-type: application/json\r\n"
    await wire.ask("POST", "/api/agent/authenticate", typed, json.dumps(proof).encode())
    target = "/api/check-status?request_id=" + request_id[1].decode()
    told = await wire.ask("GET", target, f"cookie: {cookie[1].decode()}\r\n")
    code = json.loads(told.partition(b"\r\n\r\n")[2])["code"]
    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT}
    body = urlencode({**form, "code": code, "code_verifier": VERIFIER}).encode()
    typed = "content-type: application/x-www-form-urlencoded\r\n"
    answer = await wire.ask("POST", "/token", f"{typed}authorization: {people.basic}\r\n", body)
    assert b"id_token" in answer


async def many(port: int, people: People, count: int) -> None:
    left = iter(range(count))

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            await sign_in(Wire(reader, writer), people)
        writer.close()

    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(url: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a server with one worker; without a database it is Authlib's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    if url:
        command = ["-c", "from auth_agent.cli import main; main()", "serve"]
        command += ["--database", url, "--port", str(port)]
    else:
        command = ["-m", "benchmarks.authlib_flask", str(port)]
    environ = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    server = subprocess.Popen(  # noqa: S603
        [sys.executable, *command], stderr=subprocess.DEVNULL, env=environ
    )
    try:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.05)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(30)


def measure(count: int = SIGN_INS) -> tuple[float, float]:
    """Milliseconds of CPU per sign-in, and sign-ins per second."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/auth-agent.db"
        database = Database.open(url)
        client = registry.add_client(database, "Shop", [REDIRECT])
        agent = registry.add_agent(database, "ann@owner.example", model="m")
        database.close()
        assert client.client_secret
        people = People(
            client.client_id,
            client.client_secret.reveal(),
            agent.agent_id,
            agent.agent_secret.reveal(),
        )
        return timed(url, people, count)


def timed(url: str, people: People, count: int) -> tuple[float, float]:
    with serving(url) as (port, pid):
        asyncio.run(many(port, people, WARM_UP))
        before, started = cpu_seconds(pid), time.perf_counter()
        asyncio.run(many(port, people, count))
        used, lasted = cpu_seconds(pid) - before, time.perf_counter() - started
    return used / count * 1_000, count / lasted


def main() -> None:
    others = People("client", "secret", "agent", "secret")
    print(f"whole sign-ins, {IN_FLIGHT} in flight, one worker, secrets hashed with bcrypt")
    for name, (cost, rate) in (
        ("Auth Agent server, SQLite on disk", measure()),
        ("Authlib on Flask and waitress, in memory", timed("", others, SIGN_INS)),
    ):
        print(f"  {name:42} {cost:5.2f} ms CPU each {rate:6.0f} per second")


if __name__ == "__main__":
    main()
