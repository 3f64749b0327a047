"""Making, hashing and checking of secrets.

Secrets that people or programs keep are hashed with bcrypt. Codes and refresh tokens are random
and short-lived, so that SHA-256 is enough for them.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import bcrypt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from auth_agent.secret import Secret
from auth_agent.server.web.at_once import or_wait

ROUNDS = 10
LONGEST_SECRET = 72  # bytes; bcrypt sees no more
REMEMBERED_FOR = 300.0  # seconds
REMEMBERED_AT_MOST = 10_000


def new_token(prefix: str, size: int = 32) -> str:
    """A random identifier or secret of `size` bytes, e.g. `new_token("cs_")`."""
    return prefix + secrets.token_urlsafe(size)


def digest(token: str) -> str:
    """What is stored of a random token."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_secret(secret: str) -> str:
    """What is stored of a secret; ValueError if it is longer than bcrypt can see."""
    if is_too_long(secret):
        raise ValueError(f"the secret is longer than {LONGEST_SECRET} bytes; choose a shorter one")
    return bcrypt.hashpw(secret.encode(), bcrypt.gensalt(ROUNDS)).decode()


def is_too_long(secret: str) -> bool:
    return len(secret.encode()) > LONGEST_SECRET


def derive_key(secret: Secret, purpose: str) -> bytes:
    """A 256-bit key for one purpose (RFC 5869)."""
    info = f"auth-agent server {purpose}".encode()
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
    return hkdf.derive(secret.reveal().encode())


@functools.cache
def _nobody() -> str:
    """The hash of a secret that nobody has."""
    return hash_secret(new_token("no_"))


class SecretVerifier:
    """Compares a secret with its bcrypt hash; remembers for minutes what it has just verified.

    What is remembered is a digest under a random key of this process, and the stored hash is part
    of it: a secret that was replaced elsewhere is not recognised from that moment on.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._key = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self._nobody = _nobody()

    def verify(self, stored: str | None, secret: str) -> bool:
        """Takes the same time for a missing hash as for a wrong secret."""
        if is_too_long(secret):
            return False
        if stored is None:
            or_wait()
            bcrypt.checkpw(secret.encode(), self._nobody.encode())
            return False
        mark = self._mark(stored, secret)
        if self._recognises(mark):
            return True
        or_wait()
        if not bcrypt.checkpw(secret.encode(), stored.encode()):
            return False
        self._remember(mark)
        return True

    def recognises(self, stored: str | None, secret: str) -> bool:
        """True if this very secret was verified a while ago; costs next to nothing."""
        return stored is not None and self._recognises(self._mark(stored, secret))

    def _mark(self, stored: str, secret: str) -> bytes:
        marked = f"{stored}\0{secret}".encode()
        return hashlib.blake2b(marked, key=self._key, digest_size=32).digest()

    def _recognises(self, mark: bytes) -> bool:
        with self._lock:
            return self._seen.get(mark, 0.0) > self._timer()

    def _remember(self, mark: bytes) -> None:
        with self._lock:
            self._seen[mark] = self._timer() + REMEMBERED_FOR
            self._seen.move_to_end(mark)
            while len(self._seen) > REMEMBERED_AT_MOST:
                self._seen.popitem(last=False)


class CodeMaker:
    """Derives a sign-in's code from its id, so that it can be told twice and is stored never."""

    def __init__(self, server_secrets: tuple[Secret, ...]) -> None:
        self._keys = [derive_key(secret, "code") for secret in server_secrets]
        self._challenges = derive_key(server_secrets[0], "challenge")

    def code(self, request_id: str) -> str:
        return _code(self._keys[0], request_id)

    def sign(self, text: str) -> str:
        """The signature under a verification challenge."""
        return hmac.digest(self._challenges, text.encode("utf-8", "replace"), "sha256").hex()

    def find(self, request_id: str, code_hash: str) -> str | None:
        """The code with this digest, also when the server's secret has changed since."""
        for key in self._keys:
            code = _code(key, request_id)
            if hmac.compare_digest(digest(code), code_hash):
                return code
        return None


def _code(key: bytes, request_id: str) -> str:
    return "ac_" + hmac.digest(key, request_id.encode(), "sha256").hex()
