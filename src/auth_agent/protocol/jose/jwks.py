"""The server's signing keys (RFC 7517): an immutable snapshot, and the choice of a token's key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from auth_agent.errors import ServerMisbehaved
from auth_agent.flow.exchange import HttpRequest, HttpResponse, json_object
from auth_agent.protocol.jose.algorithms import algorithms_of, fits, library_name
from auth_agent.protocol.jose.bounds import MIN_RSA_BITS

MAX_KEYS = 100


class Key(msgspec.Struct, frozen=True):
    """A public key that may verify signatures."""

    kid: str | None
    kty: str
    crv: str | None
    alg: str | None
    public: Any

    def fits(self, alg: str) -> bool:
        """Returns True if the algorithm is one of this key's."""
        return fits(alg, self.kty, self.crv, self.alg)


class KeySet(msgspec.Struct, frozen=True):
    """The keys that the server published at one moment."""

    keys: tuple[Key, ...]

    def find(self, alg: str, kid: str | None) -> Key | None:
        """Returns the key with this id; without an id, the only key that fits.

        Never chooses between several keys, unless they are the same one, published twice.
        """
        fitting = [key for key in self.keys if key.fits(alg) and kid in (None, key.kid)]
        if not fitting or any(key.public != fitting[0].public for key in fitting):
            return None
        return fitting[0]

    def knows(self, kid: str) -> bool:
        return any(key.kid == kid for key in self.keys)


def jwks_request(jwks_uri: str) -> HttpRequest:
    return HttpRequest("GET", jwks_uri, (("Accept", "application/jwk-set+json, application/json"),))


def parse_jwks(response: HttpResponse) -> KeySet:
    """Parses the keys; skips unusable ones, raises `ServerMisbehaved` if none is left."""
    document = json_object(response, "key set") if response.status == 200 else {}
    entries = document.get("keys")
    listed = entries[:MAX_KEYS] if isinstance(entries, list) else []
    usable = (_parse_key(entry) for entry in listed)
    keys = tuple(key for key in usable if key is not None)
    if not keys:
        raise ServerMisbehaved(
            f"The server's key set (status {response.status}) contains no usable key. The "
            "original Auth Agent server publishes none; for such a server set "
            "AUTH_AGENT_IDENTITY=introspection.",
            code="jwks_empty",
        )
    return KeySet(keys)


def _parse_key(entry: object) -> Key | None:
    from jwt import PyJWK  # noqa: PLC0415  # 100 ms that the first request need not wait for
    from jwt.exceptions import PyJWTError  # noqa: PLC0415

    if not isinstance(entry, dict) or not _may_verify(entry):
        return None
    algorithm = _any_algorithm(entry)
    if algorithm is None:
        return None
    try:
        public = PyJWK(entry, algorithm=algorithm).key
    except (PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if entry["kty"] == "RSA" and public.key_size < MIN_RSA_BITS:
        return None
    kid, alg = entry.get("kid"), entry.get("alg")
    if not isinstance(kid, str | None) or not isinstance(alg, str | None):
        return None
    return Key(kid, entry["kty"], entry.get("crv"), alg, public)


def _may_verify(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops")
    return (
        entry.get("use") in (None, "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
        and "d" not in entry  # its private half is public, so any reader can sign with it
    )


def _any_algorithm(entry: Mapping[str, Any]) -> str | None:
    curve = None if "crv" not in entry else str(entry["crv"])
    fitting = algorithms_of(str(entry.get("kty")), curve)
    return library_name(fitting[0]) if fitting else None
