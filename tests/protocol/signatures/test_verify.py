"""Each check of a signed request, broken alone."""

from __future__ import annotations

import re

import pytest

from auth_agent.errors import AuthError, SignatureRefused
from auth_agent.flow.exchange import HttpResponse
from auth_agent.protocol.signatures import agents as naming
from auth_agent.protocol.signatures.agents import WELL_KNOWN, Pattern, issued_id, read_agent
from auth_agent.protocol.signatures.base import signature_base
from auth_agent.protocol.signatures.directory import (
    MEDIA_TYPE,
    accept_of,
    directory_seconds,
    key_set,
    parse_directory,
)
from auth_agent.protocol.signatures.fields import read_agents, read_signatures
from auth_agent.protocol.signatures.keys import VerifyingKey, read_key
from auth_agent.protocol.signatures.message import request_message
from auth_agent.protocol.signatures.sign import load_signing_key, sign_request
from auth_agent.protocol.signatures.verify import agent_member, check_profile, verify_signature
from auth_agent.secret import Secret
from tests.protocol.signatures.signing import AGENT, NOW, jwk_of, new_key, verifying

URL = "https://shop.example/orders?draft=1"
KEY = new_key()


def sign(method="GET", url=URL, **options):
    options = {"key": KEY, "agent": AGENT, "now": NOW, "nonce": b"n" * 16, **options}
    return dict(sign_request(method, url, **options))


def verify(headers, method="GET", url=URL, now=NOW, key=None, extra=()):
    message = request_message(method, url, [*headers.items(), *extra])
    (signed,) = read_signatures(
        message.header("signature-input"), message.header("signature"), tag="web-bot-auth"
    )
    check_profile(signed, method=method, now=now)
    value = agent_member(signed, read_agents(message.header("signature-agent")))
    verify_signature(message, signed, key or verifying(KEY))
    return value


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("form", ["dictionary", "string"])
def test_what_is_signed_verifies(method, form):
    assert verify(sign(method, form=form), method) == AGENT


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"method": "HEAD"}, "signature_wrong"),
        ({"url": "https://shop.example/orders?draft=2"}, "signature_wrong"),
        ({"url": "https://shop.example/other?draft=1"}, "signature_wrong"),
        ({"url": "https://evil.example/orders?draft=1"}, "signature_wrong"),
        ({"url": "https://shop.example:8443/orders?draft=1"}, "signature_wrong"),
        ({"key": verifying(new_key())}, "signature_wrong"),
        ({"now": NOW + 60}, "signature_expired"),
        ({"now": NOW - 61}, "created_in_future"),
        ({"key": VerifyingKey(KEY.kid, "rsa-pss-sha512", None)}, "alg_mismatch"),
    ],
)
def test_a_request_that_differs_is_refused(how, code):
    with pytest.raises(SignatureRefused) as caught:
        verify(sign(), **how)
    assert caught.value.code == code


def test_the_default_port_and_the_case_of_the_host_do_not_count():
    assert verify(sign(url="https://SHOP.example:443/orders?draft=1")) == AGENT


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (r';tag="web-bot-auth"', ";tag=web-bot-auth", None),
        (r";created=\d+", "", "signature_incomplete"),
        (r";expires=\d+", "", "signature_incomplete"),
        (r';keyid="[^"]+"', "", "signature_incomplete"),
        (r";expires=\d+", f";expires={NOW + 86_401}", "expires_too_late"),
        (r";expires=\d+", f";expires={NOW}", "expires_too_late"),
        (r";created=(\d+)", r";created=\1.0", "signature_malformed"),
        (r";created=(\d+)", r';created="\1"', "signature_malformed"),
        (r";created=(\d+)", r";created=@\1", "signature_malformed"),
        (r";created=(\d+)", r";created", "signature_malformed"),
        (r';keyid="([^"]+)"', r";keyid=\1", "signature_malformed"),
        (r';keyid="', ';keyid="' + "k" * 257, "signature_malformed"),
        (r';nonce="', ';nonce="' + "k" * 257, "signature_malformed"),
        (r';alg="ed25519"', ';alg="rsa-pss-sha512"', "alg_mismatch"),
        (r'"@method"', '"@method" "@method"', "signature_malformed"),
        (r'"@method"', '"@status"', "signature_malformed"),
        (r'"@method"', '"@method";req', "signature_malformed"),
        (r'"@method"', '"@method";key="x"', "signature_malformed"),
        (r'"@method"', '"Date"', "signature_malformed"),
        (r'"@method"', '"date";sf', "signature_malformed"),
        (r'"@method"', '"date";bs', "signature_malformed"),
        (r'"@method"', '"date";tr', "signature_malformed"),
        (r'"@method"', '"date"', "signature_incomplete"),
        (r'"@method"', "method", "signature_malformed"),
        (r'"@method"', "17", "signature_malformed"),
        (r'"@authority"', '"@scheme"', "coverage_missing"),
        (r'"@authority"', '"@authority";x', "coverage_missing"),
        (r'"signature-agent";key="sig1"', '"signature-agent";key="other"', "agent_malformed"),
        (r'"signature-agent";key="sig1"', '"signature-agent"', "coverage_missing"),
        (r'"signature-agent";key="sig1"', '"signature-agent";sf;key="sig1"', "coverage_missing"),
        (r' "signature-agent";key="sig1"', "", "coverage_missing"),
        (r"sig1=\(", 'sig1=("@query-param";name="x" ', "signature_incomplete"),
        (r"sig1=\(.*\)", "sig1=()", "coverage_missing"),
        (r"^sig1", "sig2", "signature_malformed"),
        (r"$", ', sig1=("@method")', "signature_malformed"),
        (r"$", ";created=5", "signature_malformed"),
        (r"$", ",", "signature_malformed"),
        (r"$", ", a=(), b=(), c=(), d=()", "signature_malformed"),
        (r"\(", "(" + '"x" ' * 40, "signature_malformed"),
        (r"\(", '("' + "x" * 20_000 + '" ', "signature_malformed"),
    ],
)
def test_an_input_that_breaks_one_rule_is_refused(old, new, code):
    headers = sign()
    changed = re.sub(old, new, headers["Signature-Input"], count=1)
    assert changed != headers["Signature-Input"]
    headers["Signature-Input"] = changed
    if code is None:  # another tag is nobody's business here
        with pytest.raises(ValueError, match="unpack"):
            verify(headers)
        return
    with pytest.raises(SignatureRefused) as caught:
        verify(headers)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "value", ["", "sig1", "sig1=?1", 'sig1="x"', "sig1=:A:", "sig1=::", "sig2=:AAAA:", "\x00", "é"]
)
def test_bytes_that_are_no_signature_are_refused(value):
    with pytest.raises(SignatureRefused):
        verify({**sign(), "Signature": value})


@pytest.mark.parametrize(
    "value",
    [
        f'sig1="{AGENT}", sig1="{AGENT}"',
        f'"{AGENT}", "{AGENT}"',
        f'sig1="{AGENT}";type=cimd',
        "sig1",
        "sig1=token",
        "",
        'sig1="unfinished',
    ],
)
def test_a_signature_agent_that_names_nobody_is_refused(value):
    with pytest.raises(SignatureRefused):
        verify({**sign(), "Signature-Agent": value})


def test_two_lines_of_one_field_are_one_field():
    other = ("Signature-Input", 'proxy=("@method");created=1;keyid="p";alg="hmac-sha256"')
    assert verify(sign(), extra=[other, ("Signature", "proxy=:AAAA:")]) == AGENT


@pytest.mark.parametrize(
    "bad", ['bad=("@method");tag="web-bot-auth";created="1"', 'bad=();tag="web-bot-auth"', "bad=1"]
)
def test_a_bad_signature_beside_a_good_one_voids_itself_alone(bad):
    headers = sign()
    headers["Signature-Input"] = f"{bad}, {headers['Signature-Input']}"
    assert verify(headers) == AGENT


def test_a_covered_member_of_another_label_is_the_agent():
    headers = sign()
    headers["Signature-Agent"] += ', other="https://evil.example"'
    assert verify(headers) == AGENT


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace('"@method" ', ""), "coverage_missing"),
        (lambda text: text.replace('"@path" ', ""), "coverage_missing"),
        (lambda text: re.sub(';nonce="[^"]*"', "", text), "nonce_missing"),
        (lambda text: re.sub(';nonce="[^"]*"', ';nonce=""', text), "nonce_missing"),
    ],
)
def test_a_change_needs_more(change, code):
    headers = sign("POST")
    headers["Signature-Input"] = change(headers["Signature-Input"])
    with pytest.raises(SignatureRefused) as caught:
        verify(headers, "POST")
    assert caught.value.code == code


def test_a_change_needs_a_signature_of_the_last_minute():
    headers = sign("POST", lifetime=3_600)
    assert verify(headers, "POST", now=NOW + 60) == AGENT
    with pytest.raises(SignatureRefused, match="60 seconds"):
        verify(headers, "POST", now=NOW + 61)
    assert verify(sign(lifetime=3_600), now=NOW + 3_599) == AGENT


def test_a_body_is_covered_by_its_digest():
    headers = sign("POST", body=b"hello")
    assert "content-digest" in headers["Signature-Input"]
    assert verify(headers, "POST") == AGENT
    with pytest.raises(SignatureRefused):
        verify({**headers, "Content-Digest": "sha-256=:AAAA:"}, "POST")


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("https://h.example/?a=b%20c&d", "a", "b%20c"),
        ("https://h.example/?a=b+c~", "a", "b%20c%7E"),
        ("https://h.example/?fa%C3%A7ade=1", "fa%C3%A7ade", "1"),
        ("https://h.example/?q=", "q", ""),
    ],
)
def test_a_covered_query_parameter_is_encoded_again(url, name, value):
    text = f'a=("@query-param";name="{name}")'
    (signed,) = read_signatures(text, "a=:AAAA:")
    base = signature_base(request_message("GET", url), signed).decode()
    assert base.splitlines()[0] == f'"@query-param";name="{name}": {value}'


def test_a_query_parameter_that_is_there_twice_cannot_be_covered():
    (signed,) = read_signatures('a=("@query-param";name="x")', "a=:AAAA:")
    with pytest.raises(SignatureRefused, match="exactly once"):
        signature_base(request_message("GET", "https://h.example/?x=1&x=2"), signed)


def test_derived_components_have_the_values_of_the_rfc():
    names = ("@method", "@authority", "@scheme", "@target-uri", "@path", "@query")
    text = " ".join(f'"{name}"' for name in (*names, "@request-target"))
    (signed,) = read_signatures(f"a=({text})", "a=:AAAA:")
    message = request_message("get", "HTTPS://Www.Example.com:443/a%2fb?x")
    assert signature_base(message, signed).decode().splitlines()[:-1] == [
        '"@method": get',
        '"@authority": www.example.com',
        '"@scheme": https',
        '"@target-uri": https://www.example.com/a%2fb?x',
        '"@path": /a%2fb',
        '"@query": ?x',
        '"@request-target": /a%2fb?x',
    ]
    bare = signature_base(request_message("GET", "https://h.example"), signed).decode()
    assert '"@path": /\n"@query": ?\n' in bare


def test_a_header_is_covered_as_its_lines_joined():
    (signed,) = read_signatures('a=("x" "empty")', "a=:AAAA:")
    lines = [("X", " one "), ("x", "two\t"), ("Empty", "")]
    base = signature_base(request_message("GET", URL, lines), signed).decode()
    assert base.splitlines()[:2] == ['"x": one, two', '"empty": ']


@pytest.mark.parametrize("value", ["a\nb", "a\r\n b", "é"])
def test_a_header_that_no_line_can_hold_is_refused(value):
    (signed,) = read_signatures('a=("x")', "a=:AAAA:")
    with pytest.raises(SignatureRefused):
        signature_base(request_message("GET", URL, [("x", value)]), signed)


@pytest.mark.parametrize(
    ("value", "name", "address"),
    [
        ("https://chatgpt.com", "https://chatgpt.com", f"https://chatgpt.com{WELL_KNOWN}"),
        ("https://ChatGPT.com:443/", "https://chatgpt.com", f"https://chatgpt.com{WELL_KNOWN}"),
        (f"https://a.example{WELL_KNOWN}", "https://a.example", f"https://a.example{WELL_KNOWN}"),
        (f"https://a.example{WELL_KNOWN.replace('-', '%2D')}", "https://a.example", None),
        ("HTTPS://a.example/agents/x", "https://a.example/agents/x", None),
        ("https://a.example/%7e%c3", "https://a.example/~%C3", "https://a.example/%7e%c3"),
        ("https://a.example/k?v=1", "https://a.example/k", "https://a.example/k?v=1"),
        ("https://a.example:8443", "https://a.example:8443", None),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x", None),
    ],
)
def test_an_agent_has_one_name(value, name, address):
    agent = read_agent(value)
    assert agent.name == name
    assert address in (None, agent.address)


@pytest.mark.parametrize(
    "value",
    [
        "http://a.example",
        "http://localhost:8000",
        "https://user@a.example",
        "https://@a.example",
        "https://a.example#x",
        "https://a.example/x#",
        "https://a.example\\@evil.example",
        "https://a.example/a\x01b",
        "https://a.example/é",
        "https://a.example/x/../y",
        "https://a.example/x/%2e%2E/y",
        "https://a.example/.",
        "https://a.example//x",
        "https://a.example/x//y",
        "https://a.example/x%2Fy",
        "https://a.example/x%5cy",
        "https://a.example/x%zz",
        "https://a.example/x%0",
        "https://a.example:0",
        "https://a.example:99999",
        "https://a.example.",
        "https://127.1",
        "https://a.example?x=1",
        f"https://a.example{WELL_KNOWN}?x",
        "https:///x",
        "//a.example",
        "data:application/json,{}",
        "",
        "https://a.example/" + "x" * 3_000,
    ],
)
def test_a_name_that_can_be_read_in_two_ways_is_refused(value):
    with pytest.raises(SignatureRefused) as caught:
        read_agent(value)
    assert caught.value.code == "agent_malformed"
    assert value[:40] not in caught.value.description or len(value) < 2


def test_loopback_is_for_a_website_on_loopback():
    agent = read_agent("http://127.0.0.1:8420/agents/a", loopback_allowed=True)
    assert agent.name == "http://127.0.0.1:8420/agents/a"
    with pytest.raises(SignatureRefused):
        read_agent("http://a.example/agents/a", loopback_allowed=True)


@pytest.mark.parametrize(
    ("issuer", "value", "found"),
    [
        ("https://auth.example", "https://auth.example/agents/agent_7", "agent_7"),
        ("https://auth.example/one", "https://auth.example/one/agents/agent_7", "agent_7"),
        ("https://auth.example", "https://AUTH.example:443/agents/%61gent", "agent"),
        ("https://auth.example", "https://auth.example/agents/a/b", None),
        ("https://auth.example", "https://auth.example/agents/", None),
        ("https://auth.example", "https://auth.example/agents/a%20b", None),
        ("https://auth.example", "https://auth.example.evil/agents/a", None),
        ("https://auth.example/one", "https://auth.example/agents/agent_7", None),
        ("https://auth.example", "https://auth.example", None),
    ],
)
def test_an_agent_of_the_issuer_has_the_id_of_its_sign_in(issuer, value, found):
    assert issued_id(read_agent(value), issuer) == found


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "https://any.example/x", True),
        ("https://chatgpt.com", "https://chatgpt.com", True),
        ("https://ChatGPT.com:443/", "https://chatgpt.com", True),
        (f"https://a.example{WELL_KNOWN}", "https://a.example", True),
        ("https://chatgpt.com", "https://chatgpt.com/x", False),
        ("https://chatgpt.com", "https://chatgpt.com.evil", False),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x", True),
        ("https://[2001:db8::1]/x", "https://[2001:db8::2]/x", False),
        ("https://*.acme.example/a", "https://id.acme.example/x/a", False),
        ("https://id.acme.example/agents/*", "https://id.acme.example/agents/a/b", True),
        ("https://id.acme.example/agents/*", "https://id.acme.example/other/a", False),
        ("https://*.acme.example", "https://id.acme.example", True),
        ("https://*.acme.example", "https://evil.com/x.acme.example", False),
        ("https://*", "https://evil.com/x", False),
        ("https://*/agents/a", "https://evil.com/x/agents/a", False),
        ("https://a.example/[ab]", "https://a.example/a", False),
        ("https://a.example/%7euser", "https://a.example/~user", True),
    ],
)
def test_a_pattern_matches_the_name_and_never_crosses_the_host(pattern, name, fits):
    assert Pattern(pattern).fits(read_agent(name)) is fits


def test_no_name_makes_a_pattern_slow():
    import time

    pattern = Pattern("https://*a*a*a*.example/*a*a*a*a*a*b")
    agent = read_agent("https://" + "a" * 50 + ".example/" + "a" * 1_900)
    started = time.process_time()
    for _ in range(50):
        assert not pattern.fits(agent)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    "pattern",
    [
        "chatgpt.com",
        "https://a.example/?x=1",
        "https://a.example/k?x",
        "http://a.example",
        "ftp://a",
        "https://u@a.example",
        "**",
    ],
)
def test_a_pattern_that_names_nobody_is_a_mistake(pattern):
    assert naming.pattern_problem(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "issuer",
        "https://chatgpt.com",
        "https://*.a.example",
        "https://a.example/agents/*",
        "http://localhost:8000/a",
    ],
)
def test_a_pattern_of_the_documentation_is_none(pattern):
    assert naming.pattern_problem(pattern) is None


ORIGIN, PATH = read_agent("https://a.example"), read_agent("https://a.example/agents/x")


def answer(document, kind=MEDIA_TYPE, status=200, **headers):
    import json

    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return HttpResponse(status, {"content-type": kind, **headers}, body)


def test_a_directory_is_read_key_by_key():
    good = jwk_of(KEY)
    document = {
        "signature_agent": "x",
        "keys": [
            {**good, "kid": KEY.kid, "use": "sig"},
            {"kty": "EC", "crv": "P-384"},
            {**jwk_of(new_key()), "use": "enc"},
            {**jwk_of(new_key()), "kid": "not the thumbprint"},
            {**jwk_of(new_key()), "d": "AAAA"},
            {**jwk_of(new_key()), "alg": "RS256"},
            {**jwk_of(new_key()), "key_ops": ["sign"]},
            {"kty": ["OKP"], "crv": {"a": 1}},
            {**jwk_of(new_key()), "nbf": "soon"},
            {"kty": "OKP", "crv": "Ed25519", "x": "short"},
            "nonsense",
            None,
        ],
    }
    found = parse_directory(answer(document), ORIGIN)
    assert list(found.keys) == [KEY.kid]
    assert found.find(KEY.kid, NOW).alg == "ed25519"
    assert found.find("other", NOW) is None


@pytest.mark.parametrize("alg", ["ed25519", "EdDSA", "Ed25519", "EDDSA", None])
def test_the_spelling_of_alg_does_not_choose(alg):
    jwk = jwk_of(KEY) if alg is None else {**jwk_of(KEY), "alg": alg}
    assert read_key(jwk).alg == "ed25519"


def test_a_key_counts_in_its_time_only():
    entry = {**jwk_of(KEY), "nbf": NOW, "exp": NOW + 10}
    found = parse_directory(answer({"keys": [entry]}), ORIGIN)
    assert [found.find(KEY.kid, NOW + at) is not None for at in (-1, 0, 9, 10)] == [
        False,
        True,
        True,
        False,
    ]


def test_an_empty_set_says_that_there_is_no_key_any_more():
    assert parse_directory(answer({"keys": []}), ORIGIN).keys == {}
    card = {"client_id": PATH.name, "jwks": {"keys": [jwk_of(KEY)]}}
    assert list(parse_directory(answer(card, "application/json"), PATH).keys) == [KEY.kid]
    both = {**card, "keys": []}
    assert parse_directory(answer(both, "application/json"), PATH).keys == {}


@pytest.mark.parametrize(
    ("response", "agent"),
    [
        (answer({"keys": []}, "application/json"), ORIGIN),
        (answer({"keys": []}, "text/html"), PATH),
        (answer({"keys": []}, ""), PATH),
        (answer({"keys": []}, status=404), ORIGIN),
        (answer({"keys": []}, status=301), ORIGIN),
        (answer(jwk_of(KEY)), ORIGIN),  # a key instead of a set
        (answer({"keys": {}}), ORIGIN),
        (answer(b"[]"), ORIGIN),
        (answer(b"not json"), ORIGIN),
        (answer(b"[" * 30_000), ORIGIN),
        (answer(b'{"keys":' + b"[" * 100 + b"]" * 100 + b"}"), ORIGIN),
    ],
)
def test_what_is_no_key_set_says_nothing_of_keys(response, agent):
    with pytest.raises(AuthError) as caught:
        parse_directory(response, agent)
    assert caught.value.code == "directory_unusable"


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/jwk-set+json", MEDIA_TYPE]
)
def test_the_url_of_a_key_set_may_answer_with_any_json(kind):
    assert parse_directory(answer({"keys": [jwk_of(KEY)]}, kind), PATH).keys
    assert MEDIA_TYPE in accept_of(PATH)
    assert accept_of(ORIGIN) == MEDIA_TYPE


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 3_600),
        ({"cache-control": "max-age=86400"}, 86_400),
        ({"cache-control": "public, max-age=604800"}, 86_400),
        ({"cache-control": "s-maxage=5, Max-Age=600"}, 600),
        ({"cache-control": "max-age=600", "age": "500"}, 100),
        ({"cache-control": "max-age=600", "age": "x"}, 600),
        ({"cache-control": "max-age=0"}, 60),
        ({"cache-control": "no-store"}, 60),
        ({"cache-control": "no-cache, max-age=900"}, 60),
        (
            {
                "date": "Tue, 20 Apr 2021 02:07:55 GMT",
                "expires": "Tue, 20 Apr 2021 02:17:55 GMT",
            },
            600,
        ),
        ({"date": "Tue, 20 Apr 2021 02:07:55 GMT", "expires": "0"}, 60),
    ],
)
def test_a_directory_is_kept_by_the_rules_of_http(headers, seconds):
    assert directory_seconds(headers) == seconds


def test_a_set_that_we_publish_can_be_read():
    found = parse_directory(answer(key_set([jwk_of(KEY)])), ORIGIN)
    assert list(found.keys) == [KEY.kid]


def test_only_ed25519_keys_sign():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="Ed25519"):
        load_signing_key(Secret(pem.decode()))


def test_nothing_secret_is_shown():
    assert "Ed25519PrivateKey" not in repr(KEY)


def test_a_key_whose_private_half_is_public_verifies_nothing_even_if_it_is_given():
    from auth_agent.protocol.signatures.keys import PUBLISHED_KEYS

    for keyid in PUBLISHED_KEYS:
        with pytest.raises(SignatureRefused) as caught:
            verify(sign(), key=VerifyingKey(keyid, "ed25519", KEY.key.public_key()))
        assert caught.value.code == "key_published"


@pytest.mark.parametrize(("bits", "counts"), [(1_024, False), (2_048, True)])
def test_a_short_rsa_key_counts_nowhere(bits, counts):
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    public = rsa.generate_private_key(65_537, bits).public_key()
    jwk = jwt.get_algorithm_by_name("PS512").to_jwk(public, as_dict=True)
    assert (read_key(jwk) is not None) is counts


def test_a_key_is_known_by_the_thumbprint_that_is_computed_here():
    """Ignores how a key set spells its numbers (padding): that does not rename a key."""
    jwk = jwk_of(KEY)
    assert read_key({**jwk, "kid": "anything"}).keyid == KEY.kid
    assert read_key({**jwk, "x": jwk["x"] + "="}) in (None, read_key(jwk))
