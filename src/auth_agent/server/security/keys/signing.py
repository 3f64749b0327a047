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
from auth_agent.protocol.jose.jws import sign
from auth_agent.server.settings import ALGORITHMS

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
UNOPENED = (
    "AUTH_AGENT_SERVER_SECRET does not open the signing keys in this database; add the secret "
    "that was used before at the end of the list"
)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A key pair under its id; the repr leaves the private part out.

    Without a private part it only verifies: no secret of this server opens it.
    """

    kid: str
    algorithm: str
    private: PrivateKey | None
    public: Any
    public_jwk: Mapping[str, str]
    signs_from: int

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Returns a compact JWS over the claims."""
        if self.private is None:
            raise SettingsError([UNOPENED])
        header = {"alg": self.algorithm, "kid": self.kid, "typ": typ}
        return sign(header, msgspec.json.encode(claims), self.private)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The keys as read at one moment, newest first."""

    keys: tuple[SigningKey, ...]
    read_at: float
    algorithm: str
    live: frozenset[str]  # the algorithms of keys that are not retired

    def signer(self, now: float, algorithm: str | None = None) -> SigningKey:
        """Returns the key that signs now, for this algorithm or the server's own.

        Raises SettingsError if no key can be opened.
        """
        found = self.find_signer(now, algorithm)
        if found is None:
            raise SettingsError([UNOPENED])
        return found

    def find_signer(self, now: float, algorithm: str | None = None) -> SigningKey | None:
        """Returns the newest key that every worker has read by now, of those that can be opened.

        If the only key for an algorithm is known to this worker alone, it signs all the same: the
        client can use no other, and fetches the keys again for an unknown one.
        """
        usable = [key for key in self.keys if key.private is not None]
        ready = [key for key in usable if key.signs_from <= now] or usable[-1:]
        wanted = algorithm or self.algorithm
        candidates = ready if algorithm is None else [*ready, *usable]
        fitting = (key for key in candidates if key.algorithm == wanted)
        return next(fitting, ready[0] if ready else None)

    def algorithms(self) -> list[str]:
        """Returns the algorithms of the published keys, the server's own first."""
        names = sorted({key.algorithm for key in self.keys})
        return sorted(names, key=lambda name: name != self.algorithm)

    def has_newer(self, key: SigningKey, now: float) -> bool:
        """Returns True if a newer key for the same algorithm signs elsewhere."""
        newer = self.keys[: self.keys.index(key)]
        return any(one.algorithm == key.algorithm and one.signs_from <= now for one in newer)

    def has(self, algorithm: str) -> bool:
        return algorithm in self.live

    @property
    def unopened(self) -> tuple[str, ...]:
        """Returns the ids of published keys that no secret of this server opens."""
        return tuple(key.kid for key in self.keys if key.private is None)

    def find(self, kid: object) -> SigningKey | None:
        return next((key for key in self.keys if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """Returns the public keys (RFC 7517 section 5)."""
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
