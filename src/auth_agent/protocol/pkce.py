"""Proof Key for Code Exchange (RFC 7636); S256 is the only method."""

from __future__ import annotations

import hashlib

from auth_agent.protocol.jose.base64url import encode


def challenge_of(verifier: str) -> str:
    """Returns a verifier's challenge (4.2)."""
    return encode(hashlib.sha256(verifier.encode("ascii")).digest())
