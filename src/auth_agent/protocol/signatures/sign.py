"""Signing: the headers that a request, or the response of a key directory, gets.

Pure: clock and randomness come in as arguments. Signed is with Ed25519 only.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from auth_agent.flow.exchange import Headers
from auth_agent.protocol.jose.private_key import PrivateKey, load_key
from auth_agent.protocol.signatures.base import signature_base
from auth_agent.protocol.signatures.bounds import TAG
from auth_agent.protocol.signatures.fields import Component, Signed, write
from auth_agent.protocol.signatures.keys import ED25519, PUBLISHED_KEYS
from auth_agent.protocol.signatures.message import Message, request_message
from auth_agent.secret import Secret

AgentForm = Literal["dictionary", "string"]

LABEL = "sig1"
LIFETIME = 60  # seconds


def load_signing_key(pem: Secret) -> PrivateKey:
    """Returns an Ed25519 key whose `kid` is its thumbprint; raises `ValueError` for any other."""
    key = load_key(pem)
    if key.alg != "EdDSA":
        raise ValueError("is not an Ed25519 key, which HTTP message signatures need")
    if key.kid in PUBLISHED_KEYS:
        raise ValueError("is a published test key of RFC 9421; make a key of your own")
    return key


def sign_request(
    method: str,
    url: str,
    *,
    key: PrivateKey,
    agent: str,
    now: float,
    nonce: bytes,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    form: AgentForm = "dictionary",
    lifetime: int = LIFETIME,
) -> Headers:
    """Returns the headers to add to a request: `Signature-Agent`, `-Input`, `Signature`.

    `agent` is the URL that names the signer, `nonce` 16 random bytes or more, new for every
    request. A body adds `Content-Digest` (RFC 9530). `url` is absolute, as it is sent.
    """
    item: tuple[str, dict[str, Any]] = (agent, {})
    named = write(item if form == "string" else {LABEL: item})
    added: list[tuple[str, str]] = [("Signature-Agent", named)]
    if body:
        added.append(("Content-Digest", content_digest(body)))
    given = [pair for pair in headers if pair[0].lower() not in _OURS]
    message = request_message(method, url, [*given, *added])
    covered = [Component(name) for name in _COVERED[form]]
    covered.append(Component("signature-agent", {} if form == "string" else {"key": LABEL}))
    if body:
        covered.append(Component("content-digest"))
    params = {
        "created": int(now),
        "expires": int(now) + lifetime,
        "keyid": key.kid,
        "alg": ED25519,
        "nonce": base64.urlsafe_b64encode(nonce).rstrip(b"=").decode(),
        "tag": TAG,
    }
    return (*added, *sign_message(message, covered, params, key=key))


def sign_message(
    message: Message,
    covered: Iterable[Component],
    params: Mapping[str, Any],
    *,
    key: PrivateKey,
    label: str = LABEL,
) -> Headers:
    """Returns `Signature-Input` and `Signature` over these components (RFC 9421 3.1, 4)."""
    signed = Signed(label, tuple(covered), params)
    signature: bytes = key.key.sign(signature_base(message, signed))
    return (
        ("Signature-Input", f"{label}={signed.params_text()}"),
        ("Signature", write({label: (signature, {})})),
    )


def content_digest(body: bytes) -> str:
    """Returns the value of `Content-Digest` (RFC 9530 2)."""
    return write({"sha-256": (hashlib.sha256(body).digest(), {})})


# Verifiers of the older form read an absent query as nothing, where RFC 9421 2.2.7 says "?": for
# them the whole URL is one component.
_COVERED: dict[AgentForm, tuple[str, ...]] = {
    "dictionary": ("@method", "@authority", "@path", "@query"),
    "string": ("@method", "@authority", "@target-uri"),
}
_OURS = ("signature", "signature-input", "signature-agent", "content-digest")
