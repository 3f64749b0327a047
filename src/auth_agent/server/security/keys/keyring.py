"""Signing keys: stored with encrypted private parts, published for as long as needed.

There is a key for each algorithm that a client may ask for, so no client has to be reconfigured.
A new key is published at once but signs only after every worker has read it; an old key stays
published until the last token that it signed has expired.
"""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from auth_agent.errors import SettingsError
from auth_agent.secret import Secret
from auth_agent.server.bounds import DAY
from auth_agent.server.security.credentials import derive_key
from auth_agent.server.security.keys.signing import (
    UNOPENED,
    PrivateKey,
    SigningKey,
    Snapshot,
    generate,
    public_jwk,
)
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.tokens import signing_key, token_family

CACHE_SECONDS = 10
log = logging.getLogger("auth_agent.server")

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
_LIVE = select(signing_key.c.algorithm).where(signing_key.c.published_until.is_(None))
# OpenID Connect Discovery section 3 requires RS256; ES256 is this server's default so far.
ALWAYS = ("ES256", "RS256")


class Keyring:
    """The server's keys, cached for ten seconds."""

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
        self._wanted = tuple(dict.fromkeys((algorithm, *ALWAYS)))
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._is_settled = False

    def current(self) -> Snapshot:
        """Returns the published keys, and makes the first ones; never call it in a transaction."""
        snapshot, now = self._snapshot, self._clock()
        if snapshot is None or not 0 <= now - snapshot.read_at < CACHE_SECONDS:
            snapshot = self._read(now)
            is_missing = not self._is_settled and not all(map(snapshot.has, self._wanted))
            if not snapshot.keys or is_missing:
                self.rotate(only_if_missing=True)
                snapshot = self._read(now)
            if snapshot.unopened:
                self._keep_published(snapshot, int(now))
            # Only at the start: servers with different settings would rotate in turn for ever.
            self._is_settled = True
            self._snapshot = snapshot
        return snapshot

    def rotate(self, *, only_if_missing: bool = False) -> str:
        """Adds a key for each algorithm, which signs after ten seconds, and retires the others.

        Returns the id of the key for the server's own algorithm. Raises SettingsError, and changes
        nothing, if no existing key can be opened: a key under another secret would stop every
        server that has the right one.
        """
        made = [(name, generate(name), secrets.token_hex(8)) for name in self._wanted]
        now = int(self._clock())
        self._snapshot = None
        # Another process may add the same generation at this moment; its keys are as good.
        with suppress(IntegrityError), self._database.begin() as connection:
            self._add(connection, made, now, only_if_missing=only_if_missing)
        own = _PUBLISHED.where(signing_key.c.algorithm == self._algorithm).limit(1)
        with self._database.read() as connection:
            return str(connection.execute(own, {"now": now}).one().kid)

    def _add(
        self,
        connection: Connection,
        made: list[tuple[str, PrivateKey, str]],
        now: int,
        *,
        only_if_missing: bool,
    ) -> None:
        newest = connection.execute(_NEWEST).one_or_none()
        live = set(connection.execute(_LIVE).scalars())
        wanted = set(self._wanted) - (live if only_if_missing else set())
        if not wanted:
            return
        self._need_one_that_opens(connection, now)
        signs_from = now + CACHE_SECONDS if newest else now
        until = signs_from + CACHE_SECONDS + self._token_lifetime
        _retire(connection, until, live - set(self._wanted) | (live & wanted))
        first = newest.generation + 1 if newest else 1
        rows = [
            {
                "kid": kid,
                "generation": first + number,
                "algorithm": name,
                "public_jwk": public_jwk(key, kid, name),
                "private_sealed": self._seal(key, kid),
                "created_at": now,
                "signs_from": signs_from,
            }
            for number, (name, key, kid) in enumerate(made)
            if name in wanted
        ]
        connection.execute(insert(signing_key), rows)

    def _need_one_that_opens(self, connection: Connection, now: int) -> None:
        rows = connection.execute(_PUBLISHED, {"now": now}).all()
        if rows and all(self._unseal(row.private_sealed, row.kid) is None for row in rows):
            raise SettingsError([UNOPENED])

    def _keep_published(self, snapshot: Snapshot, now: int) -> None:
        """Keeps a retired key published as long as this server has no newer one to sign with.

        This happens when the secret is being changed and another server was restarted first.
        """
        until = now + CACHE_SECONDS + self._token_lifetime
        for algorithm in snapshot.algorithms():
            signer = snapshot.find_signer(now, algorithm)
            if signer is None or not snapshot.has_newer(signer, now):
                continue
            short = and_(signing_key.c.kid == signer.kid, signing_key.c.published_until < until)
            statement = update(signing_key).where(short).values(published_until=until + 60)
            with self._database.begin() as connection:
                connection.execute(statement)

    def _read(self, now: float) -> Snapshot:
        with self._database.read() as connection:
            rows = connection.execute(_PUBLISHED, {"now": int(now)}).all()
        known = {key.kid: key for key in self._snapshot.keys} if self._snapshot else {}
        keys = tuple(known.get(row.kid) or self._open(row) for row in rows)
        live = frozenset(row.algorithm for row in rows if row.published_until is None)
        return Snapshot(keys, now, self._algorithm, live)

    def _open(self, row: Any) -> SigningKey:
        private, jwk = self._unseal(row.private_sealed, row.kid), json.loads(row.public_jwk)
        if private is None:
            log.error("signing key %s: %s", row.kid, UNOPENED)
        public = jwt.PyJWK(jwk).key
        return SigningKey(row.kid, row.algorithm, private, public, jwk, row.signs_from)

    def _seal(self, key: PrivateKey, kid: str) -> str:
        plain = key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        nonce = secrets.token_bytes(12)
        sealed = self._sealing[0].encrypt(nonce, plain, kid.encode())
        return base64.b64encode(nonce + sealed).decode()

    def _unseal(self, sealed: str, kid: str) -> PrivateKey | None:
        """Returns the private key; None if no secret opens it, or if the row is damaged."""
        try:
            raw = base64.b64decode(sealed)
            for cipher in self._sealing:
                with suppress(InvalidTag):
                    plain = cipher.decrypt(raw[:12], raw[12:], kid.encode())
                    # Only this server can have sealed it, so that its primes, which this server has
                    # made, are not tested again: that takes longer than the rest of a start.
                    key = serialization.load_der_private_key(
                        plain, password=None, unsafe_skip_rsa_key_validation=True
                    )
                    return key if isinstance(key, PrivateKey) else None
        except ValueError:
            pass
        return None


def has_keys(database: Database, now: int) -> bool:
    """Returns True if the database holds published keys, which some secret encrypts."""
    with database.read() as connection:
        return connection.execute(_PUBLISHED, {"now": now}).first() is not None


def list_keys(database: Database, now: int) -> list[dict[str, Any]]:
    """Returns the published keys, newest first, without their private parts."""
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
    """Publishes a new signing key, which signs after a delay; returns its key id."""
    kid = keyring.rotate()
    with database.begin() as connection:
        record(connection, at=now, kind="key", outcome="rotated", request_id=kid)
    return kid


def _retire(connection: Connection, earliest: int, algorithms: Collection[str]) -> None:
    """Retires the current keys; they stay public until the last token signed with them expires."""
    last_token = connection.execute(select(func.max(token_family.c.access_expires_at))).scalar()
    connection.execute(
        update(signing_key)
        .where(signing_key.c.published_until.is_(None), signing_key.c.algorithm.in_(algorithms))
        .values(published_until=max(earliest, last_token or 0))
    )
