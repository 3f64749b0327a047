"""Keys derived from the site's secrets, and the values that they seal.

Every key serves one purpose and one (issuer, client id, base URL): a value made for another site,
another issuer or another purpose does not verify. The first secret seals, all of them open.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Sequence
from functools import cached_property

import itsdangerous
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous.signer import SigningAlgorithm

from auth_agent.protocol.jose.base64url import decode, encode
from auth_agent.secret import Discreet, Secret

_SALT = b"auth-agent/1"


_NONCE_BYTES = 12  # NIST SP 800-38D 8.2.2; far below 2**32 messages for each key


class _HmacSha256(SigningAlgorithm):
    """HMAC in one call: five times as fast as itsdangerous' own, which every request needs."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")


class Sealed(Discreet, frozen=True):
    """The content of a seal, and the index of the secret that opened it (0 is the newest)."""

    data: bytes
    generation: int

    def __repr__(self) -> str:
        return f"Sealed({len(self.data)} bytes, generation={self.generation})"


class Seal:
    """Signs readable values and encrypts secret ones; opening a foreign value returns `None`."""

    def __init__(
        self,
        secrets: Sequence[Secret],
        *context: str,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._secrets = tuple(secrets)
        self._context = context
        self._random = random
        self._known_ciphers: dict[str, tuple[AESGCM, ...]] = {}

    def __repr__(self) -> str:
        return f"Seal({len(self._secrets)} secrets)"

    @property
    def generations(self) -> int:
        """Returns the number of secrets; 0 is the newest generation."""
        return len(self._secrets)

    @cached_property
    def _signer(self) -> itsdangerous.Signer:
        # Our list is newest first; itsdangerous wants the signing key last. The derivation is done.
        keys = [self._key("session signature", secret) for secret in reversed(self._secrets)]
        return itsdangerous.Signer(keys, key_derivation="none", algorithm=_HmacSha256())

    def sign(self, data: bytes) -> str:
        signed: bytes = self._signer.sign(encode(data))
        return signed.decode("ascii")

    def unsign(self, text: str) -> bytes | None:
        if not self._secrets:  # an API where no browser signs in
            return None
        try:
            return decode(self._signer.unsign(text))
        except (itsdangerous.BadData, ValueError):
            return None

    def encrypt(self, purpose: str, data: bytes, *, bound_to: str = "") -> str:
        """Encrypts with AES-256-GCM; opening needs the same `bound_to`, which is authenticated."""
        nonce = self._random(_NONCE_BYTES)
        cipher = self._ciphers(purpose)[0]
        return encode(nonce + cipher.encrypt(nonce, data, bound_to.encode()))

    def decrypt(self, purpose: str, text: str, *, bound_to: str = "") -> Sealed | None:
        try:
            sealed = decode(text)
        except ValueError:
            return None
        nonce, box = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        if len(box) < 16:
            return None
        for generation, cipher in enumerate(self._ciphers(purpose)):
            try:
                return Sealed(cipher.decrypt(nonce, box, bound_to.encode()), generation)
            except InvalidTag:
                continue
        return None

    def derive(self, label: str, value: str, *, generation: int = 0) -> str:
        """Returns 43 characters that only the holder of this secret can compute from `value`."""
        key = self._key(label, self._secrets[generation])
        return encode(hmac.digest(key, value.encode(), "sha256"))

    def _ciphers(self, purpose: str) -> tuple[AESGCM, ...]:
        """Returns the ciphers, made once per purpose: hundreds of planted cookies may be tried."""
        if purpose not in self._known_ciphers:
            keys = (self._key(purpose, secret) for secret in self._secrets)
            self._known_ciphers[purpose] = tuple(AESGCM(key) for key in keys)
        return self._known_ciphers[purpose]

    def _key(self, purpose: str, secret: Secret) -> bytes:
        info = msgspec.json.encode([purpose, *self._context])
        return HKDF(SHA256(), 32, _SALT, info).derive(secret.reveal().encode())
