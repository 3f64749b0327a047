"""Every check of the ID token: each row breaks exactly one thing and sees the refusal."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from auth_agent.testing.issuer import ABSENT
from auth_agent.testing.provider import json_response
from tests.website.browser import cause

DAY = 86_400


def test_an_honest_token_signs_the_agent_in(browser):
    assert browser.sign_in().status == 303
    agent = browser.agent
    assert (agent.id, agent.issuer) == ("agent_7", "https://auth.example")
    assert (agent.model, agent.email, agent.email_verified) == (
        "claude-opus-4",
        "owner@example.com",
        True,
    )
    assert agent.via == "session"


@pytest.mark.parametrize(
    ("claim", "value", "code"),
    [
        ("iss", "https://other.example", "issuer_mismatch"),
        ("iss", "https://auth.example/", "issuer_mismatch"),
        ("iss", ABSENT, "issuer_mismatch"),
        ("aud", "client_other", "audience_mismatch"),
        ("aud", ["client_shop", "client_other"], "audience_mismatch"),
        ("aud", [], "audience_mismatch"),
        ("aud", ABSENT, "audience_mismatch"),
        ("azp", "client_other", "azp_mismatch"),
        ("azp", None, "azp_mismatch"),
        ("exp", ABSENT, "time_missing"),
        ("exp", "1800003600", "time_missing"),
        ("exp", True, "time_missing"),
        ("exp", 1_800_000_000 - 60, "token_expired"),
        ("iat", ABSENT, "time_missing"),
        ("iat", 1_800_000_000 + 61, "iat_ahead"),
        ("iat", 1_800_000_000 - 28_800 - 61, "iat_too_old"),
        ("nbf", 1_800_000_000 + 61, "nbf_ahead"),
        ("nbf", "soon", "time_missing"),
        ("sub", ABSENT, "sub_missing"),
        ("sub", "", "sub_missing"),
        ("sub", 7, "sub_missing"),
        ("nonce", "n" * 43, "nonce_mismatch"),
        ("nonce", ABSENT, "nonce_mismatch"),
        ("nonce", None, "nonce_mismatch"),
        ("at_hash", "A" * 22, "at_hash_mismatch"),
        ("at_hash", None, "at_hash_mismatch"),
    ],
)
def test_a_wrong_claim_is_refused(browser, server, claim, value, code):
    server.claims[claim] = value
    assert_refused(browser, code)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("aud", ["client_shop"]),
        ("azp", "client_shop"),
        ("exp", 1_800_000_000 - 59),
        ("iat", 1_800_000_000 + 60),
        ("iat", 1_800_000_000 - 28_800),
        ("nbf", 1_800_000_000 + 60),
        ("at_hash", ABSENT),
    ],
)
def test_what_the_specification_allows_is_accepted(browser, server, claim, value):
    server.claims[claim] = value
    assert browser.sign_in().status == 303
    assert browser.agent.id == "agent_7"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("alg", "none", "token_malformed"),
        ("alg", "HS256", "algorithm_refused"),
        ("alg", "RS256", "algorithm_refused"),  # allowed by us, not advertised by this server
        ("alg", "es256", "algorithm_refused"),
        ("alg", ABSENT, "token_malformed"),
        ("typ", "at+jwt", "typ_mismatch"),
        ("typ", "logout+jwt", "typ_mismatch"),
        ("typ", 7, "typ_mismatch"),
        ("crit", ["exp"], "header_forbidden"),
        ("jwk", {"kty": "EC"}, "header_forbidden"),
        ("jku", "https://evil.example/jwks", "header_forbidden"),
        ("x5u", "https://evil.example/cert", "header_forbidden"),
        ("x5c", ["MIIB"], "header_forbidden"),
        ("b64", False, "header_forbidden"),
        ("kid", "another", "key_unknown"),
        ("kid", 7, "token_malformed"),
    ],
)
def test_a_wrong_header_is_refused(browser, server, field, value, code):
    server.header[field] = value
    assert_refused(browser, code)


def test_an_algorithm_outside_our_own_list_is_refused(make_site):
    browser = make_site(algorithms="RS256")
    assert_refused(browser, "algorithm_refused")


@pytest.mark.parametrize("typ", [ABSENT, "JWT", "jwt", "application/jwt"])
def test_the_type_may_be_left_out_or_say_jwt(browser, server, typ):
    server.header["typ"] = typ
    assert browser.sign_in().status == 303


def test_a_changed_signature_is_refused(browser, server):
    honest = server.sign

    def forge(claims, header):
        head, body, signature = honest(claims, header).split(".")
        return f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"

    server.sign = forge
    assert_refused(browser, "signature_invalid")


def test_a_changed_payload_is_refused(browser, server):
    honest = server.sign

    def forge(claims, header):
        head, _, signature = honest(claims, header).split(".")
        _, body, _ = honest({**claims, "sub": "agent_8"}, header).split(".")
        return f"{head}.{body}.{signature}"

    server.sign = forge
    assert_refused(browser, "signature_invalid")


def test_another_key_under_a_known_name_is_refused(browser, server):
    server.sign_in = browser.sign_in()
    published, kid = server.key, server.kid
    server.key = ec.generate_private_key(ec.SECP256R1())
    server.kid = kid
    browser.cookies.clear()
    assert_refused(browser, "signature_invalid")
    server.key = published


def test_an_hmac_with_the_public_key_is_refused(browser, server):
    """Tries algorithm confusion: the public key as a shared secret (RFC 8725 2.1)."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from auth_agent.testing.issuer import encode

    def forge(claims, header):
        pem = server.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        head = encode(json.dumps({"alg": "HS256", "kid": server.kid}).encode())
        body = encode(json.dumps(claims).encode())
        mac = hmac.digest(pem, f"{head}.{body}".encode(), hashlib.sha256)
        return f"{head}.{body}.{encode(mac)}"

    server.sign = forge
    server.metadata["id_token_signing_alg_values_supported"] = ["ES256", "HS256"]
    assert_refused(browser, "algorithm_refused")


@pytest.mark.parametrize(
    "bend",
    [
        lambda key: {**key, "alg": "ES384"},
        lambda key: {**key, "use": "enc"},
        lambda key: {**key, "key_ops": ["sign"]},
        lambda key: {**key, "kty": "RSA"},
        lambda key: {**key, "crv": "P-384"},
        lambda key: {**key, "d": "c2VjcmV0"},
        lambda key: {**key, "kid": 7},
    ],
    ids=["other alg", "for encryption", "not for verifying", "other type", "other curve", "private",
         "strange name"],
)  # fmt: skip
def test_a_key_that_does_not_fit_is_refused(browser, server, bend):
    public = ECAlgorithm.to_jwk(server.key.public_key(), as_dict=True)
    key = {**public, "kid": server.kid, "alg": "ES256", "use": "sig"}
    other = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    keys = [bend(key), {**other, "kid": "another"}]
    server.answers["/.well-known/jwks.json"] = json_response(200, {"keys": keys})
    assert_refused(browser, "key_unknown")


def test_a_weak_rsa_key_is_no_key(browser, server):
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)  # noqa: S505
    keys = {"keys": [{**weak, "kid": server.kid}]}
    server.answers["/.well-known/jwks.json"] = json_response(200, keys)
    assert_refused(browser, "jwks_empty", status=502)


def test_a_token_is_measured_before_it_is_parsed(browser, server):
    server.claims["padding"] = "x" * 33_000
    assert_refused(browser, "token_too_large")


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "a b.c.d", "é.b.c", "." * 40_000, 7])
def test_what_is_no_token_is_refused(browser, server, token):
    server.token_response["id_token"] = token
    reply = browser.sign_in()
    assert reply.status in (401, 502)
    assert browser.agent is None


def assert_refused(browser, code, status=401):
    reply = browser.sign_in()
    assert (cause(reply), reply.status) == (code, status)
    assert browser.cookies == {}, "neither a session nor a transaction is left"
    assert browser.agent is None
