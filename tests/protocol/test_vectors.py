"""Published vectors."""

from __future__ import annotations

import jwt
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography.hazmat.primitives.asymmetric import rsa

from auth_agent import Settings
from auth_agent.errors import ServerMisbehaved, TokenRefused
from auth_agent.protocol.jose.access_token import (
    ExpectedAccess,
    read_access_token,
    verify_access_token,
)
from auth_agent.protocol.jose.jwks import parse_jwks
from auth_agent.protocol.jose.jws import check_algorithm, read_header, verify_signature
from auth_agent.protocol.jose.private_key import thumbprint
from auth_agent.testing.provider import json_response
from auth_agent.website.config.fields import ALGORITHMS
from auth_agent.website.recognition.authorization import agent_of_token

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


# RFC 7515 A.2: RS256.
RS256_KEY = {
    "kty": "RSA",
    "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ"
    "PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0"
    "LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD"
    "Zlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2"
    "PAcDTW9gb54h4FRWyuXpoQ",
    "e": "AQAB",
}
RS256_TOKEN = (
    "eyJhbGciOiJSUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG"
    "bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6"
    "LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
# RFC 7515 A.1: HS256, with the key that stands there.
HS256_KEY = {
    "kty": "oct",
    "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
}
HS256_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
# RFC 7515 A.4: ES512; its payload is no JSON.
ES512_KEY = {
    "kty": "EC",
    "crv": "P-521",
    "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
    "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2",
}
ES512_TOKEN = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwF"
    "KdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)


def key_of(jwk):
    return parse_jwks(json_response(200, {"keys": [jwk]})).keys[0]


def test_rfc_7636_appendix_b():
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert create_s256_code_challenge(verifier) == challenge


def test_rfc_7515_a_1_is_signed_with_a_shared_secret_and_refused():
    header = read_header(HS256_TOKEN)
    with pytest.raises(TokenRefused) as caught:
        check_algorithm(header, ALGORITHMS)
    assert caught.value.code == "algorithm_refused"
    with pytest.raises(ServerMisbehaved) as published:
        key_of(HS256_KEY)
    assert published.value.code == "jwks_empty"


def test_rfc_7515_a_2():
    claims = verify_signature(RS256_TOKEN, key_of(RS256_KEY), "RS256")
    assert claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    with pytest.raises(TokenRefused):
        verify_signature(RS256_TOKEN, key_of(RS256_KEY), "PS256")


def test_rfc_7515_a_4():
    """Accepts the signature, and refuses the payload, which is no set of claims."""
    assert jwt.PyJWS(["ES512"]).decode(ES512_TOKEN, key_of(ES512_KEY).public, ["ES512"])
    with pytest.raises(TokenRefused) as caught:
        verify_signature(ES512_TOKEN, key_of(ES512_KEY), "ES512")
    assert caught.value.code == "token_malformed"
    with pytest.raises(TokenRefused) as changed:
        verify_signature(ES512_TOKEN.replace("UGF5", "UGF6"), key_of(ES512_KEY), "ES512")
    assert changed.value.code == "signature_invalid"


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
    """Accepts the signature, and refuses the payload, which is no set of claims."""
    key = key_of(ED25519_KEY)
    assert jwt.PyJWS(["EdDSA"]).decode(ED25519_TOKEN, key.public, ["EdDSA"])
    with pytest.raises(TokenRefused) as caught:
        verify_signature(ED25519_TOKEN, key, "EdDSA")
    assert caught.value.code == "token_malformed"


def test_rfc_7515_a_5_is_unsecured_and_refused():
    unsecured = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ."
    with pytest.raises(TokenRefused):
        read_header(unsecured)


def test_rfc_8037_a_3():
    assert thumbprint(ED25519_KEY) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_rfc_9068_3():
    """Signs the example of a JWT access token with our own key: the RFC prints no signature."""
    private = rsa.generate_private_key(65537, 2048)
    header = {"typ": "at+JWT", "alg": "RS256", "kid": "RjEwOwOA"}
    claims = {
        "iss": "https://authorization-server.example.com/",
        "sub": "5ba552d67",
        "aud": "https://rs.example.com/",
        "exp": 1639528912,
        "iat": 1618354090,
        "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
        "client_id": "s6BhdRkqt3",
        "scope": "openid profile reademail",
    }
    token = jwt.encode(claims, private, "RS256", headers=header)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    key = key_of({**public, "kid": "RjEwOwOA"})
    settings = Settings(
        issuer=claims["iss"], client_id="x", client_secret="x", secret="x" * 32,
        base_url="https://rs.example.com", audience=claims["aud"],
    )  # fmt: skip
    read = read_access_token(token, allowed=ALGORITHMS)
    expected = ExpectedAccess(settings.issuer, settings.expected_audience, settings.client_id)
    verified = verify_access_token(token, read, key, expected=expected, now=1618354100)
    agent = agent_of_token(
        verified, issuer=settings.issuer, now=1618354100, expires_at=verified["exp"]
    )
    assert (agent.id, agent.client_id) == ("5ba552d67", "s6BhdRkqt3")
    assert agent.scopes == ("openid", "profile", "reademail")
    assert agent.claims == {}
    with pytest.raises(TokenRefused, match="expired"):
        verify_access_token(token, read, key, expected=expected, now=1639528972)
