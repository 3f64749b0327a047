"""Public keys of clients and agents, as JSON Web Keys (RFC 7517)."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from auth_agent.protocol.jose.algorithms import ALGORITHMS, fits, is_small_order, library_name
from auth_agent.protocol.jose.algorithms import algorithms_of as algorithms_for
from auth_agent.protocol.jose.bounds import MIN_RSA_BITS
from auth_agent.protocol.jose.private_key import thumbprint
from auth_agent.protocol.signatures.keys import PUBLISHED_KEYS

MOST_KEYS = 20
ASSERTION_ALGORITHMS = ALGORITHMS
_USABLE = "use a key of type RSA, EC (P-256, P-384, P-521) or Ed25519"
_PUBLIC_PARTS = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use")
Jwk = dict[str, Any]


def parse_keys(text: str) -> list[Jwk]:
    """Returns the public keys of a PEM file, a JWK or a JWKS; ValueError names what is wrong.

    Refuses a private key: by sending it here, its owner has exposed it.
    """
    if "-----BEGIN" in text:
        return [_from_pem(text)]
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the key file is neither PEM nor JSON") from None
    keys = data.get("keys", [data]) if isinstance(data, dict) else None
    if not isinstance(keys, list) or not 1 <= len(keys) <= MOST_KEYS:
        raise ValueError(f"a key set holds 1 to {MOST_KEYS} keys")
    return [_respelled(_checked(key)) for key in keys]


def parse_request_key(text: str) -> Jwk:
    """Returns the one Ed25519 key of a PEM file, a JWK or a JWKS, under its thumbprint as `kid`.

    Raises ValueError for every other key: agents sign their requests with Ed25519.
    """
    keys = parse_keys(text)
    if len(keys) != 1:
        raise ValueError("the file holds several keys; give one signing key at a time")
    if keys[0].get("crv") != "Ed25519":
        raise ValueError("requests are signed with an Ed25519 key; give one of that type")
    key = {name: keys[0][name] for name in ("kty", "crv", "x")}
    kid = thumbprint(key)
    if kid in PUBLISHED_KEYS:
        raise ValueError("this is a test key that RFC 9421 has published; make one of your own")
    return {**key, "kid": kid, "use": "sig"}


def usable_keys(data: Any) -> list[Jwk]:
    """Returns the usable keys of a JWKS; skips the others."""
    keys = data.get("keys") if isinstance(data, dict) else None
    found = []
    for key in keys[:MOST_KEYS] if isinstance(keys, list) else ():
        try:
            found.append(_checked(key))
        except ValueError:
            continue
    return found


def choose_key(keys: list[Jwk], kid: object, algorithm: object) -> tuple[Any, str] | None:
    """Returns the one key that fits a token's header, with its algorithm, or None.

    If there is a single key, `kid` is only a hint: a client that registered one PEM key cannot
    know the key's id here.
    """
    fitting = [
        key
        for key in keys
        if (len(keys) == 1 or kid in (None, name_of(key))) and _may_use(key, algorithm)
    ]
    if len(fitting) != 1 or not isinstance(algorithm, str):
        return None
    return _loaded(fitting[0], algorithm), algorithm


def _may_use(key: Jwk, algorithm: object) -> bool:
    return algorithm in algorithms_of(key) and fits(
        str(algorithm), key["kty"], key.get("crv"), key.get("alg")
    )


def _loaded(key: Jwk, algorithm: str) -> Any:
    """Loads the key without its own `alg`, because PyJWT does not know every name."""
    bare = {name: value for name, value in key.items() if name != "alg"}
    return jwt.PyJWK(bare, library_name(algorithm)).key


def name_of(key: Jwk) -> str:
    """Returns the `kid` in tokens: the key's own, or its thumbprint (RFC 7638, as our SDK does)."""
    name = key.get("kid")
    return name if isinstance(name, str) else thumbprint(key)


def algorithms_of(key: Jwk) -> tuple[str, ...]:
    """Returns the algorithms that the key may sign with; none for keys on Ed448."""
    curve = key.get("crv")
    return () if curve == "Ed448" else algorithms_for(key["kty"], curve)


def _checked(key: Any) -> Jwk:
    if not isinstance(key, dict) or not isinstance(key.get("kty"), str):
        raise ValueError("an entry of the key set is not a JWK")  # noqa: TRY004
    if "d" in key or "k" in key:
        raise ValueError("this is a private or shared key; give only the public key")
    curve = key.get("crv")
    if not isinstance(curve, str | None) or not algorithms_of(key):
        raise ValueError(_USABLE)
    if key.get("use", "sig") != "sig":
        raise ValueError("the key is not for signatures")
    if any(not isinstance(key.get(name, ""), str) for name in _PUBLIC_PARTS):
        raise ValueError("an entry of the key set is not a JWK")
    public = {name: key[name] for name in _PUBLIC_PARTS if name in key}
    try:
        loaded = _loaded(public, algorithms_of(key)[0])
    except (jwt.PyJWTError, ValueError, TypeError):
        raise ValueError("the key cannot be read") from None
    if isinstance(loaded, rsa.RSAPublicKey) and loaded.key_size < MIN_RSA_BITS:
        raise ValueError(f"the RSA key is shorter than {MIN_RSA_BITS} bits")
    if isinstance(loaded, ed25519.Ed25519PublicKey) and is_small_order(loaded.public_bytes_raw()):
        raise ValueError(
            "this Ed25519 key is weak (a point of small order): anyone can sign for it; make a "
            "new key"
        )
    return public


def _respelled(key: Jwk) -> Jwk:
    """Returns the key in its canonical spelling: one key has one thumbprint (RFC 7638)."""
    name = library_name(algorithms_of(key)[0])
    jwk = jwt.get_algorithm_by_name(name).to_jwk(_loaded(key, name), as_dict=True)
    return {part: jwk.get(part, value) for part, value in key.items()}


def _from_pem(text: str) -> Jwk:
    if "PRIVATE KEY" in text:
        raise ValueError("this is a private key; give only the public key")
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, TypeError):
        raise ValueError("the PEM file holds no public key") from None
    if isinstance(key, rsa.RSAPublicKey):
        algorithm = "RS256"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        algorithm = {"secp384r1": "ES384", "secp521r1": "ES512"}.get(key.curve.name, "ES256")
    elif isinstance(key, ed25519.Ed25519PublicKey):
        algorithm = "EdDSA"
    else:
        raise ValueError(_USABLE)  # noqa: TRY004
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    return _checked({name: value for name, value in jwk.items() if name != "key_ops"})
