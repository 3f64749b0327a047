"""Proofs (RFC 9449) of libraries that nobody here wrote, at a server of two workers with nonces."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from auth_agent.server import Database
from auth_agent.server.registry import clients
from tests.npm import node_modules
from tests.proofs import Holder
from tests.server.conftest import NewDatabase
from tests.server.oauth.test_independent_clients import _through_the_browser
from tests.server.storage.test_workers import _serving, _site
from tests.server.world import NOW

CALLBACK = "http://127.0.0.1:9/cb"
PACKAGES = ("dpop@2", "oauth4webapi@3", "openid-client@6")


@pytest.fixture(scope="module")
def site(copies: NewDatabase) -> Iterator[dict[str, Any]]:
    """Starts two workers, which must share all nonces and all used proofs."""
    made = _site(copies())
    database = Database.open(made["url"])
    phone = clients.add_client(
        database, "Phone", ["http://127.0.0.1/cb"], public=True, dpop_bound=True, now=NOW
    )
    database.close()
    made["phone"] = phone.client_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH_AGENT_SERVER_DPOP_NONCE", "true")
        with _serving(made["url"], made["port"]):
            yield made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("npm")
    node_modules(folder, *PACKAGES)
    return "node", folder


def _run(node: tuple[str, Path], script: str, *words: str, site: dict[str, Any]) -> Any:
    """Runs a script, which may name a URL for the agent's browser first; returns what it says."""
    program, folder = node
    file = folder / f"{abs(hash(script))}.mjs"
    file.write_text(script)
    with subprocess.Popen(
        [program, file.name, *words],
        cwd=folder,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdin
        assert running.stdout
        line = running.stdout.readline().strip()
        if line.startswith("http"):
            running.stdin.write(_through_the_browser(site, line) + "\n")
            running.stdin.flush()
            line = running.stdout.readline().strip()
        running.communicate(timeout=60)
    assert running.returncode == 0
    return json.loads(line)


OPENID_CLIENT = """
import * as client from 'openid-client'
const [base, id, redirect_uri] = process.argv.slice(2)
const config = await client.discovery(new URL(base), id, undefined, client.None(),
  { execute: [client.allowInsecureRequests] })
const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
const dpop_jkt = await DPoP.calculateThumbprint()
const pkceCodeVerifier = client.randomPKCECodeVerifier()
const expectedState = client.randomState()
const url = client.buildAuthorizationUrl(config, {
  redirect_uri, scope: 'openid email', state: expectedState, dpop_jkt,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256' })
console.log(url.href)
const back = await new Promise(done => process.stdin.once('data', data => done(String(data))))
const checks = { pkceCodeVerifier, expectedState, idTokenExpected: true }
const tokens = await client.authorizationCodeGrant(
  config, new URL(back.trim()), checks, undefined, { DPoP })
const sub = tokens.claims().sub
const user = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })
const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
const again = await client.fetchUserInfo(config, fresh.access_token, sub, { DPoP })
let stolen
try { await client.refreshTokenGrant(config, fresh.refresh_token) } catch (e) { stolen = e.error }
const other = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
let foreign
try {
  await client.refreshTokenGrant(config, fresh.refresh_token, undefined, { DPoP: other })
} catch (e) { foreign = e.error }
const last = await client.refreshTokenGrant(config, fresh.refresh_token, undefined, { DPoP })
console.log(JSON.stringify({ type: tokens.token_type, email: user.email, again: again.email,
  stolen, foreign, last: last.token_type }))
process.exit(0)
"""


def test_openid_client(site: dict[str, Any], node: tuple[str, Path]) -> None:
    found = _run(node, OPENID_CLIENT, site["base"], site["phone"], CALLBACK, site=site)
    assert found == {
        "type": "dpop",
        "email": "ann@owner.example",
        "again": "ann@owner.example",
        "stolen": "invalid_dpop_proof",
        "foreign": "invalid_grant",
        "last": "dpop",
    }


OAUTH4WEBAPI = """
import * as oauth from 'oauth4webapi'
const [base, id, secret] = process.argv.slice(2)
const insecure = { [oauth.allowInsecureRequests]: true }
const as = await oauth.processDiscoveryResponse(new URL(base),
  await oauth.discoveryRequest(new URL(base), { algorithm: 'oauth2', ...insecure }))
const client = { client_id: id }
const found = {}
for (const alg of ['ES256', 'Ed25519']) {
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair(alg))
  const grant = () => oauth.clientCredentialsGrantRequest(as, client,
    oauth.ClientSecretBasic(secret), { resource: base, scope: 'agent' }, { DPoP, ...insecure })
  let tokens
  try { tokens = await oauth.processClientCredentialsResponse(as, client, await grant()) }
  catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    tokens = await oauth.processClientCredentialsResponse(as, client, await grant())
  }
  const call = () => oauth.protectedResourceRequest(tokens.access_token, 'GET',
    new URL(base + '/api/agents/profile'), undefined, undefined, { DPoP, ...insecure })
  const answer = await call()
  const introspected = await fetch(base + '/introspect', { method: 'POST',
    headers: { authorization: 'Basic ' + btoa(id + ':' + secret) },
    body: new URLSearchParams({ token: tokens.access_token }) }).then(one => one.json())
  found[alg] = [tokens.token_type, (await answer.json()).agent_id, introspected.token_type,
    introspected.cnf.jkt === await DPoP.calculateThumbprint()]
}
console.log(JSON.stringify({ offered: as.dpop_signing_alg_values_supported, found }))
process.exit(0)
"""


def test_oauth4webapi(site: dict[str, Any], node: tuple[str, Path]) -> None:
    agent = site["agent"]
    words = (site["base"], agent.agent_id, agent.agent_secret.reveal())
    found = _run(node, OAUTH4WEBAPI, *words, site=site)
    one = ["dpop", agent.agent_id, "DPoP", True]
    assert found == {"offered": ["ES256", "EdDSA"], "found": {"ES256": one, "Ed25519": one}}


DPOP = """
import * as DPoP from 'dpop'
const [base, id, secret] = process.argv.slice(2)
const pair = await DPoP.generateKeyPair('ES256')
const form = () => new URLSearchParams({ grant_type: 'client_credentials', resource: base })
const basic = 'Basic ' + btoa(id + ':' + secret)
const ask = async nonce => fetch(base + '/token', { method: 'POST', body: form(), headers: {
  authorization: basic, DPoP: await DPoP.generateProof(pair, base + '/token', 'POST', nonce) } })
const first = await ask()
const nonce = first.headers.get('dpop-nonce')
const tokens = await (await ask(nonce)).json()
const url = base + '/api/agents/profile'
const call = async scheme => fetch(url, { headers: {
  authorization: scheme + ' ' + tokens.access_token,
  DPoP: await DPoP.generateProof(pair, url, 'GET', nonce, tokens.access_token) } })
console.log(JSON.stringify([first.status, (await first.json()).error, tokens.token_type,
  (await call('DPoP')).status, (await call('Bearer')).status]))
process.exit(0)
"""


def test_dpop(site: dict[str, Any], node: tuple[str, Path]) -> None:
    agent = site["agent"]
    words = (site["base"], agent.agent_id, agent.agent_secret.reveal())
    found = _run(node, DPOP, *words, site=site)
    assert found == [400, "use_dpop_nonce", "DPoP", 200, 401]


def test_one_proof_counts_once_on_both_workers(site: dict[str, Any]) -> None:
    holder, agent, base = Holder(), site["agent"], site["base"]
    auth = (agent.agent_id, agent.agent_secret.reveal())
    form = {"grant_type": "client_credentials", "resource": base}

    def ask(text: str) -> httpx2.Response:
        return httpx2.post(f"{base}/token", data=form, auth=auth, headers={"dpop": text})

    first = ask(holder.proof("POST", f"{base}/token", time.time()))
    assert first.json()["error"] == "use_dpop_nonce"
    nonce = first.headers["dpop-nonce"]
    start = threading.Barrier(12)

    def send(text: str) -> httpx2.Response:
        start.wait(20)
        return ask(text)

    for _ in range(5):
        text = holder.proof("POST", f"{base}/token", time.time(), nonce=nonce)
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(send, [text] * 12))
        told = sorted((one.status_code, one.json().get("error", "")) for one in answers)
        assert told[0] == (200, "")
        assert set(told[1:]) == {(400, "invalid_dpop_proof")}
        nonce = answers[0].headers["dpop-nonce"]
