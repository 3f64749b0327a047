"""Signing keys: a key pair under its id, and all published ones at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from auth_agent.errors import SettingsError
from auth_agent.protocol.jose.bounds import MIN_RSA_BITS
from auth_agent.server.settings import ALGORITHMS

_JWS = jwt.PyJWS()
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
UNOPENED = (
    "AUTH_AGENT_SERVER_SECRET does not open the signing keys in this database; "
    "put the secret that was used before at the end of the list"
)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A key pair under its id; the private part never shows itself.

    Without a private part it only verifies: no secret of this server opens it.
    """

    kid: str
    algorithm: str
    private: PrivateKey | None
    public: Any
    public_jwk: Mapping[str, str]
    signs_from: int

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """A compact JWS over the claims."""
        if self.private is None:
            raise SettingsError([UNOPENED])
        headers = {"kid": self.kid, "typ": typ}
        return _JWS.encode(msgspec.json.encode(claims), self.private, self.algorithm, headers)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The keys as they were read at one moment, newest first."""

    keys: tuple[SigningKey, ...]
    read_at: float

    def signer(self, now: float) -> SigningKey:
        """Returns the key that signs now; raises SettingsError if no key can be opened."""
        found = self.find_signer(now)
        if found is None:
            raise SettingsError([UNOPENED])
        return found

    def find_signer(self, now: float) -> SigningKey | None:
        """Returns the newest key that every worker knows by now, of those that can be opened."""
        usable = [key for key in self.keys if key.private is not None]
        oldest = usable[-1] if usable else None
        return next((key for key in usable if key.signs_from <= now), oldest)

    def newer_than(self, key: SigningKey) -> tuple[SigningKey, ...]:
        return self.keys[: self.keys.index(key)]

    def has(self, algorithm: str) -> bool:
        return bool(self.keys) and self.keys[0].algorithm == algorithm

    @property
    def unopened(self) -> tuple[str, ...]:
        """The ids of published keys that no secret of this server opens."""
        return tuple(key.kid for key in self.keys if key.private is None)

    def find(self, kid: object) -> SigningKey | None:
        return next((key for key in self.keys if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517 section 5)."""
        return {"keys": [dict(key.public_jwk) for key in self.keys]}


def generate(algorithm: str) -> PrivateKey:
    if algorithm not in ALGORITHMS:
        raise SettingsError(
            [f"{algorithm} is not supported; choose one of {', '.join(ALGORITHMS)}"]
        )
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: PrivateKey, kid: str, algorithm: str) -> str:
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    public = {name: value for name, value in jwk.items() if name != "key_ops"}
    return json.dumps({**public, "kid": kid, "use": "sig", "alg": algorithm})
