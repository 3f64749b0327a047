"""A website takes the bound tokens of a server that nobody here wrote: npm's oidc-provider."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from urllib.parse import urlsplit

import httpx2
import pytest

from auth_agent import RelyingParty, Settings
from auth_agent.flow import drive
from auth_agent.protocol.dpop.making import make_proof, new_proof_key
from auth_agent.website.web.outcome import Pass, Reply
from tests.adapters.network import free_port
from tests.npm import node_modules
from tests.website.browser import ValueVisit

ORIGIN = "https://shop.example"
SECRET = "a secret of the client that is long enough"

PROVIDER = """
import { Provider } from 'oidc-provider'
const [port, secret] = process.argv.slice(2)
const issuer = 'http://127.0.0.1:' + port
const { privateKey } = await crypto.subtle.generateKey(
  { name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
const jwk = { ...await crypto.subtle.exportKey('jwk', privateKey), use: 'sig', alg: 'ES256' }
delete jwk.key_ops; delete jwk.ext
const provider = new Provider(issuer, {
  jwks: { keys: [jwk] },
  clients: [{ client_id: 'shop', client_secret: secret, redirect_uris: [], response_types: [],
    grant_types: ['client_credentials'], id_token_signed_response_alg: 'ES256' }],
  scopes: ['jwt', 'opaque'],
  extraTokenClaims: () => ({ sub: 'agent_7', model: 'm' }),
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    dPoP: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'jwt opaque', audience: resource, accessTokenTTL: 600,
        accessTokenFormat: ctx.oidc.params.scope, jwt: { sign: { alg: 'ES256' } } }),
    },
  },
})
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'))
"""


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("npm"), free_port()
    node_modules(folder, "oidc-provider@9")
    (folder / "provider.mjs").write_text(PROVIDER)
    words = ["node", "provider.mjs", str(port), SECRET]
    with subprocess.Popen(
        words, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout
        line = running.stdout.readline().strip()
        assert line == "ready", running.stderr and running.stderr.read()
        yield f"http://127.0.0.1:{port}"
        running.terminate()
        running.communicate(timeout=20)
    drive.close()


@pytest.fixture(scope="module")
def key():
    return new_proof_key()


def prove(key, method, url, token=None):
    jti = secrets.token_urlsafe(16)
    return make_proof(key, method=method, url=url, now=time.time(), jti=jti, access_token=token)


def token_of(issuer, key, kind):
    """Returns a token that the server has bound to the key, because it accepted our proof."""
    headers = {} if key is None else {"dpop": prove(key, "POST", f"{issuer}/token")}
    form = {"grant_type": "client_credentials", "resource": ORIGIN, "scope": kind}
    auth = httpx2.BasicAuth("shop", SECRET.replace(" ", "+"))
    answer = httpx2.post(f"{issuer}/token", data=form, auth=auth, headers=headers)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["token_type"] == ("Bearer" if key is None else "DPoP")
    assert (document["access_token"].count(".") == 2) is (kind == "jwt")
    return document["access_token"]


@pytest.fixture
def site(issuer):
    settings = Settings(
        issuer=issuer,
        client_id="shop",
        client_secret=SECRET,
        secret="a secret of the website that is long enough",
        base_url=ORIGIN,
        protect="/api/*",
    )
    return RelyingParty(settings)


def call(site, token, proof, scheme="DPoP", target="/api/x"):
    headers = {"authorization": f"{scheme} {token}", **({} if proof is None else {"dpop": proof})}
    outcome = site.enter(ValueVisit("GET", target, headers))
    return outcome if isinstance(outcome, (Pass, Reply)) else drive.run(outcome)


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_bound_tokens_of_another_server(site, issuer, key, kind):
    token = token_of(issuer, key, kind)
    url = f"{ORIGIN}/api/x"
    for _ in range(2):
        outcome = call(site, token, prove(key, "GET", url, token))
        assert isinstance(outcome, Pass), outcome.body
        # In a signed token of this grant oidc-provider writes the client as `sub`.
        assert outcome.agent.id == {"jwt": "shop", "opaque": "agent_7"}[kind]
        assert outcome.agent.via == "dpop"
        assert outcome.agent.issuer == issuer
    for scheme, proof, cause in (
        ("Bearer", None, "token_bound"),
        ("DPoP", None, "proof_missing"),
        ("DPoP", prove(new_proof_key(), "GET", url, token), "token_key_mismatch"),
    ):
        reply = call(site, token, proof, scheme)
        assert (reply.status, json.loads(reply.body)["cause"]) == (401, cause)


@pytest.mark.parametrize("kind", ["jwt", "opaque"])
def test_bearer_tokens_of_another_server(site, issuer, key, kind):
    token = token_of(issuer, None, kind)
    assert call(site, token, None, "Bearer").agent.via == "bearer"
    reply = call(site, token, prove(key, "GET", f"{ORIGIN}/api/x", token))
    assert json.loads(reply.body)["cause"] == "token_unbound"


def test_its_metadata_offer_what_the_sdk_wants(issuer):
    url = f"{issuer}/.well-known/openid-configuration"
    document = httpx2.get(url).json()
    assert "ES256" in document["dpop_signing_alg_values_supported"]
    assert urlsplit(document["token_endpoint"]).path == "/token"
