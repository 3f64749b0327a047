"""OAuth clients that nobody here wrote, against a real server: Authlib, requests-oauthlib and
npm's openid-client, oauth4webapi and oidc-client-ts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from requests_oauthlib import OAuth2Session as RequestsSession

from auth_agent.server import Database
from tests.npm import node_modules
from tests.server.storage.test_workers import _serving, _site
from tests.server.world import REDIRECT, UPSTREAM_PATTERN

PLAIN_REDIRECT = "https://plain.example/callback"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    url = f"sqlite:///{tmp_path_factory.mktemp('clients')}/auth-agent.db"
    Database.open(url).close()
    made = _site(url)
    with _serving(url, made["port"]):
        base = made["base"]
        made["metadata"] = httpx2.get(base + "/.well-known/openid-configuration").json()
        yield made


def _through_the_browser(site: dict[str, Any], url: str) -> str:
    """Approves as the agent; returns where the browser is sent then."""
    with httpx2.Client() as browser:
        found = UPSTREAM_PATTERN.search(browser.get(url).text)
        assert found
        body = {
            "request_id": found[1],
            "agent_id": site["agent"].agent_id,
            "agent_secret": site["agent"].agent_secret.reveal(),
        }
        assert browser.post(site["base"] + "/api/agent/authenticate", json=body).is_success
        target = f"{site['base']}/authorize/continue?request_id={found[1]}"
        return str(browser.get(target).headers["location"])


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib(site: dict[str, Any], method: str) -> None:
    known, (client_id, secret) = site["metadata"], site["auth"]
    session = OAuth2Session(
        client_id,
        secret,
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        scope="openid profile email agent",
        redirect_uri=REDIRECT,
        code_challenge_method="S256",
    )
    verifier, nonce = "v" * 64, "n-authlib"
    url, state = session.create_authorization_url(
        known["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    token = session.fetch_token(
        known["token_endpoint"],
        authorization_response=_through_the_browser(site, url),
        code_verifier=verifier,
        state=state,
    )
    _check_id_token(site, token["id_token"], nonce)
    assert session.get(known["userinfo_endpoint"]).json()["sub"] == site["agent"].agent_id
    fresh = session.refresh_token(known["token_endpoint"], token["refresh_token"])
    assert fresh["refresh_token"] != token["refresh_token"]
    found = session.introspect_token(known["introspection_endpoint"], fresh["access_token"])
    assert found.json()["active"] is True
    assert (
        session.revoke_token(known["revocation_endpoint"], fresh["refresh_token"]).status_code
        == 200
    )
    found = session.introspect_token(known["introspection_endpoint"], fresh["access_token"])
    assert found.json() == {"active": False}
    session.close()


def _check_id_token(site: dict[str, Any], token: str, nonce: str) -> None:
    from joserfc import jwt
    from joserfc.jwk import KeySet

    keys = KeySet.import_key_set(httpx2.get(site["metadata"]["jwks_uri"]).json())
    decoded = jwt.decode(token, keys, algorithms=["ES256"])
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"value": site["base"]}, "aud": {"value": site["auth"][0]}},
        {"nonce": nonce, "client_id": site["auth"][0]},
    )
    claims.validate()
    assert claims["sub"] == site["agent"].agent_id


def test_requests_oauthlib(site: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    known, (client_id, secret) = site["metadata"], site["auth"]
    session = RequestsSession(
        client_id, redirect_uri=REDIRECT, scope=["openid", "email"], pkce="S256"
    )
    url, _state = session.authorization_url(known["authorization_endpoint"])
    token = session.fetch_token(
        known["token_endpoint"],
        authorization_response=_through_the_browser(site, url),
        client_secret=secret,
    )
    assert session.get(known["userinfo_endpoint"]).json()["agent_id"] == site["agent"].agent_id
    fresh = session.refresh_token(
        known["token_endpoint"], client_id=client_id, client_secret=secret
    )
    assert fresh["refresh_token"] != token["refresh_token"]
    for path, expected in (("introspection", True), ("revocation", None), ("introspection", False)):
        answer = session.post(
            known[f"{path}_endpoint"],
            data={"token": fresh["access_token"]},
            auth=(client_id, secret),
            withhold_token=True,
        )
        assert answer.status_code == 200
        if expected is not None:
            assert answer.json()["active"] is expected
    session.close()


OPENID_CLIENT = """
import * as client from 'openid-client'
const [base, id, secret, redirect_uri] = process.argv.slice(2)
const config = await client.discovery(new URL(base), id, secret,
  client.ClientSecretBasic(secret), { execute: [client.allowInsecureRequests] })
const pkceCodeVerifier = client.randomPKCECodeVerifier()
const expectedNonce = client.randomNonce(), expectedState = client.randomState()
const url = client.buildAuthorizationUrl(config, {
  redirect_uri, scope: 'openid email', nonce: expectedNonce, state: expectedState,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: 'S256' })
console.log(url.href)
const back = await new Promise(done => process.stdin.once('data', data => done(String(data))))
const checks = { pkceCodeVerifier, expectedNonce, expectedState, idTokenExpected: true }
const tokens = await client.authorizationCodeGrant(config, new URL(back.trim()), checks)
const sub = tokens.claims().sub
const user = await client.fetchUserInfo(config, tokens.access_token, sub)
const fresh = await client.refreshTokenGrant(config, tokens.refresh_token)
const before = await client.tokenIntrospection(config, fresh.access_token)
await client.tokenRevocation(config, fresh.refresh_token)
const after = await client.tokenIntrospection(config, fresh.access_token)
console.log(JSON.stringify({ sub, email: user.email, before: before.active, after: after.active }))
process.exit(0)
"""


OAUTH4WEBAPI = """
import * as oauth from 'oauth4webapi'
const [base, client_id, secret, redirect_uri] = process.argv.slice(2)
const loose = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(base), client = { client_id }, auth = oauth.ClientSecretBasic(secret)
const as = await oauth.processDiscoveryResponse(issuer,
  await oauth.discoveryRequest(issuer, { ...loose, algorithm: 'oauth2' }))
const verifier = oauth.generateRandomCodeVerifier()
const nonce = oauth.generateRandomNonce(), state = oauth.generateRandomState()
const url = new URL(as.authorization_endpoint)
for (const [name, value] of Object.entries({
  client_id, redirect_uri, response_type: 'code', scope: 'openid email', nonce, state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
})) url.searchParams.set(name, value)
console.log(url.href)
const back = await new Promise(done => process.stdin.once('data', data => done(String(data))))
const parameters = oauth.validateAuthResponse(as, client, new URL(back.trim()), state)
const tokens = await oauth.processAuthorizationCodeResponse(as, client,
  await oauth.authorizationCodeGrantRequest(
    as, client, auth, parameters, redirect_uri, verifier, loose),
  { expectedNonce: nonce, requireIdToken: true })
const sub = oauth.getValidatedIdTokenClaims(tokens).sub
const user = await oauth.processUserInfoResponse(as, client, sub,
  await oauth.userInfoRequest(as, client, tokens.access_token, loose))
const fresh = await oauth.processRefreshTokenResponse(as, client,
  await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, loose))
const ask = async () => (await oauth.processIntrospectionResponse(as, client,
  await oauth.introspectionRequest(as, client, auth, fresh.access_token, loose))).active
const before = await ask()
await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, auth, fresh.refresh_token, loose))
console.log(JSON.stringify({ sub, email: user.email, before, after: await ask() }))
process.exit(0)
"""
OIDC_CLIENT_TS = """
import { OidcClient, WebStorageStateStore, InMemoryWebStorage } from 'oidc-client-ts'
const [authority, client_id, client_secret, redirect_uri] = process.argv.slice(2)
const client = new OidcClient({
  authority, client_id, client_secret, redirect_uri, scope: 'openid email', loadUserInfo: true,
  stateStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }) })
console.log((await client.createSigninRequest({})).url)
const back = await new Promise(done => process.stdin.once('data', data => done(String(data))))
const signedIn = await client.processSigninResponse(back.trim())
const fresh = await client.useRefreshToken({ state: {
  refresh_token: signedIn.refresh_token, id_token: signedIn.id_token, profile: signedIn.profile,
  session_state: null, data: null } })
const ask = async () => (await (await fetch(await client.metadataService.getIssuer() +
  '/introspect', { method: 'POST', body: new URLSearchParams({ token: fresh.access_token }),
  headers: { authorization: 'Basic ' + btoa(client_id + ':' + client_secret) } })).json()).active
const before = await ask()
await client.revokeToken(fresh.refresh_token, 'refresh_token')
console.log(JSON.stringify({
  sub: signedIn.profile.sub, email: signedIn.profile.email, before, after: await ask() }))
process.exit(0)
"""
PROGRAMS = {
    "openid-client@6": OPENID_CLIENT,
    "oauth4webapi@3": OAUTH4WEBAPI,
    "oidc-client-ts@3": OIDC_CLIENT_TS,
}


@pytest.mark.parametrize("package", PROGRAMS)
def test_a_client_in_javascript(site: dict[str, Any], tmp_path: Path, package: str) -> None:
    node_modules(tmp_path, package)
    (tmp_path / "client.mjs").write_text(PROGRAMS[package])
    words = ["node", "client.mjs", site["base"], *site["auth"], PLAIN_REDIRECT]
    with subprocess.Popen(
        words, cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin
        assert program.stdout
        back = _through_the_browser(site, program.stdout.readline().strip())
        told, _ = program.communicate(back + "\n", timeout=60)
    assert program.returncode == 0
    assert json.loads(told) == {
        "sub": site["agent"].agent_id,
        "email": "ann@owner.example",
        "before": True,
        "after": False,
    }
