"""Signing keys: in the database, private parts sealed, published as long as they may be needed.

A new key is published at once but signs only after every worker has read it; an old key is
published until the last token that it signed has expired.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.errors import SettingsError
from auth_agent.protocol.jose.bounds import MIN_RSA_BITS
from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY
from auth_agent.server.security.credentials import derive_key
from auth_agent.server.settings import ALGORITHMS
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables import signing_key, token_family

CACHE_SECONDS = 10
_JWS = jwt.PyJWS()
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_PUBLISHED = (
    select(signing_key)
    .where(
        or_(
            signing_key.c.published_until.is_(None),
            signing_key.c.published_until > bindparam("now"),
        )
    )
    .order_by(signing_key.c.generation.desc())
)
_NEWEST = select(signing_key).order_by(signing_key.c.generation.desc()).limit(1)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A key pair under its id; the private part never shows itself."""

    kid: str
    algorithm: str
    private: PrivateKey
    public: Any
    public_jwk: Mapping[str, str]
    signs_from: int

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """A compact JWS over the claims."""
        headers = {"kid": self.kid, "typ": typ}
        return _JWS.encode(msgspec.json.encode(claims), self.private, self.algorithm, headers)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The keys as they were read at one moment, newest first."""

    keys: tuple[SigningKey, ...]
    read_at: float

    def signer(self, now: float) -> SigningKey:
        """The newest key that every worker knows by now."""
        return next((key for key in self.keys if key.signs_from <= now), self.keys[-1])

    def has(self, algorithm: str) -> bool:
        return bool(self.keys) and self.keys[0].algorithm == algorithm

    def find(self, kid: object) -> SigningKey | None:
        return next((key for key in self.keys if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517 section 5)."""
        return {"keys": [dict(key.public_jwk) for key in self.keys]}


class Keyring:
    """The server's keys, read again when the last reading is ten seconds old."""

    def __init__(
        self,
        database: Database,
        server_secrets: tuple[Secret, ...],
        algorithm: str,
        clock: Callable[[], float],
        token_lifetime: int = DAY,
    ) -> None:
        self._token_lifetime = token_lifetime
        self._database = database
        self._sealing = [AESGCM(derive_key(secret, "signing keys")) for secret in server_secrets]
        self._algorithm = algorithm
        self._clock = clock
        self._snapshot: Snapshot | None = None

    def current(self) -> Snapshot:
        """Makes the first key if there is none; never call it inside a transaction."""
        snapshot, now = self._snapshot, self._clock()
        if snapshot is None or not 0 <= now - snapshot.read_at < CACHE_SECONDS:
            snapshot = self._read(now)
            if not snapshot.has(self._algorithm):
                self.rotate(only_if_missing=True)
                snapshot = self._read(now)
            self._snapshot = snapshot
        return snapshot

    def rotate(self, *, only_if_missing: bool = False) -> str:
        """Adds a key that signs from ten seconds on, retires the others, returns its id."""
        key, kid = _generate(self._algorithm), secrets.token_hex(8)
        now = int(self._clock())
        self._snapshot = None
        try:
            with self._database.begin() as connection:
                newest = connection.execute(_NEWEST).one_or_none()
                if only_if_missing and newest and newest.algorithm == self._algorithm:
                    return str(newest.kid)
                signs_from = now + CACHE_SECONDS if newest else now
                _retire(connection, signs_from + CACHE_SECONDS + self._token_lifetime)
                row = {
                    "kid": kid,
                    "generation": newest.generation + 1 if newest else 1,
                    "algorithm": self._algorithm,
                    "public_jwk": _public_jwk(key, kid, self._algorithm),
                    "private_sealed": self._seal(key, kid),
                    "created_at": now,
                    "signs_from": signs_from,
                }
                connection.execute(insert(signing_key), row)
        except IntegrityError:
            # Another process added the same generation at this moment; its key is as good.
            with self._database.read() as connection:
                kid = str(connection.execute(_NEWEST).one().kid)
        return kid

    def _read(self, now: float) -> Snapshot:
        with self._database.read() as connection:
            rows = connection.execute(_PUBLISHED, {"now": int(now)}).all()
        known = {key.kid: key for key in self._snapshot.keys} if self._snapshot else {}
        return Snapshot(tuple(known.get(row.kid) or self._open(row) for row in rows), now)

    def _open(self, row: Any) -> SigningKey:
        private = self._unseal(row.private_sealed, row.kid)
        return SigningKey(
            row.kid,
            row.algorithm,
            private,
            private.public_key(),
            json.loads(row.public_jwk),
            row.signs_from,
        )

    def _seal(self, key: PrivateKey, kid: str) -> str:
        plain = key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        nonce = secrets.token_bytes(12)
        sealed = self._sealing[0].encrypt(nonce, plain, kid.encode())
        return base64.b64encode(nonce + sealed).decode()

    def _unseal(self, sealed: str, kid: str) -> PrivateKey:
        raw = base64.b64decode(sealed)
        for cipher in self._sealing:
            try:
                plain = cipher.decrypt(raw[:12], raw[12:], kid.encode())
            except InvalidTag:
                continue
            key = serialization.load_der_private_key(plain, password=None)
            if isinstance(key, PrivateKey):
                return key
        raise SettingsError(
            [
                "AUTH_AGENT_SERVER_SECRET does not open the signing keys in this database; "
                "put the secret that was used before at the end of the list"
            ]
        )


def list_keys(database: Database, now: int) -> list[dict[str, Any]]:
    """The published keys, newest first; nothing of their private parts."""
    with database.read() as connection:
        rows = connection.execute(_PUBLISHED, {"now": now}).all()
    return [
        {
            "kid": row.kid,
            "algorithm": row.algorithm,
            "created_at": row.created_at,
            "signs_from": row.signs_from,
            "published_until": row.published_until,
        }
        for row in rows
    ]


def rotate_key(database: Database, keyring: Keyring, now: int) -> str:
    """Publishes a new signing key, which signs a little later; its key id."""
    kid = keyring.rotate()
    with database.begin() as connection:
        record(connection, at=now, kind="key", outcome="rotated", request_id=kid)
    return kid


def _retire(connection: Connection, earliest: int) -> None:
    """Keys that are replaced now stay public until the last token signed with them has expired."""
    last_token = connection.execute(select(func.max(token_family.c.access_expires_at))).scalar()
    connection.execute(
        update(signing_key)
        .where(signing_key.c.published_until.is_(None))
        .values(published_until=max(earliest, last_token or 0))
    )


def _generate(algorithm: str) -> PrivateKey:
    if algorithm not in ALGORITHMS:
        raise SettingsError(
            [f"{algorithm} is not supported; choose one of {', '.join(ALGORITHMS)}"]
        )
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _public_jwk(key: PrivateKey, kid: str, algorithm: str) -> str:
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    public = {name: value for name, value in jwk.items() if name != "key_ops"}
    return json.dumps({**public, "kid": kid, "use": "sig", "alg": algorithm})
