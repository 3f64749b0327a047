"""Key pairs of clients and agents, and the assertions that they sign."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import OKPAlgorithm

from tests.server.world import ISSUER

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def _generate(algorithm: str) -> Any:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Pair:
    """A private key under a key id."""

    algorithm: str = "ES256"
    kid: str = "k-1"
    private: Any = field(default=None)

    def __post_init__(self) -> None:
        self.private = self.private or _generate(self.algorithm)

    @property
    def pem(self) -> str:
        public = self.private.public_key()
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return str(public.public_bytes(serialization.Encoding.PEM, kind).decode())

    @property
    def jwk(self) -> dict[str, Any]:
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(
            self.private.public_key(), as_dict=True
        )
        return {**public, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    @property
    def jwks(self) -> str:
        return json.dumps({"keys": [self.jwk]})

    def assertion(self, subject: str, now: float, *, header: Any = None, **changes: Any) -> str:
        """Returns an assertion; None removes a claim, times under 1,000 are relative to `now`."""
        claims: dict[str, Any] = {
            "iss": subject,
            "sub": subject,
            "aud": ISSUER,
            "jti": secrets.token_hex(8),
            "iat": int(now),
            "exp": int(now) + 60,
            **changes,
        }
        for name in ("exp", "iat", "nbf"):
            if type(claims.get(name)) is int and claims[name] < 1_000:
                claims[name] += int(now)
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": self.kid, **(header or {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        signer = jwt.PyJWS()
        signer.register_algorithm("Ed25519", OKPAlgorithm())
        algorithm = headers.get("alg", self.algorithm)
        payload = json.dumps(claims).encode()
        return signer.encode(payload, self.private, algorithm, headers=headers)
