"""Signs the SDK's HTTP requests as one agent (RFC 9421, Web Bot Auth).

Each request gets a signature of its own, and each redirect another one: it covers the method, the
whole URL, the body where it is in memory, and a nonce. Nothing is signed for plain http, except to
this machine.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from auth_agent.extras import needed_for
from auth_agent.url import handshake_url, is_loopback, normal_origin

if TYPE_CHECKING:
    import httpx2

    from auth_agent.flow.exchange import Headers
    from auth_agent.secret import Secret

SignatureForm = Literal["dictionary", "string"]

NONCE_BYTES = 24
MAX_ORIGINS = 1_000
MAX_LEARNED = 4_096  # characters of an `Accept-Signature` that are looked at
FIELDS = ("signature", "signature-input", "signature-agent")
# Cloudflare's verifiers for tests, which take the older form of `Signature-Agent` only.
STRING_HOSTS = frozenset(
    {"crawltest.com", "http-message-signatures-example.research.cloudflare.com"}
)
_OLDER = re.compile(r"\"signature-agent\"(?!\s*;)")
_NEWER = re.compile(r"\"signature-agent\"\s*;\s*key=")


class Signer:
    """One agent's signing key, and the form of `Signature-Agent` that each website wants."""

    def __init__(
        self,
        key: Secret,
        agent: str,
        *,
        form: SignatureForm = "dictionary",
        string_hosts: Iterable[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        with needed_for("signatures"):
            import http_sf  # noqa: F401, PLC0415  # missing, it would fail at the first request
        from auth_agent.protocol.signatures.sign import load_signing_key  # noqa: PLC0415

        self._key = load_signing_key(key)
        self.agent = agent
        self._form = form
        self._string_hosts = STRING_HOSTS | {host.lower() for host in string_hosts}
        self._learned: OrderedDict[str, SignatureForm] = OrderedDict()
        self._now = now

    def __repr__(self) -> str:
        return f"Signer({self.agent!r}, kid={self._key.kid!r})"

    def headers(self, method: str, url: str, body: bytes = b"") -> Headers:
        """Returns the headers to add to a request; none if it must not be signed."""
        url = handshake_url(url)
        if not may_be_signed(url):
            return ()
        from auth_agent.protocol.signatures.sign import sign_request  # noqa: PLC0415

        return sign_request(
            method,
            url,
            key=self._key,
            agent=self.agent,
            now=self._now(),
            nonce=secrets.token_bytes(NONCE_BYTES),
            body=body,
            form=self._form_for(url),
        )

    def sign(self, request: httpx2.Request) -> None:
        """Signs a request in place of any signature that it has, e.g. of the hop before.

        A body that is not in memory is not read, and not covered.
        """
        import httpx2  # noqa: PLC0415

        for name in FIELDS:
            request.headers.pop(name, None)
        body = b""
        if isinstance(request.stream, httpx2.ByteStream):
            request.headers.pop("content-digest", None)
            body = b"".join(request.stream)
        request.headers.update(self.headers(request.method, str(request.url), body))

    def learn(self, url: str, accept_signature: str | None) -> None:
        """Notes which form of `Signature-Agent` a website asks for (RFC 9421 5.1)."""
        if not accept_signature or len(accept_signature) > MAX_LEARNED:
            return
        newer, older = _NEWER.search(accept_signature), _OLDER.search(accept_signature)
        if bool(newer) == bool(older):
            return
        origin = normal_origin(handshake_url(url))
        self._learned.pop(origin, None)  # the newest goes to the end, with other threads around
        self._learned[origin] = "dictionary" if newer else "string"
        while len(self._learned) > MAX_ORIGINS:
            self._learned.popitem(last=False)

    def _form_for(self, url: str) -> SignatureForm:
        if self._form == "string" or urlsplit(url).hostname in self._string_hosts:
            return "string"
        return self._learned.get(normal_origin(url), self._form)


def may_be_signed(url: str) -> bool:
    """Returns True for https, and for http to this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def sign_client(client: httpx2.Client, signer: Signer) -> None:
    """Makes a client sign each of its requests, redirects included."""

    def after(response: httpx2.Response) -> None:
        signer.learn(str(response.request.url), response.headers.get("accept-signature"))

    _add_hooks(client, signer.sign, after)


def sign_async_client(client: httpx2.AsyncClient, signer: Signer) -> None:
    """Makes a client for tasks sign each of its requests, redirects included."""

    async def before(request: httpx2.Request) -> None:
        signer.sign(request)

    async def after(response: httpx2.Response) -> None:
        signer.learn(str(response.request.url), response.headers.get("accept-signature"))

    _add_hooks(client, before, after)


def _add_hooks(
    client: httpx2.Client | httpx2.AsyncClient,
    before: Callable[..., object],
    after: Callable[..., object],
) -> None:
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], before],
        "response": [*hooks["response"], after],
    }
