"""Six-digit codes for mail, and their stored form."""

from __future__ import annotations

import hmac
import re
import secrets

from auth_agent.secret import Secret
from auth_agent.server.security.credentials import derive_key

MOST_GUESSES = 5
_CODE = re.compile(r"[0-9]{6}")


class MailedCodes:
    """Hashes codes with the server's secret: a plain digest of six digits hides nothing."""

    def __init__(self, server_secrets: tuple[Secret, ...]) -> None:
        self._keys = [derive_key(secret, "mailed code") for secret in server_secrets]

    def hash(self, purpose: str, code: str) -> str:
        """Returns the stored form; a code is valid for this one `purpose` only."""
        return _hash(self._keys[0], purpose, code)

    def matches(self, stored: str, purpose: str, code: str) -> bool:
        return any(hmac.compare_digest(stored, _hash(key, purpose, code)) for key in self._keys)


def new_code() -> str:
    return f"{secrets.randbelow(1_000_000):06d}"


def clean_code(text: str) -> str | None:
    """Returns the digits, without spaces that were copied along; None if they are not six."""
    code = re.sub(r"[\s-]", "", text)
    return code if _CODE.fullmatch(code) else None


def _hash(key: bytes, purpose: str, code: str) -> str:
    return hmac.digest(key, f"{purpose}\0{code}".encode(), "sha256").hex()
