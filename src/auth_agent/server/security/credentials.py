"""Making, hashing and checking secrets.

Secrets that people or programs choose are hashed with bcrypt. Secrets, codes and tokens that this
server makes are 256 random bits, for which one SHA-256 is enough: they cannot be guessed, and a
wrong one is recognised in microseconds.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
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
from auth_agent.server.web.call import Refusal

ROUNDS = 10
LONGEST_SECRET = 72  # bytes; bcrypt sees no more
REMEMBERED_FOR = 300.0  # seconds
REMEMBERED_AT_MOST = 10_000
_MADE = "sha256:"
_MADE_HERE = re.compile(r"[a-z]{2,3}_[A-Za-z0-9_-]{43}")
# bcrypt occupies a core: run as many hashes as there are cores, and let few others wait.
_CORES = os.cpu_count() or 1
_TURNS = threading.BoundedSemaphore(_CORES)
_PLACES = threading.BoundedSemaphore(_CORES + 8)
_BUSY = Refusal(
    503,
    "temporarily_unavailable",
    "Too many secrets are being checked at the moment; try again",
    (("retry-after", "1"),),
)


def new_token(prefix: str, size: int = 32) -> str:
    """Returns a random identifier or secret of `size` bytes, e.g. `new_token("cs_")`."""
    return prefix + secrets.token_urlsafe(size)


def digest(token: str) -> str:
    """Returns the stored form of a random token."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_secret(secret: str) -> str:
    """Returns the stored form of a secret; ValueError if it is too long for bcrypt."""
    if is_too_long(secret):
        raise ValueError(f"the secret is longer than {LONGEST_SECRET} bytes; choose a shorter one")
    return bcrypt.hashpw(secret.encode(), bcrypt.gensalt(ROUNDS)).decode()


def made_hash(secret: str) -> str:
    """Returns the stored form of a secret from `new_token`."""
    return _MADE + digest(secret)


def is_too_long(secret: str) -> bool:
    return len(secret.encode()) > LONGEST_SECRET


def derive_key(secret: Secret, purpose: str) -> bytes:
    """Derives a 256-bit key for one purpose (RFC 5869)."""
    info = f"auth-agent server {purpose}".encode()
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
    return hkdf.derive(secret.reveal().encode())


@functools.cache
def _nobody() -> str:
    """Returns the hash of a secret that no account has, for comparisons in equal time."""
    return hash_secret(new_token("no_"))


class SecretVerifier:
    """Compares a secret with its stored form; caches what bcrypt has just verified.

    The cache holds a digest under this process's random key that includes the stored hash: a secret
    that was replaced by another process stops matching at once.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._key = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()
        self._nobody = _nobody()

    def verify(self, stored: str | None, secret: str) -> bool:
        """Compares a secret; Refusal 503 if too many comparisons are running.

        Takes the same time for a wrong secret as for an unknown account. Only a guess in the form
        of the server's own secrets is quick, unless a chosen secret is stored.
        """
        if is_too_long(secret):
            return False
        if self.recognises(stored, secret):
            return True
        is_hashed = stored is not None and not stored.startswith(_MADE)
        if not is_hashed and _MADE_HERE.fullmatch(secret):
            return False
        right = _compare(secret, stored if stored and is_hashed else self._nobody)
        if not right or not is_hashed or stored is None:
            return False
        self._remember(self.mark(stored, secret))
        return True

    def recognises(self, stored: str | None, secret: str) -> bool:
        """Returns True if the secret is right and that can be seen in microseconds.

        True for secrets that this server made, and for those verified in the last minutes.
        """
        if stored is None:
            return False
        if stored.startswith(_MADE):
            return hmac.compare_digest(stored.encode(), made_hash(secret).encode())
        return self._recognises(self.mark(stored, secret))

    def mark(self, stored: str, secret: str) -> bytes:
        """Returns a digest of both that only this process can make."""
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


def _compare(secret: str, stored: str) -> bool:
    or_wait()
    if not _PLACES.acquire(blocking=False):
        raise _BUSY
    try:
        with _TURNS:
            return bcrypt.checkpw(secret.encode(), stored.encode())
    finally:
        _PLACES.release()


class CodeMaker:
    """Derives a sign-in's code from its id: the code can be repeated and is never stored."""

    def __init__(self, server_secrets: tuple[Secret, ...]) -> None:
        self._keys = [derive_key(secret, "code") for secret in server_secrets]
        self._challenges = derive_key(server_secrets[0], "challenge")

    def code(self, request_id: str) -> str:
        return _code(self._keys[0], request_id)

    def sign(self, text: str) -> str:
        """Returns the signature under a verification challenge."""
        return hmac.digest(self._challenges, text.encode("utf-8", "replace"), "sha256").hex()

    def find(self, request_id: str, code_hash: str) -> str | None:
        """Returns the code with this digest, even if the server's secret has changed since."""
        for key in self._keys:
            code = _code(key, request_id)
            if hmac.compare_digest(digest(code), code_hash):
                return code
        return None


def _code(key: bytes, request_id: str) -> str:
    return "ac_" + hmac.digest(key, request_id.encode(), "sha256").hex()
