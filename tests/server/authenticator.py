"""An authenticator in software: makes passkeys and signs with them as a browser would answer."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """Holds one passkey; keywords change single parts of an answer."""

    def __init__(self, origin: str = "http://localhost:8420", rp: str = "localhost") -> None:
        self.origin, self.rp = origin, rp
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(16)
        self.handle = ""
        self.count = 0

    def create(self, options: str, **changes: Any) -> str:
        """Returns the answer of `navigator.credentials.create`."""
        asked = json.loads(options)
        self.handle = asked["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        x, y = (each.to_bytes(32, "big") for each in (numbers.x, numbers.y))
        key = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + key
        flags = changes.pop("flags", UP | UV) | AT
        data = self._data(flags, self.count, changes.pop("rp", self.rp)) + attested
        statement = changes.pop("attestation", {"fmt": "none", "attStmt": {}})
        attestation = cbor2.dumps({**statement, "authData": data})
        response = {
            "clientDataJSON": self._client("webauthn.create", asked["challenge"], changes),
            "attestationObject": encoded(attestation),
        }
        return self._answer(response)

    def get(self, options: str, **changes: Any) -> str:
        """Returns the answer of `navigator.credentials.get`; `handle` replaces the user handle."""
        asked = json.loads(options)
        self.count = changes.pop("count", self.count + 1)
        flags = changes.pop("flags", UP | UV)
        handle = changes.pop("handle", self.handle)
        data = self._data(flags, self.count, changes.pop("rp", self.rp))
        client = self._client("webauthn.get", asked["challenge"], changes)
        signed = data + hashlib.sha256(decoded(client)).digest()
        response = {
            "clientDataJSON": client,
            "authenticatorData": encoded(data),
            "signature": encoded(self.key.sign(signed, ec.ECDSA(SHA256()))),
        }
        return self._answer({**response, **({} if handle is None else {"userHandle": handle})})

    def _client(self, kind: str, challenge: str, changes: dict[str, Any]) -> str:
        told = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return encoded(json.dumps({**told, **changes}).encode())

    def _data(self, flags: int, count: int, rp: str) -> bytes:
        return hashlib.sha256(rp.encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")

    def _answer(self, response: dict[str, Any]) -> str:
        name = encoded(self.id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
