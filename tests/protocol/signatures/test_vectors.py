"""The published vectors of RFC 9421 appendix B and of Web Bot Auth appendix E."""

from __future__ import annotations

import base64
import hashlib

import pytest

from auth_agent.errors import SignatureRefused
from auth_agent.protocol.jose.private_key import PrivateKey, thumbprint
from auth_agent.protocol.signatures.base import signature_base
from auth_agent.protocol.signatures.fields import Component, read_agents, read_signatures
from auth_agent.protocol.signatures.keys import PUBLISHED_KEYS, is_signed, read_key
from auth_agent.protocol.signatures.message import request_message, response_message
from auth_agent.protocol.signatures.sign import content_digest, sign_message, sign_request
from auth_agent.protocol.signatures.verify import agent_member, check_profile, verify_signature
from tests.protocol.signatures.signing import NOW, VECTORS, published

REQUESTS = [one for one in VECTORS["vectors"] if "method" in one]
PROFILE = [one for one in REQUESTS if "web-bot-auth" in one["headers"]["Signature-Input"]]
RESPONSE = next(one for one in VECTORS["vectors"] if "response" in one)


def read(vector):
    message = request_message(vector["method"], vector["url"], vector["headers"].items())
    return message, *read_signatures(message.header("signature-input"), message.header("signature"))


@pytest.mark.parametrize("vector", REQUESTS, ids=lambda one: one["name"])
def test_a_published_signature_has_the_published_base_and_verifies(vector):
    message, signed = read(vector)
    assert signature_base(message, signed).decode() == vector["signature_base"]
    verify_signature(message, signed, published(vector["key"]))


@pytest.mark.parametrize("vector", PROFILE, ids=lambda one: one["name"])
def test_a_vector_of_the_profile_meets_the_profile_at_its_time(vector):
    message, signed = read(vector)
    now = signed.params["created"]
    lasting = signed.params["expires"] - now
    if lasting > 86_400:
        with pytest.raises(SignatureRefused, match="24 hours"):
            check_profile(signed, method=message.method, now=now)
    else:
        check_profile(signed, method=message.method, now=now)
    agents = read_agents(message.header("signature-agent"))
    assert agent_member(signed, agents).startswith("https://")


def test_plain_rfc_9421_is_no_web_bot_auth():
    (vector,) = [one for one in REQUESTS if one not in PROFILE]
    message, signed = read(vector)
    with pytest.raises(SignatureRefused, match="tag"):
        check_profile(signed, method=message.method, now=signed.params["created"])


def test_the_signed_directory_verifies_against_the_request_that_it_answers():
    request = request_message("GET", RESPONSE["request"]["url"])
    answer = RESPONSE["response"]
    message = response_message(request, answer["headers"].items())
    (signed,) = read_signatures(message.header("signature-input"), message.header("signature"))
    assert signature_base(message, signed).decode() == RESPONSE["signature_base"]
    verify_signature(message, signed, published(RESPONSE["key"]))
    assert answer["headers"]["Content-Digest"] == content_digest(answer["body"].encode())


@pytest.mark.parametrize("entry", VECTORS["published_test_keys_to_refuse"], ids=str)
def test_a_published_key_is_refused_in_every_set(entry):
    assert thumbprint(entry["jwk"]) == entry["thumbprint"]
    assert entry["thumbprint"] in PUBLISHED_KEYS
    assert read_key(entry["jwk"]) is None


def test_ecdsa_is_r_and_s():
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    private = ec.generate_private_key(ec.SECP256R1())
    der = private.sign(b"base", ec.ECDSA(SHA256()))
    numbers = utils.decode_dss_signature(der)
    raw = b"".join(number.to_bytes(32, "big") for number in numbers)
    point = private.public_key().public_numbers()
    key = read_key({"kty": "EC", "crv": "P-256", "x": number(point.x), "y": number(point.y)})
    assert is_signed(key, raw, b"base")
    assert not is_signed(key, raw, b"other")
    assert not is_signed(key, der, b"base")
    assert not is_signed(key, b"\0" * 64, b"base")


def number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(32, "big")).rstrip(b"=").decode()


def test_ed25519_signatures_are_deterministic_so_the_signer_makes_the_published_one():
    from cryptography.hazmat.primitives.asymmetric import ed25519

    (vector,) = [one for one in PROFILE if one["method"] == "POST"]
    seed = base64.urlsafe_b64decode(VECTORS["keys"][vector["key"]]["jwk"]["d"] + "=")
    kid = VECTORS["keys"][vector["key"]]["thumbprint"]
    key = PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(seed), "EdDSA", kid)
    message, signed = read(vector)
    again = dict(sign_message(message, signed.components, signed.params, key=key))
    assert again["Signature-Input"] == vector["headers"]["Signature-Input"]
    assert again["Signature"] == vector["headers"]["Signature"]
    made = dict(
        sign_request(
            "POST",
            vector["url"],
            key=key,
            agent="https://id.acme.example/agents/agent_7",
            now=NOW,
            nonce=bytes(range(16)),
        )
    )
    assert made["Signature-Agent"] == vector["headers"]["Signature-Agent"]
    message = request_message("POST", vector["url"], made.items())
    (signed,) = read_signatures(made["Signature-Input"], made["Signature"])
    assert signed.components == tuple(
        Component(*one)
        for one in [
            ("@method", {}),
            ("@authority", {}),
            ("@path", {}),
            ("@query", {}),
            ("signature-agent", {"key": "sig1"}),
        ]
    )
    verify_signature(message, signed, published(vector["key"]))


def test_a_digest_is_the_one_of_rfc_9530():
    digest = base64.b64encode(hashlib.sha256(b'{"hello": "world"}\n').digest()).decode()
    assert content_digest(b'{"hello": "world"}\n') == f"sha-256=:{digest}:"
    assert digest == "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="  # RFC 9530 B.1
