"""Another implementation signs and we verify, and the other way round; and hostile fields."""

from __future__ import annotations

import datetime

import http_message_signatures as peer
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auth_agent.errors import SignatureRefused
from auth_agent.protocol.signatures import fields, quick
from auth_agent.protocol.signatures.base import signature_base
from auth_agent.protocol.signatures.fields import read_agents, read_signatures
from auth_agent.protocol.signatures.keys import read_key
from auth_agent.protocol.signatures.message import request_message
from auth_agent.protocol.signatures.sign import sign_request
from auth_agent.protocol.signatures.verify import agent_member, check_profile, verify_signature
from tests.protocol.signatures.signing import AGENT, NOW, new_key, verifying

URL = "https://shop.example/orders?draft=1"
KEY = new_key()


class Request:
    """A message as the other library wants it."""

    def __init__(self, method, url, headers):
        self.method, self.url, self.headers = method, url, dict(headers)


class Keys(peer.HTTPSignatureKeyResolver):
    def __init__(self, private):
        self.private = private

    def resolve_private_key(self, key_id):
        return self.private

    def resolve_public_key(self, key_id):
        return self.private.public_key()


def private_key(kind):
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if kind == "ED25519":
        return KEY.key
    if kind == "ECDSA_P256_SHA256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65_537, 2_048)


@pytest.mark.parametrize("kind", ["ED25519", "ECDSA_P256_SHA256", "RSA_PSS_SHA512"])
def test_what_the_other_library_signs_verifies_here(kind):
    import jwt

    private = private_key(kind)
    name = {"ED25519": "EdDSA", "ECDSA_P256_SHA256": "ES256", "RSA_PSS_SHA512": "PS512"}[kind]
    jwk = jwt.get_algorithm_by_name(name).to_jwk(private.public_key(), as_dict=True)
    key = read_key(jwk)
    request = Request("POST", URL, {"Signature-Agent": f'a="{AGENT}"'})
    signer = peer.HTTPMessageSigner(
        signature_algorithm=getattr(peer.algorithms, kind), key_resolver=Keys(private)
    )
    at = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc)
    covered = ("@method", "@authority", "@path", '"signature-agent";key="a"')
    signer.sign(
        request,
        key_id=key.keyid,
        created=at,
        expires=at + datetime.timedelta(seconds=60),
        nonce="abc",
        label="mine",
        tag="web-bot-auth",
        covered_component_ids=covered,
    )
    message = request_message("POST", URL, request.headers.items())
    (signed,) = read_signatures(request.headers["Signature-Input"], request.headers["Signature"])
    check_profile(signed, method="POST", now=NOW)
    assert agent_member(signed, read_agents(request.headers["Signature-Agent"])) == AGENT
    verify_signature(message, signed, key)
    with pytest.raises(SignatureRefused):
        verify_signature(request_message("PUT", URL, request.headers.items()), signed, key)


@pytest.mark.parametrize("form", ["dictionary", "string"])
@pytest.mark.parametrize("url", [URL, "https://shop.example", "https://shop.example:8443/a%20b?"])
def test_what_we_sign_the_other_library_verifies(form, url):
    import time

    headers = sign_request(
        "GET", url, key=KEY, agent=AGENT, now=time.time(), nonce=b"n" * 16, form=form
    )
    verifier = peer.HTTPMessageVerifier(
        signature_algorithm=peer.algorithms.ED25519, key_resolver=Keys(KEY.key)
    )
    sent = url if url.count("/") > 2 else f"{url}/"  # as it is on the wire
    (result,) = verifier.verify(Request("GET", sent, headers), expect_tag="web-bot-auth")
    assert result.parameters["keyid"] == KEY.kid
    assert "@authority" in str(result.covered_components)


TEXT = st.text(st.characters(max_codepoint=255), max_size=300)
PIECES = st.lists(
    st.sampled_from(
        [
            *('sig1=("@method")', ";created=1", ';tag="web-bot-auth"', ";x=@99999999999999"),
            *(", ", "sig1", "=", "(", ")", '"', ":", ":AAAA:", ";", "?1", "%", "1.5", "\\", "*"),
            *("\t", " ", "\n", "\r", "\x00", "é", '"@query-param";name="x"', ";key=", '"x"'),
            *(';d=%"f%c3%bc"', ";t=token", ";n=-999999999999999", ';keyid="k"', ";expires=2"),
        ]
    ),
    max_size=40,
).map("".join)
FIELD = TEXT | PIECES


@settings(max_examples=400, deadline=None)
@given(FIELD, FIELD, FIELD, FIELD)
@example('a=("@method");x=@99999999999999', "a=:AAAA:", "", "")
@example('a=("x");x=%"f%c3%bc"', "a=:AAAA:", "", "y")
def test_no_field_does_more_than_be_refused(given_input, signature, agent, other):
    headers = [("x", other), ("signature-agent", agent)]
    message = request_message("POST", f"{URL}&x=1", headers)
    try:
        for signed in read_signatures(given_input, signature):
            check_profile(signed, method="POST", now=NOW)
            agent_member(signed, read_agents(agent))
            verify_signature(message, signed, verifying(KEY))
    except SignatureRefused as refused:
        assert refused.status_code == 401  # noqa: PT017
        assert refused.description.isprintable()  # noqa: PT017


@settings(max_examples=500, deadline=None)
@given(
    st.from_regex(r"\A[a-z*][a-z0-9_.*-]{0,3}=:[A-Za-z0-9+/]{0,9}={0,3}:\Z")
    | st.from_regex(quick._SIGNATURE, fullmatch=True)
    | FIELD
)
@example("sig1=:AB==:")
@example("sig1=:AAAA:\n")
@example("sig1=:AAAA:;x")
def test_the_quick_reading_of_a_signature_is_the_librarys(text):
    found = quick.one_signature(text)
    if found is not None:
        assert found == fields._dictionary(text, "Signature")


PARTS = st.lists(
    st.sampled_from(
        [
            *('sig1=("@method" "x";key="a")', 'a=("x")', "a=()", 'a=("")', ";created=1", ";b=007"),
            *(';c="a(b)c;d=1"', ';n="\\""', ";created=2", ";e=-1", ";f=1.5", ";g", ";h=:AA==:"),
            *(' "y")', '("z" ', ";key=", '"k"', ";i=1234567890123456", "=", "\t", "é", "\n", ","),
        ]
    ),
    max_size=8,
).map("".join)


@settings(max_examples=1_000, deadline=None)
@given(st.from_regex(quick._INPUT, fullmatch=True) | PARTS | FIELD)
@example('a=("x";key="y" "z");created=1;keyid="k"')
@example('a=("x");created=1;created=1')
@example('a=("x");created=1\n')
@example('a=("x";key="1";key="2")')
def test_the_quick_reading_of_an_input_is_the_librarys(text):
    found = quick.one_input(text)
    if found is not None:
        whole = fields._dictionary(text, "Signature-Input")
        assert found == whole
        assert [type(one) for one in found[next(iter(found))][1].values()] == [
            type(one) for one in whole[next(iter(whole))][1].values()
        ]


def test_the_quick_readers_read_what_we_sign():
    made = dict(
        sign_request("POST", URL, key=KEY, agent=AGENT, now=NOW, nonce=b"n" * 16, body=b"x")
    )
    assert quick.one_input(made["Signature-Input"]) is not None
    assert quick.one_signature(made["Signature"]) is not None


@settings(max_examples=300, deadline=None)
@given(FIELD, FIELD)
def test_the_quick_writing_of_components_is_the_librarys(covered, params):
    try:
        (signed, *_) = read_signatures(f"a=({covered}){params}", "a=:AAAA:") or [None]
    except SignatureRefused:
        return
    items = [(one.name, dict(one.params)) for one in signed.components]
    assert signed.params_text() == fields.write((items, dict(signed.params)))
    assert [one.text() for one in signed.components] == [fields.write(item) for item in items]


@settings(max_examples=300, deadline=None)
@given(FIELD, FIELD, FIELD)
def test_no_field_breaks_the_base(covered, value, query):
    (signed,) = read_signatures('a=("x")', "a=:AAAA:")
    message = request_message("GET", URL, [("x", value)])
    try:
        signature_base(message, signed)
        for one in read_signatures(covered, "a=:AAAA:, sig1=:AAAA:"):
            signature_base(message, one)
    except SignatureRefused:
        pass


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "a=(" + " " * n,
        lambda n: "a=(" + '"x" ' * n,
        lambda n: "a" + ";b" * n,
        lambda n: "a=" + "(" * n,
        lambda n: 'a="' + "\\\\" * n,
        lambda n: "a=:" + "A" * n,
        lambda n: ",".join(f"a{i}" for i in range(n)),
    ],
)
def test_reading_is_linear(make):
    import time

    def seconds(size):
        text = make(size)[: fields.MAX_FIELDS]
        started = time.process_time()
        for _ in range(20):
            with pytest.raises(SignatureRefused):
                read_signatures(text + "!", "a=:AAAA:")
        return time.process_time() - started

    seconds(100)
    assert seconds(16_000) < 1.0  # 20 times the largest field: a quadratic reader needs minutes
