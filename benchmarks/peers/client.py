"""One bare client for every server, so that the servers are measured and not the client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

IN_FLIGHT = 16
REDIRECT = "https://shop.example/callback"
VERIFIER = "v" * 50
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
_COOKIE = re.compile(rb"^set-cookie: *([^;\r]+)", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length: (\d+)", re.IGNORECASE | re.MULTILINE)
_REQUEST_ID = re.compile(rb"request_id: '([^']+)'")


@dataclass(frozen=True)
class People:
    """The parties of a sign-in."""

    client_id: str = "client"
    client_secret: str = "secret"
    agent_id: str = "agent"
    agent_secret: str = "secret"


@dataclass(frozen=True)
class Answer:
    """Status, head and body as they came."""

    status: int
    head: bytes
    body: bytes

    @property
    def cookies(self) -> str:
        return b"; ".join(_COOKIE.findall(self.head)).decode()

    def header(self, name: str) -> str:
        found = re.search(rf"^{name}: ([^\r]+)".encode(), self.head, re.IGNORECASE | re.MULTILINE)
        assert found, self.head
        return found[1].decode()


class Wire:
    """A keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def get(self, target: str, cookies: str = "", *, status: int = 200) -> Answer:
        return await self._ask("GET", target, {"cookie": cookies} if cookies else {}, b"", status)

    async def post_json(self, target: str, values: dict[str, str]) -> Answer:
        typed = {"content-type": "application/json"}
        return await self._ask("POST", target, typed, json.dumps(values).encode(), 200)

    async def redeem(self, target: str, people: People, code: str) -> dict[str, Any]:
        """Redeems the code, as a website does, for an ID token, an access and a refresh token."""
        form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT}
        told = await self.post_form(
            target, people, {**form, "code": code, "code_verifier": VERIFIER}
        )
        assert told.keys() >= {"id_token", "access_token", "refresh_token"}, told
        return told

    async def post_form(self, target: str, people: People, form: dict[str, str]) -> dict[str, Any]:
        """Sends a request of the website, which proves itself with its secret."""
        plain = f"{people.client_id}:{people.client_secret}".encode()
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "authorization": "Basic " + base64.b64encode(plain).decode(),
        }
        body = urlencode(form).encode()
        told: dict[str, Any] = json.loads(
            (await self._ask("POST", target, headers, body, 200)).body
        )
        return told

    async def _ask(
        self, method: str, target: str, headers: dict[str, str], body: bytes, status: int
    ) -> Answer:
        if body:
            headers = {**headers, "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}\r\n"
        self._writer.write(head.encode() + body)
        told = await self._reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(told)
        assert length, told
        answer = Answer(int(told[9:12]), told, await self._reader.readexactly(int(length[1])))
        assert answer.status == status, answer
        return answer


def authorize(path: str, people: People) -> str:
    """Returns the URL that the website sends the browser to."""
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
    return f"{path}?{urlencode(query)}"


async def waiting_page_sign_in(
    wire: Wire, people: People, authorize_path: str = "/authorize", token_path: str = "/token"
) -> dict[str, Any]:
    """Performs a page that waits, the agent's approval, the page's poll and the token request."""
    page = await wire.get(authorize(authorize_path, people))
    found = _REQUEST_ID.search(page.body)
    assert found, page
    request_id = found[1].decode()
    proof = {"request_id": request_id, "agent_id": people.agent_id, "model": "m"}
    await wire.post_json("/api/agent/authenticate", {**proof, "agent_secret": people.agent_secret})
    told = await wire.get("/api/check-status?request_id=" + request_id, page.cookies)
    return await wire.redeem(token_path, people, json.loads(told.body)["code"])


async def many(port: int, sign_in: Callable[[Wire], Awaitable[object]], count: int) -> None:
    """Performs so many sign-ins, at most IN_FLIGHT at a time."""
    left = iter(range(count))

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            await sign_in(Wire(reader, writer))
        writer.close()

    await asyncio.gather(*(one() for _ in range(IN_FLIGHT)))
