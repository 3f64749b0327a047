"""Base64url without padding (RFC 7515 2)."""

from __future__ import annotations

import base64

from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode


def encode(data: bytes) -> str:
    """Returns the data as text."""
    return base64_encode(data).decode("ascii")


def decode(text: str | bytes) -> bytes:
    """Returns the data; raises `ValueError` if the text is not base64url."""
    try:
        return base64_decode(text)
    except BadData:
        raise ValueError("not base64url") from None


def decode_strictly(text: str) -> bytes:
    """Returns the data; raises `ValueError` unless `encode` gives this very text again."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not base64url in its one form")
    return data
