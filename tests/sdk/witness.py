"""A website that verifies signed requests with another implementation than ours."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import http_message_signatures as peer
import httpx2
import jwt
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ed25519

from auth_agent.server.registry.agents import add_agent


class Seen(NamedTuple):
    """One request: what was verified, `agent` None without a good signature, and why not."""

    method: str
    path: str
    agent: str | None
    covered: tuple[str, ...]
    params: dict[str, Any]
    headers: dict[str, str]
    problem: str = ""


class _Message(NamedTuple):
    method: str
    url: str
    headers: dict[str, str]


class _Keys(peer.HTTPSignatureKeyResolver):
    """The keys of the document that the signed `Signature-Agent` names, read anew each time."""

    def __init__(self, agent: str) -> None:
        self.agent = agent

    def resolve_public_key(self, key_id: str) -> Any:
        document = httpx2.get(self.agent, trust_env=False).json()
        found = [key for key in document["keys"] if key["kid"] == key_id]
        return jwt.PyJWK(found[0], "EdDSA").key if found else None


@dataclass
class Witness:
    """An ASGI application; `answers` are the answers by path, `seen` what came."""

    origin: str = ""
    seen: list[Seen] = field(default_factory=list)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
        url = f"{self.origin}{scope['raw_path'].decode()}{query}"
        import anyio

        seen = await anyio.to_thread.run_sync(verify, scope["method"], url, headers, body)
        self.seen.append(seen)
        told = json.dumps({"agent": seen.agent, "problem": seen.problem}).encode()
        kind = {"content-type": "application/json"}
        status, more_headers, content = self.answers.get(scope["path"], (200, kind, told))
        sent = [(name.encode(), value.encode()) for name, value in more_headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": content})

    def at(self, path: str) -> Seen:
        """Returns the last request of a path."""
        return [one for one in self.seen if one.path.partition("?")[0] == path][-1]


def verify(method: str, url: str, headers: dict[str, str], body: bytes) -> Seen:
    """Verifies one request as the specification says, and names the signature agent."""
    import http_sf

    target = url[len("/".join(url.split("/")[:3])) :]
    given = headers.get("signature-agent", "")
    try:
        if given.startswith('"'):
            agent, covers = http_sf.parse(given.encode(), tltype="item")[0], '"signature-agent"'
        else:
            ((label, member),) = http_sf.parse(given.encode(), tltype="dictionary").items()
            agent, covers = member[0], f'"signature-agent";key="{label}"'
        verifier = peer.HTTPMessageVerifier(
            signature_algorithm=peer.algorithms.ED25519, key_resolver=_Keys(agent)
        )
        (result,) = verifier.verify(
            _Message(method, url, headers),
            expect_tag="web-bot-auth",
            require_components=("@method", "@authority", covers),
            body=body,
        )
    except (peer.InvalidSignature, ValueError, KeyError) as error:
        return Seen(method, target, None, (), {}, headers, f"{type(error).__name__}: {error}")
    covered = tuple(str(one) for one in result.covered_components)
    if not {'"@target-uri"'} & {*covered} and not {'"@path"', '"@query"'} <= {*covered}:
        return Seen(method, target, None, covered, {}, headers, "the URL is not covered")
    return Seen(method, target, agent, covered, dict(result.parameters), headers)


def pem_of(key):
    return key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    ).decode()


def public_of(key):
    return (
        key.public_key()
        .public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


class Signing:
    """An agent with a signing key: the SDK's options, and its name."""

    def __init__(self, world, folder):
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.path = folder / "signing.pem"
        self.path.write_text(pem_of(self.key))
        self.path.chmod(0o600)
        now = int(time.time())
        made = add_agent(
            world.database, "ada@example.com", now=now, signing_key=public_of(self.key)
        )
        self.agent_id = made.agent_id
        self.name = f"{world.issuer}/agents/{made.agent_id}"
        self.options = world.options(
            agent_id=made.agent_id,
            agent_secret=made.agent_secret,
            signing_key=self.path,
        )
