"""Keys and proofs for tests, written without the code under test, so that each part can be bent."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

ABSENT = object()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def packed(value) -> str:
    return b64(json.dumps(value).encode())


def hash_of(token: str) -> str:
    return b64(hashlib.sha256(token.encode()).digest())


class Holder:
    """Holds a key, and makes proofs of it (ES256)."""

    alg = "ES256"

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        self.jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    @property
    def jkt(self) -> str:
        names = sorted(self.jwk)
        text = "{" + ",".join(f'"{name}":"{self.jwk[name]}"' for name in names) + "}"
        return b64(hashlib.sha256(text.encode()).digest())

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.der(data))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def der(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(SHA256()))

    def proof(self, method, url, now, token=None, *, header=None, sign=None, **claims) -> str:
        """Returns a proof; `header` and `claims` override its parts, ABSENT removes one."""
        head = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.jwk, **(header or {})}
        body = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(now)}
        if token is not None:
            body["ath"] = hash_of(token)
        body.update(claims)
        parts = [
            packed({name: value for name, value in part.items() if value is not ABSENT})
            for part in (head, body)
        ]
        signed = ".".join(parts)
        return f"{signed}.{b64((sign or self.sign)(signed.encode()))}"


class EdHolder(Holder):
    """Holds an Ed25519 key."""

    alg = "EdDSA"

    def __init__(self) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        x = b64(self.key.public_key().public_bytes_raw())
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": x}

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data)
