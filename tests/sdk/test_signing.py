"""Signed requests: a real server publishes the key, another implementation verifies."""

from __future__ import annotations

import subprocess
import sys
import time

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from auth_agent import SettingsError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK
from auth_agent.sdk.flow.paused import signed_headers
from auth_agent.sdk.flow.signer import Signer
from auth_agent.secret import Secret
from auth_agent.server.registry.agents import enable_agent
from auth_agent.server.registry.request_keys import add_request_key, remove_request_key
from auth_agent.server.tokens.endings import disable_agent
from tests.sdk.conftest import run_async
from tests.sdk.witness import pem_of, public_of


def test_another_implementation_verifies_what_is_signed(signing, witness, make_sdk):
    sdk = make_sdk(**signing.options)
    sdk.get(sdk.http(witness.origin), "/a%20b/c?q=1&q=%C3%A9", "/", f"{witness.origin}?")
    assert [one.problem for one in witness.seen] == [""] * 3
    assert {one.agent for one in witness.seen} == {signing.name}
    assert len({one.params["nonce"] for one in witness.seen}) == 3
    for one in witness.seen:
        assert one.params["expires"] - one.params["created"] == 60
        assert len(one.params["nonce"]) >= 22
        assert '"@query"' in one.covered


def test_a_request_that_changes_something_covers_its_body(signing, witness):
    with AgentSDK(**signing.options).http(witness.origin) as http:
        http.post("/orders", json={"loaves": 2})
        http.request("DELETE", "/orders/7")
        http.post("/upload", content=iter([b"in ", b"parts"]))
    posted, deleted, streamed = witness.seen
    assert [posted.problem, deleted.problem] == ["", ""]
    assert '"content-digest"' in posted.covered
    assert '"content-digest"' not in deleted.covered
    assert "content-digest" not in streamed.headers, "a stream is not read to be signed"
    assert "signature" in streamed.headers


def test_every_hop_of_a_redirect_is_signed_anew(signing, witness, make_sdk):
    witness.answers["/from"] = (307, {"location": "/to?x=1"}, b"")
    witness.answers["/old"] = (303, {"location": "/new"}, b"")
    sdk = make_sdk(**signing.options)
    sdk.get(sdk.http(witness.origin, follow_redirects=True), "/from")
    first, second = witness.seen
    assert (first.problem, second.problem) == ("", "")
    assert first.params["nonce"] != second.params["nonce"]
    witness.seen.clear()
    with AgentSDK(**signing.options).http(witness.origin, follow_redirects=True) as http:
        http.post("/old", content=b"body")
    assert [(one.method, one.problem) for one in witness.seen] == [("POST", ""), ("GET", "")]
    assert "content-digest" not in witness.seen[1].headers


def test_nothing_is_signed_for_plain_http_elsewhere(signing):
    signer = AgentSDK(**signing.options)._need_signer()
    request = httpx2.Request(
        "GET", "http://shop.example/x", headers={"Signature": "sig1=:AAAA:", "signature-input": "x"}
    )
    signer.sign(request)
    assert not [name for name in request.headers if "signature" in name]
    for url in (
        "http://shop.example/",
        "http://127.0.0.1.example/",
        "ftp://x.example",
        "file:///x",
    ):
        assert signer.headers("GET", url) == ()
    for url in ("https://shop.example/", "http://localhost:1/", "http://[::1]/"):
        assert signer.headers("GET", url)


def test_a_browsers_request_loses_the_signature_of_the_hop_before(signing):
    signer = AgentSDK(**signing.options)._need_signer()
    headers = {"Accept": "*/*", "Signature": "sig1=:AAAA:", "signature-input": "x"}
    paused = {"method": "GET", "url": "http://shop.example/", "headers": headers}
    assert signed_headers(paused, signer) == [{"name": "Accept", "value": "*/*"}]
    assert signed_headers({**paused, "headers": {"Accept": "*/*"}}, signer) is None
    names = [
        one["name"] for one in signed_headers({**paused, "url": "https://shop.example/"}, signer)
    ]
    assert names == ["Accept", "Signature-Agent", "Signature-Input", "Signature"]


def test_a_sign_in_and_its_session_are_signed(world, signing, sign_in):
    signed = []
    shop = world.shop.app

    async def listening(scope, receive, send):
        if scope["type"] == "http":
            names = [name for name, _ in scope["headers"]]
            signed.append((scope["path"], b"signature" in names))
        await shop(scope, receive, send)

    world.shop.app = listening
    try:
        result = sign_in(signing.options, f"{world.website}/me")
    finally:
        world.shop.app = shop
    assert result.again.json()["agent_id"] == signing.agent_id
    assert len(signed) >= 4
    assert all(is_signed for _, is_signed in signed), signed
    assert "signature-agent" in result.again.request.headers


def test_a_callers_client_is_signed_for_by_the_sdk_alone(world, signing):
    with httpx2.Client(trust_env=False) as client:
        with AgentSDK(**signing.options, http_client=client).sign_in(f"{world.website}/me"):
            assert b"signature-input" in world.shop.told
        world.shop.forget_what_was_asked()
        client.get(f"{world.website}/")
        assert b"signature-input" not in world.shop.told


def test_a_session_with_a_token_is_signed_too(world, signing, make_sdk):
    sdk = make_sdk(**signing.options)
    (answer,) = sdk.get(sdk.session(world.website), "/me")
    assert answer.json()["agent_id"] == signing.agent_id
    assert "signature" in answer.request.headers
    assert answer.request.headers["authorization"].startswith("DPoP ")
    assert "dpop" in answer.request.headers


def test_a_website_that_knows_the_agent_by_its_signature_still_signs_it_in(world, signing, sign_in):
    """Signs in although the website offers no login to an agent that it takes for signed in."""
    shop = world.shop.app

    async def admitting(scope, receive, send):
        names = [name for name, _ in scope.get("headers", ())]
        if scope["path"] == "/me" and b"signature" in names and b"cookie" not in names:
            headers = [(b"content-type", b"text/html")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"<p>Hello, signed agent"})
            return
        await shop(scope, receive, send)

    world.shop.app = admitting
    try:
        result = sign_in(signing.options, f"{world.website}/me")
    finally:
        world.shop.app = shop
    assert result.again.json()["agent_id"] == signing.agent_id


def test_the_older_form_by_option_by_host_and_where_it_is_asked_for(signing, witness):
    witness.answers["/older"] = (
        401, {"accept-signature": 'sig1=("@authority" "signature-agent");created;expires'}, b""
    )  # fmt: skip
    witness.answers["/newer"] = (
        401, {"accept-signature": 'sig1=("@authority" "signature-agent";key="sig1");created'}, b""
    )  # fmt: skip

    def form_after(*paths, **options):
        with AgentSDK(**signing.options, **options).http(witness.origin) as http:
            for path in (*paths, "/x"):
                http.get(path)
        assert witness.at("/x").problem == ""
        return witness.at("/x").headers["signature-agent"]

    assert form_after() == f'sig1="{signing.name}"'
    assert form_after("/older") == f'"{signing.name}"'
    assert form_after("/older", "/newer") == f'sig1="{signing.name}"'
    assert form_after(signature_form="string") == f'"{signing.name}"'
    assert form_after(signature_string_hosts=["127.0.0.1"]) == f'"{signing.name}"'


def test_a_verifier_sees_rotation_and_revocation(world, signing, witness):
    old = AgentSDK(**signing.options)
    fresh = ed25519.Ed25519PrivateKey.generate()
    new = AgentSDK(**{**signing.options, "signing_key": pem_of(fresh)})

    def agent_of(sdk):
        with sdk.http(witness.origin) as http:
            return http.get("/").json()["agent"]

    now = int(time.time())
    assert (agent_of(old), agent_of(new)) == (signing.name, None)
    add_request_key(world.database, signing.agent_id, public_of(fresh), now)
    assert (agent_of(old), agent_of(new)) == (signing.name, signing.name)
    kid = old._need_signer()._key.kid
    remove_request_key(world.database, signing.agent_id, kid, now)
    assert (agent_of(old), agent_of(new)) == (None, signing.name)
    disable_agent(world.database, signing.agent_id, now)
    assert (agent_of(old), agent_of(new)) == (None, None)
    enable_agent(world.database, signing.agent_id, now)
    assert (agent_of(old), agent_of(new)) == (None, signing.name)


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_wrong_signing_options_are_named(signing, kind, tmp_path):
    shared = tmp_path / "shared.pem"
    shared.write_text(signing.path.read_text())
    shared.chmod(0o644)
    curve = pem_of(ec.generate_private_key(ec.SECP256R1()))
    published = (
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
        "-----END PRIVATE KEY-----\n"
    )
    for changes, words in (
        ({"signing_key": curve}, "Ed25519"),
        ({"signing_key": published}, "test key of RFC 9421"),
        ({"signing_key": public_of(signing.key)}, "is a public key"),
        ({"signing_key": "nowhere.pem"}, "signing_key is neither"),
        ({"signing_key": shared}, "chmod 600"),
        ({"private_key": signing.path}, "each key has one purpose"),
        ({"signature_agent": "http://id.example/agents/x"}, "signature_agent"),
        ({"signature_agent": "https://id.example/../x"}, "signature_agent"),
        ({"signing_key": None, "signature_agent": "https://id.example/a"}, "needs a signing_key"),
        ({"signature_form": "token"}, "dictionary or string"),
    ):
        with pytest.raises(SettingsError) as caught:
            kind(**{**signing.options, **changes})
        assert words in caught.value.description, changes
    with pytest.raises(SettingsError, match="signing_key is missing"):
        kind(**{**signing.options, "signing_key": None}).http()


def test_another_name_may_be_given(signing, witness):
    name = "https://id.example/agents/x"
    sdk = AgentSDK(**signing.options, signature_agent=name)
    with sdk.http(witness.origin) as http:
        http.get("/")
    assert witness.seen[0].headers["signature-agent"] == f'sig1="{name}"'


def test_no_repr_and_no_log_shows_the_key(signing, witness, caplog):
    caplog.set_level(0)
    sdk = AgentSDK(**signing.options)
    with sdk.http(witness.origin) as http:
        http.get("/?code=hidden")
    body = signing.path.read_text().splitlines()[1]
    told = f"{sdk!r} {sdk.options!r} {sdk._need_signer()!r} {vars(sdk)} {caplog.text}"
    assert body not in told
    assert pem_of(signing.key) not in told


def test_learned_forms_are_bounded(signing, monkeypatch):
    signer = Signer(Secret(signing.path.read_text()), signing.name)
    for number in range(1_100):
        signer.learn(f"https://s{number}.example/", '"signature-agent"')
    assert len(signer._learned) == 1_000
    assert signer.headers("GET", "https://s1.example/")[0][1].startswith("sig1=")
    assert signer.headers("GET", "https://s1099.example/")[0][1].startswith('"http')
    signer.learn("https://s1.example/", "x" * 5_000 + '"signature-agent"')
    assert signer.headers("GET", "https://s1.example/")[0][1].startswith("sig1=")


def test_without_a_signing_key_no_structured_fields_are_imported():
    code = (
        "import sys; from auth_agent.sdk import AgentSDK;"
        "AgentSDK(agent_id='a', agent_secret='s', server_url='https://id.example');"
        "assert 'http_sf' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_many_tasks_share_one_client(signing, witness):
    async def main():
        import anyio

        sdk = AsyncAgentSDK(**signing.options)
        async with sdk.http(witness.origin) as http, anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(http.get, f"/{number}")

    run_async(main)
    assert {one.problem for one in witness.seen} == {""}
    assert len({one.params["nonce"] for one in witness.seen}) == 10
