"""The fake server's key and the tokens that it signs, which tests can change."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from auth_agent.protocol.jose.algorithms import half_hash
from auth_agent.protocol.jose.base64url import encode

ABSENT = object()
"""A claim, header field or metadata field with this value is left out."""


class Issuer:
    """Signs with ES256; `claims` and `header` change every ID token from now on."""

    def __init__(self, issuer: str, client_id: str, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self.clock = clock
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.agent: dict[str, Any] = {}
        self.active: set[str] = set()
        """The tokens that introspection calls active; a refresh token works while it is here."""
        self.rotate()

    def rotate(self) -> None:
        """Makes a new signing key; the old one is no longer published."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.kid = secrets.token_hex(8)
        self.request_key = ed25519.Ed25519PrivateKey.generate()
        """The key with which the agents sign their requests (Web Bot Auth)."""

    def access_token(self, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Returns a JWT access token for the agent (RFC 9068); `changes` override its claims."""
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "aud": "https://shop.example",
            "exp": now + 3600,
            "iat": now,
            "jti": secrets.token_urlsafe(8),
            "client_id": "agent_7",
            "scope": "openid email",
            **self.agent,
            **changes,
        }
        token = self.sign(claims, {"typ": "at+jwt", **(header or {})})
        self.active.add(token)
        return token

    def logout_token(self, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Returns the token of a back-channel logout; `changes` override its claims."""
        now = int(self.clock())
        event = "http://schemas.openid.net/event/backchannel-logout"
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "exp": now + 120,
            "iat": now,
            "jti": secrets.token_urlsafe(8),
            "sub": self.agent["sub"],
            "events": {event: {}},
            **changes,
        }
        return self.sign(claims, {"typ": "logout+jwt", **(header or {})})

    def sign(self, claims: dict[str, Any], header: dict[str, Any]) -> str:
        """Returns a compact token; `header` may hold values that good libraries refuse to write."""
        fields = present({"alg": "ES256", "kid": self.kid, "typ": "JWT", **header})
        parts = [encode(json.dumps(part).encode()) for part in (fields, present(claims))]
        signing_input = ".".join(parts).encode()
        if fields.get("alg") == "none":
            return ".".join([*parts, ""])
        signature = jwt.get_algorithm_by_name("ES256").sign(signing_input, self.key)
        return ".".join([*parts, encode(signature)])

    def id_claims(
        self, begun: dict[str, str], agent: dict[str, Any], access_token: str
    ) -> dict[str, Any]:
        now = int(self.clock())
        return {
            "iss": self.issuer,
            "aud": self.client_id,
            "exp": now + 3600,
            "iat": now,
            "auth_time": now,
            "nonce": begun["nonce"],
            "at_hash": half_hash(access_token, "ES256"),
            **agent,
            **self.claims,
        }


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields without those that are `ABSENT`."""
    return {name: value for name, value in fields.items() if value is not ABSENT}
