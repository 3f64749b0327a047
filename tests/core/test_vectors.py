"""Published vectors."""

from __future__ import annotations

import jwt
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from auth_agent.errors import TokenRefused
from auth_agent.jwks import parse_jwks
from auth_agent.jws import read_header, verify_signature
from auth_agent.testing.provider import json_response

# RFC 7515 A.3: ES256.
ES256_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
ES256_TOKEN = (
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
# RFC 8037 A.4: Ed25519; its payload is no JSON.
ED25519_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
ED25519_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def key_of(jwk):
    return parse_jwks(json_response(200, {"keys": [jwk]}), now=0).keys[0]


def test_rfc_7636_appendix_b():
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert create_s256_code_challenge(verifier) == challenge


def test_rfc_7515_a_3():
    assert read_header(ES256_TOKEN).alg == "ES256"
    claims = verify_signature(ES256_TOKEN, key_of(ES256_KEY), "ES256")
    assert claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}


def test_rfc_7515_a_3_with_a_changed_payload():
    forged = ES256_TOKEN.replace("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb2Ki")
    with pytest.raises(TokenRefused) as caught:
        verify_signature(forged, key_of(ES256_KEY), "ES256")
    assert caught.value.code == "signature_invalid"


def test_rfc_8037_a_4():
    """The signature is good, and what is signed is refused because it is no set of claims."""
    key = key_of(ED25519_KEY)
    assert jwt.PyJWS(["EdDSA"]).decode(ED25519_TOKEN, key.public, ["EdDSA"])
    with pytest.raises(TokenRefused) as caught:
        verify_signature(ED25519_TOKEN, key, "EdDSA")
    assert caught.value.code == "token_malformed"


def test_rfc_7515_a_5_is_unsecured_and_refused():
    unsecured = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ."
    with pytest.raises(TokenRefused):
        read_header(unsecured)
