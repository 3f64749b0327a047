"""`private_key_jwt`: the website proves itself with a key that never leaves it."""

from __future__ import annotations

from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth_agent import SettingsError
from auth_agent.protocol.jose.key_file import read_key_file
from auth_agent.protocol.jose.private_key import thumbprint
from tests.website.browser import cause

KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def make_keyed_site(make_site, server):
    def make(alg="ES256", **changes):
        server.client_key = KEYS[alg].public_key()
        server.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
        return make_site(**{"client_secret": None, "client_key": pem(KEYS[alg]), **changes})

    return make


@pytest.mark.parametrize("alg", KEYS)
def test_signs_in_with_each_kind_of_key(make_keyed_site, server, alg):
    assert make_keyed_site(alg).sign_in().status == 303
    header, claims = assertion(server)
    assert header["alg"] == alg
    assert header["kid"]
    assert claims["aud"] == server.issuer
    assert claims["exp"] - claims["iat"] == 60


def test_every_assertion_is_new(make_keyed_site, server):
    site = make_keyed_site()
    seen = set()
    for _ in range(3):
        site.sign_in()
        seen.add(assertion(server)[1]["jti"])
    assert len(seen) == 3


def test_the_key_may_lie_in_a_file(make_keyed_site, tmp_path):
    path = tmp_path / "client.pem"
    path.write_text(pem(KEYS["ES256"]))
    path.chmod(0o600)
    assert make_keyed_site(client_key=str(path)).sign_in().status == 303


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640, 0o602])
def test_a_key_file_that_others_may_read_or_change_stops_the_site(make_keyed_site, tmp_path, mode):
    path = tmp_path / "client.pem"
    path.write_text(pem(KEYS["ES256"]))
    path.chmod(mode)
    with pytest.raises(SettingsError, match=r"AUTH_AGENT_CLIENT_KEY .*: run chmod 600"):
        make_keyed_site(client_key=str(path))


def test_the_mode_matters_where_a_private_key_is(tmp_path):
    path = tmp_path / "some.pem"
    for text in ("-----BEGIN PUBLIC KEY-----\n", "nothing"):
        path.write_text(text)
        path.chmod(0o666)
        assert read_key_file(path) == text


def test_it_is_preferred_to_a_secret(make_keyed_site, server):
    server.metadata["token_endpoint_auth_methods_supported"] = [
        "client_secret_basic",
        "private_key_jwt",
    ]
    make_keyed_site(client_secret="cs_secret").sign_in()
    assert "client_assertion" in form(server)


def test_another_key_is_refused(make_keyed_site, server):
    site = make_keyed_site()
    server.client_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(jwt.InvalidSignatureError):
        site.sign_in()


def test_the_secret_part_is_in_no_message(make_keyed_site):
    site = make_keyed_site()
    assert "PRIVATE" not in repr(site.relying_party.settings)


@pytest.mark.parametrize(
    "key",
    [
        "not a key",
        "/nowhere/client.pem",
        "-----BEGIN PRIVATE KEY-----\ngarbage\n-----END PRIVATE KEY-----",
        pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505
        pem(ec.generate_private_key(ec.SECP256K1())),
    ],
)
def test_a_wrong_key_stops_the_site(make_keyed_site, key):
    with pytest.raises(SettingsError, match="AUTH_AGENT_CLIENT_KEY"):
        make_keyed_site(client_key=key)


def test_the_method_needs_its_key(make_site):
    with pytest.raises(SettingsError, match="AUTH_AGENT_CLIENT_KEY is missing"):
        make_site(client_auth="private_key_jwt")


def test_no_credential_of_ours_fits(make_site, server):
    server.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    assert cause(make_site().sign_in()) == "client_auth_unsupported"


def test_thumbprints_are_those_of_rfc_7638():
    """Takes the example of section 3.1."""
    jwk = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSo"
        "c_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0"
        "_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4"
        "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def form(server):
    request = [r for r in server.requests if r.url.endswith("/token")][-1]
    return {name: value[0] for name, value in parse_qs(request.body.decode()).items()}


def assertion(server):
    token = form(server)["client_assertion"]
    options = {"verify_signature": False}
    return jwt.get_unverified_header(token), jwt.decode(token, options=options)
