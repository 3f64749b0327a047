"""Proofs (RFC 9449 4.2, 4.3): each check is broken alone; the RFC's own proofs are good."""

from __future__ import annotations

import json
import pickle

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from auth_agent.errors import ProofRefused, TokenRefused
from auth_agent.protocol.dpop import proof as module
from auth_agent.protocol.dpop.making import make_proof, new_proof_key
from auth_agent.protocol.dpop.proof import check_proof, token_hash
from auth_agent.protocol.dpop.target import bare_target, is_same_target
from auth_agent.protocol.jose.access_token import bound_key
from auth_agent.protocol.signatures.keys import read_key
from auth_agent.server.security.keys.public import parse_keys
from tests.proofs import ABSENT, EdHolder, Holder, b64, hash_of, packed

NOW = 1_800_000_000
URL = "https://shop.example/api/orders"
TOKEN = "a-token.of~three_parts"

HOLDER, ED = Holder(), EdHolder()

# RFC 9449, figures 2, 12 and its refresh request.
_HEAD = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo"
    "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW"
    "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
)
PUBLISHED = [
    (
        _HEAD
        + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVy"
        "LmV4"
        "YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQ"
        "g4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
        ("POST", "https://server.example.com/token", 1562262616, None),
    ),
    (
        _HEAD
        + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVy"
        "LmV4"
        "YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5Q"
        "sGSuKDYW7_X620BxqhvYC8ynrrvZLTk41mSRroapUA",
        ("POST", "https://server.example.com/token", 1562265296, None),
    ),
    (
        _HEAD
        + "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJj"
        "ZS5l"
        "eGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF"
        "c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF"
        "8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA",
        (
            "GET", "https://resource.example.org/protectedresource", 1562262618,
            "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
        ),
    ),
]  # fmt: skip
THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


def check(text, *, method="GET", url=URL, now=NOW, token=TOKEN):
    return check_proof(text, method=method, url=url, now=now, access_token=token)


def good(holder=HOLDER, **changes):
    return holder.proof("GET", URL, NOW, TOKEN, **changes)


@pytest.mark.parametrize(("text", "request_"), PUBLISHED)
def test_the_published_proofs_are_good_and_only_where_they_belong(text, request_):
    method, url, now, token = request_
    assert check(text, method=method, url=url, now=now, token=token).jkt == THUMBPRINT
    for wrong in ({"method": "PUT"}, {"url": f"{url}/x"}, {"now": now + 301}, {"now": now - 31}):
        with pytest.raises(ProofRefused):
            check(text, **{"method": method, "url": url, "now": now, "token": token, **wrong})


@pytest.mark.parametrize("holder", [HOLDER, ED])
def test_a_good_proof_names_its_key(holder):
    proof = check(good(holder))
    assert proof.jkt == holder.jkt
    assert repr(proof) == f"Proof(jkt={holder.jkt!r})"


def test_ed25519_has_two_names():
    assert check(good(ED, header={"alg": "Ed25519"})).jkt == ED.jkt


def test_what_is_not_known_is_ignored():
    header = {
        "kid": "k",
        "jku": "https://evil.example",
        "x5u": "https://evil.example",
        "x5c": ["x"],
    }
    assert check(good(header=header, sub="somebody", more={"a": [1]})).jkt == HOLDER.jkt


def test_a_proof_without_a_token_needs_no_hash():
    assert check(HOLDER.proof("GET", URL, NOW), token=None).jkt == HOLDER.jkt


PRIVATE = {"d": b64(b"1" * 32)}
OFF_THE_CURVE = {**HOLDER.jwk, "y": b64(b"\1" * 32)}
RSA = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
P384 = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True)
ED448 = OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"typ": ABSENT}, "proof_type"),
        ({"typ": "JWT"}, "proof_type"),
        ({"typ": "DPOP+JWT"}, "proof_type"),
        ({"typ": "application/dpop+jwt"}, "proof_type"),
        ({"typ": ["dpop+jwt"]}, "proof_type"),
        ({"alg": ABSENT}, "proof_algorithm"),
        ({"alg": "none"}, "proof_algorithm"),
        ({"alg": "HS256"}, "proof_algorithm"),
        ({"alg": "es256"}, "proof_algorithm"),
        ({"alg": ["ES256"]}, "proof_algorithm"),
        ({"alg": "RS256", "jwk": RSA}, "proof_algorithm"),
        ({"alg": "ES384", "jwk": P384}, "proof_algorithm"),
        ({"jwk": ABSENT}, "proof_key"),
        ({"jwk": "a key"}, "proof_key"),
        ({"jwk": {}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "kty": ["EC"]}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "crv": "P-384"}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "crv": ["P-256"]}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "alg": "ES384"}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "alg": 7}}, "proof_key"),
        ({"jwk": P384}, "proof_key"),
        ({"jwk": RSA}, "proof_key"),
        ({"jwk": ED.jwk}, "proof_key"),
        ({"alg": "EdDSA"}, "proof_key"),
        ({"alg": "EdDSA", "jwk": ED448}, "proof_key"),
        *(({"jwk": {**HOLDER.jwk, name: PRIVATE["d"]}}, "proof_key") for name in module._PRIVATE),
        ({"jwk": {**HOLDER.jwk, "d": None}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "x": ABSENT}}, "proof_key"),
        ({"jwk": {"kty": "EC", "crv": "P-256", "x": HOLDER.jwk["x"]}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "x": HOLDER.jwk["x"] + "="}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "x": HOLDER.jwk["x"] + "AA"}}, "proof_key"),
        ({"jwk": {**HOLDER.jwk, "x": 7}}, "proof_key"),
        ({"jwk": OFF_THE_CURVE}, "proof_key"),
        ({"crit": ["exp"]}, "proof_malformed"),
        ({"crit": []}, "proof_malformed"),
    ],
)
def test_a_wrong_header_is_refused(header, code):
    if isinstance(header.get("jwk"), dict):
        jwk = {name: value for name, value in header["jwk"].items() if value is not ABSENT}
        header = {**header, "jwk": jwk}
    assert refusal(good(header=header)) == code


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        *(({name: ABSENT}, code) for name, code in (
            ("jti", "proof_jti"), ("htm", "proof_target"), ("htu", "proof_target"),
            ("iat", "proof_time"), ("ath", "proof_token"),
        )),
        ({"jti": ""}, "proof_jti"),
        ({"jti": "j" * 257}, "proof_jti"),
        ({"jti": 7}, "proof_jti"),
        ({"jti": None}, "proof_jti"),
        ({"htm": "get"}, "proof_method"),
        ({"htm": "POST"}, "proof_method"),
        ({"htm": ["GET"]}, "proof_target"),
        ({"htu": 7}, "proof_target"),
        ({"htu": ""}, "proof_target"),
        ({"htu": "/api/orders"}, "proof_target"),
        ({"iat": str(NOW)}, "proof_time"),
        ({"iat": True}, "proof_time"),
        ({"iat": None}, "proof_time"),
        ({"iat": NOW - 301}, "proof_time"),
        ({"iat": NOW + 31}, "proof_time"),
        ({"iat": 10**40}, "proof_time"),
        ({"ath": hash_of("another token")}, "proof_token"),
        ({"ath": hash_of(TOKEN) + "="}, "proof_token"),
        ({"ath": TOKEN}, "proof_token"),
        ({"ath": 7}, "proof_token"),
        ({"ath": "é"}, "proof_token"),
        ({"nonce": 7}, "proof_nonce"),
    ],
)  # fmt: skip
def test_a_wrong_claim_is_refused(claims, code):
    assert refusal(good(**claims)) == code


@pytest.mark.parametrize("iat", [NOW - 300, NOW + 30, NOW - 0.5])
def test_the_window_is_closed_at_both_ends(iat):
    assert check(good(iat=iat)).iat == iat


@pytest.mark.parametrize("length", [1, 256])
def test_the_longest_and_the_shortest_name_are_good(length):
    assert check(good(jti="j" * length)).jti == "j" * length


def test_the_signature_is_checked():
    head, body, signature = good().split(".")
    other = Holder()
    assert refusal(f"{head}.{body}.{b64(b'0' * 64)}") == "proof_signature"
    assert refusal(good(header={"jwk": other.jwk})) == "proof_signature"
    assert refusal(good(sign=other.sign)) == "proof_signature"
    assert refusal(good(sign=HOLDER.der)) == "proof_signature", "DER is no JWS signature"
    assert refusal(good(ED, sign=lambda data: ED.sign(data)[:63])) == "proof_signature"
    bent = packed({"jti": "j", "htm": "GET", "htu": URL, "iat": NOW, "ath": hash_of(TOKEN)})
    assert refusal(f"{head}.{bent}.{signature}") == "proof_signature"


HEAD, BODY, SIGNATURE = good().split(".")
NO_NUMBER, TOO_LARGE = b64(b'{"iat":NaN}'), b64(b'{"iat":1e999}')


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "proof_missing"),
        (f"{good()}, {good()}", "proof_repeated"),
        (f"{good()},", "proof_repeated"),
        ("", "proof_malformed"),
        ("proof", "proof_malformed"),
        (f"{HEAD}.{BODY}", "proof_malformed"),
        (f"{HEAD}.{BODY}.", "proof_malformed"),
        (f"{HEAD}.{BODY}.{SIGNATURE}.x", "proof_malformed"),
        (f"{HEAD}=.{BODY}.{SIGNATURE}", "proof_malformed"),
        (f" {HEAD}.{BODY}.{SIGNATURE}", "proof_malformed"),
        (f"{HEAD}.{BODY}.{SIGNATURE}\n", "proof_malformed"),
        (f"{HEAD}A.{BODY}.{SIGNATURE}", "proof_malformed"),
        (f"{b64(b'[]')}.{BODY}.{SIGNATURE}", "proof_malformed"),
        (f"{b64(b'no json')}.{BODY}.{SIGNATURE}", "proof_malformed"),
        (f"{HEAD}.{b64(b'[]')}.{SIGNATURE}", "proof_malformed"),
        (f"{HEAD}.{b64(b'null')}.{SIGNATURE}", "proof_malformed"),
        (f"{HEAD}.{b64(b'{')}.{SIGNATURE}", "proof_malformed"),
        (f"{HEAD}.{b64(b'[' * 1_000)}.{SIGNATURE}", "proof_malformed"),
        (f"{HEAD}.{NO_NUMBER}.{SIGNATURE}", "proof_malformed"),
        (f"{HEAD}.{TOO_LARGE}.{SIGNATURE}", "proof_malformed"),
    ],
)
def test_what_is_not_one_jwt_is_refused(text, code):
    assert refusal(text) == code


def test_a_signature_in_another_spelling_is_refused():
    """Changes the four unused bits of the last of 86 characters."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sibling = SIGNATURE[:-1] + letters[letters.index(SIGNATURE[-1]) ^ 1]
    assert refusal(f"{HEAD}.{BODY}.{sibling}") == "proof_signature"


def test_a_proof_is_at_most_8_kib():
    size = len(good(more=""))
    fits = good(more="x" * ((8_192 - size) * 3 // 4))
    assert len(fits) <= 8_192
    assert check(fits)
    assert refusal(good(more="x" * 8_192)) == "proof_malformed"


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        ("HTTPS://Shop.Example/api/orders", URL),
        ("https://shop.example:443/api/orders", URL),
        ("https://shop.example/api/orders?page=2#top", URL),
        ("https://shop.example/api/%6Frders", URL),
        ("https://shop.example/a%2fb", "https://shop.example/a%2Fb"),
        ("https://shop.example", "https://shop.example/"),
        ("https://shop.example/%7euser", "https://shop.example/~user"),
        ("http://localhost:80/", "http://localhost/"),
        ("https://[2001:DB8::1]/", "https://[2001:db8:0:0::1]/"),
        ("https://shop.example/a|b", "https://shop.example/a%7Cb"),
        ("https://shop.example/é", "https://shop.example/%C3%A9"),
    ],
)
def test_one_uri_has_several_spellings(htu, url):
    assert is_same_target(htu, url)
    assert check(good(htu=htu), url=url)


@pytest.mark.parametrize(
    "htu",
    [
        "http://shop.example/api/orders",
        "wss://shop.example/api/orders",
        "https://shop.example:444/api/orders",
        "https://shop.example:x/api/orders",
        "https://other.example/api/orders",
        "https://shop.example.evil.example/api/orders",
        "https://agent@shop.example/api/orders",
        "https://shop.example/API/orders",
        "https://shop.example/api/orders/",
        "https://shop.example//api/orders",
        "https://shop.example/api%2Forders",
        "https://shop.example/api/./orders",
        "https://shop.example/x/../api/orders",
        "https://shop.example/api/\torders",
        " https://shop.example/api/orders",
        "https:\\\\shop.example\\api\\orders",
        "https://shop.example/api/%256Frders",
        "//shop.example/api/orders",
        "https:///api/orders",
        "https://[shop/api/orders",
    ],
)
def test_another_uri_is_another_one(htu):
    assert not is_same_target(htu, URL)
    assert refusal(good(htu=htu)) == "proof_target"


def test_a_mark_tells_key_target_and_name_apart():
    proofs = [good(jti="a"), good(ED, jti="a"), good(jti="b"), good(jti="a", htu=f"{URL}?x")]
    assert len({check(text).mark() for text in proofs}) == 4
    assert check(good(jti="a", iat=NOW - 9)).mark() == check(good(jti="a")).mark()


def test_the_memory_of_keys_is_bounded():
    assert module._signer.cache_info().maxsize == module.MAX_KEYS


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=400))
def test_no_text_does_more_than_be_refused(text):
    with pytest.raises(ProofRefused):
        check(text)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"]),
                    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False,
                    allow_infinity=False) | st.text(max_size=20) | st.lists(st.integers())),
    st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "crit", "kid"]),
                    st.none() | st.integers() | st.text(max_size=20)
                    | st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "d"]), st.text())),
)  # fmt: skip
def test_a_bent_part_is_refused_or_makes_no_difference(claims, header):
    """Signs whatever the proof holds, so that only the checks can refuse it."""
    try:
        proof = check(good(header=header, **claims))
    except ProofRefused:
        return
    assert proof.jkt == HOLDER.jkt
    assert set(claims) <= {"jti", "nonce", "iat"}


class TestMaking:
    KEY = new_proof_key()

    def make(self, **changes):
        wanted = {"method": "GET", "url": URL, "now": NOW + 0.9, "jti": "j", **changes}
        return make_proof(self.KEY, **wanted)

    def test_a_proof_of_ours_is_good(self):
        text = self.make(url=f"{URL}?a=b#c", access_token=TOKEN, nonce="n")
        proof = check(text)
        assert (proof.jkt, proof.jti, proof.nonce, proof.iat) == (self.KEY.jkt, "j", "n", NOW)
        assert proof.htu == URL == bare_target(f"{URL}?a=b#c")

    def test_it_says_only_what_is_asked(self):
        text = self.make()
        assert jwt.get_unverified_header(text) == {
            "typ": "dpop+jwt", "alg": "ES256", "jwk": self.KEY.public,
        }  # fmt: skip
        assert set(self.KEY.public) == {"kty", "crv", "x", "y"}
        claims = jwt.decode(text, options={"verify_signature": False})
        assert claims == {"jti": "j", "htm": "GET", "htu": URL, "iat": NOW}

    def test_the_hash_of_the_rfc(self):
        token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
        assert token_hash(token) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"

    def test_the_key_stays_in_its_process(self):
        assert repr(self.KEY) == f"ProofKey(jkt={self.KEY.jkt!r})"
        with pytest.raises(TypeError, match="stays in the process"):
            pickle.dumps(self.KEY)


@pytest.mark.parametrize(
    "cnf",
    [
        None, {}, "x", ["jkt"], {"jkt": None}, {"jkt": 7}, {"jkt": "short"},
        {"jkt": THUMBPRINT + "="}, {"jkt": THUMBPRINT + "A"}, {"x5t#S256": THUMBPRINT},
        {"jwk": HOLDER.jwk}, {"jkt": THUMBPRINT, "x5t#S256": THUMBPRINT},
    ],
)  # fmt: skip
def test_a_binding_that_cannot_be_checked_is_refused(cnf):
    with pytest.raises(TokenRefused) as refused:
        bound_key({"cnf": cnf})
    assert refused.value.code == "token_bound"


def test_a_binding_names_one_key():
    assert bound_key({"cnf": {"jkt": THUMBPRINT}}) == THUMBPRINT
    assert bound_key({}) is None


def refusal(text) -> str:
    with pytest.raises(ProofRefused) as refused:
        check(text)
    assert refused.value.status_code == 401
    return refused.value.code


SMALL = [
    "00" * 32,
    "00" * 31 + "80",
    "01" + "00" * 31,
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 31,
]


@pytest.mark.parametrize("point", SMALL)
def test_a_key_for_which_everybody_can_sign_is_nobodys(point):
    """For the point 1 this very signature is good for every text."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes.fromhex(point))}
    everybodys = b"\x01" + b"\0" * 63
    proof = ED.proof("GET", URL, NOW, header={"jwk": jwk}, sign=lambda _: everybodys)
    with pytest.raises(ProofRefused) as caught:
        check_proof(proof, method="GET", url=URL, now=NOW)
    assert caught.value.code == "proof_key"
    assert read_key(jwk) is None
    with pytest.raises(ValueError, match="anyone can sign"):
        parse_keys(json.dumps(jwk))
