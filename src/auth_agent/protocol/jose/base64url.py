"""Base64url without padding (RFC 7515 2)."""

from __future__ import annotations

from itsdangerous.encoding import base64_encode


def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515 2)."""
    return base64_encode(data).decode("ascii")
