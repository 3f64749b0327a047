"""Eight digits for a mail, and what is stored of them."""

from __future__ import annotations

import base64
import hmac
import re
import secrets

from auth_agent.secret import Secret
from auth_agent.server.security.credentials import derive_key

MOST_GUESSES = 5
_DIGITS = 8
_CODE = re.compile(rf"[0-9]{{{_DIGITS}}}")


class MailedCodes:
    """Hashes codes with the server's secret: a digest of eight digits alone hides nothing."""

    def __init__(self, server_secrets: tuple[Secret, ...]) -> None:
        self._keys = [derive_key(secret, "mailed code") for secret in server_secrets]

    def hash(self, purpose: str, code: str) -> str:
        """Returns what is stored; `purpose` names the one thing that the code is good for."""
        return _hash(self._keys[0], purpose, code)

    def matches(self, stored: str, purpose: str, code: str) -> bool:
        """Returns True if this is the code whose hash is stored for this purpose."""
        return any(hmac.compare_digest(stored, _hash(key, purpose, code)) for key in self._keys)

    def shared(self, purpose: str) -> tuple[str, str]:
        """Returns the code and the link token that belong to a purpose, the same at each call."""
        key = self._keys[0]
        code = hmac.digest(key, f"shared code\0{purpose}".encode(), "sha256")
        link = hmac.digest(key, f"shared link\0{purpose}".encode(), "sha256")
        number = int.from_bytes(code, "big") % 10**_DIGITS
        return _written(number), base64.urlsafe_b64encode(link).decode().rstrip("=")


def new_code() -> str:
    """Returns a random code."""
    return _written(secrets.randbelow(10**_DIGITS))


def clean_code(text: str) -> str | None:
    """Returns the digits of a code copied with spaces or hyphens; None if they are not eight."""
    code = re.sub(r"[\s-]", "", text)
    return code if _CODE.fullmatch(code) else None


def _written(number: int) -> str:
    return f"{number:0{_DIGITS}d}"


def _hash(key: bytes, purpose: str, code: str) -> str:
    return hmac.digest(key, f"{purpose}\0{code}".encode(), "sha256").hex()
