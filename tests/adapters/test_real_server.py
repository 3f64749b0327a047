"""Our website against our server, over real HTTP: what only both together can show."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from auth_agent import Settings
from auth_agent.flow import drive
from auth_agent.protocol.jose.private_key import public_jwk
from auth_agent.sdk import AgentSDK
from auth_agent.server.registry.clients import add_client
from auth_agent.server.registry.request_keys import add_request_key
from auth_agent.server.tokens.endings import disable_agent
from tests.adapters.network import free_port
from tests.adapters.stacks import STACKS
from tests.services import redis_server
from tests.world import serve_auth_server


@pytest.fixture
def auth_server(tmp_path):
    with serve_auth_server(tmp_path) as server:
        yield server
    drive.close()


@pytest.fixture
def open_site(auth_server):
    """Starts a Starlette site of this server; returns its URL."""
    with ExitStack() as running:

        def start(client, **settings):
            port = free_port()
            site = f"http://127.0.0.1:{port}"
            credentials = add_client(
                auth_server.database,
                "Shop",
                [f"{site}/auth-agent/callback"],
                **client(site),
                now=int(time.time()),
            )
            known = Settings(
                issuer=auth_server.issuer,
                client_id=credentials.client_id,
                client_secret=credentials.client_secret,
                secret="a secret of the website that is long enough",
                base_url=site,
                **settings,
            )
            stack = STACKS["starlette"]
            running.enter_context(stack.serve(stack.build(known), port))
            return site

        yield start


def agent_of(auth_server):
    return AgentSDK(
        agent_id=auth_server.agent_id,
        agent_secret=auth_server.agent_secret,
        server_url=auth_server.issuer,
        model="claude-opus-4",
    )


@pytest.mark.parametrize("form", ["PEM", "JWKS"])
def test_a_website_that_signs_instead_of_sending_a_secret(auth_server, open_site, form):
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    registered = {"PEM": public.decode(), "JWKS": json.dumps({"keys": [public_jwk(key, "ES256")]})}
    site = open_site(lambda site: {"jwks": registered[form]}, client_key=private)
    with agent_of(auth_server) as sdk, sdk.sign_in(f"{site}/me") as visit:
        assert visit.client.get("/me").json()["agent_id"] == auth_server.agent_id


def test_a_disabled_agent_is_out_of_its_websites_at_once(auth_server, open_site):
    """Relies on back-channel logout: nothing has to expire first."""
    with redis_server() as store:
        site = open_site(
            lambda site: {"backchannel_logout_uri": f"{site}/auth-agent/backchannel-logout"},
            session_store=store,
        )
        with agent_of(auth_server) as sdk, sdk.sign_in(f"{site}/me") as visit:
            assert visit.client.get("/me").status_code == 200
            disable_agent(auth_server.database, auth_server.agent_id, int(time.time()))
            deadline = time.monotonic() + 120
            while visit.client.get("/me").status_code == 200:
                assert time.monotonic() < deadline, "the website never heard of it"
                time.sleep(0.05)
            assert visit.client.get("/me").status_code == 401


def test_a_token_for_this_website_is_a_bearer_token_here(auth_server, open_site):
    site = open_site(lambda site: {})
    with agent_of(auth_server) as sdk:
        token = sdk.get_own_token(site, scope="email")
        answer = httpx2.get(f"{site}/me", headers={"authorization": f"Bearer {token.access_token}"})
        assert answer.json() == {"agent_id": auth_server.agent_id, "via": "bearer"}
        other = sdk.get_own_token("https://other.example", scope="email")
        refused = httpx2.get(
            f"{site}/me", headers={"authorization": f"Bearer {other.access_token}"}
        )
        assert refused.json()["cause"] == "audience_mismatch"


def test_an_agent_signs_its_requests_and_the_website_knows_it_without_a_sign_in(
    auth_server, open_site
):
    """Its server publishes the key, the SDK signs, the website fetches and verifies."""
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    agent, now = auth_server.agent_id, int(time.time())
    add_request_key(auth_server.database, agent, public.decode(), now)
    sdk = AgentSDK(
        agent_id=agent,
        agent_secret=auth_server.agent_secret,
        server_url=auth_server.issuer,
        signing_key=private,
    )
    known = {"agent_id": agent, "via": "signature"}
    with sdk.http(open_site(_nothing, signatures="issuer")) as http:
        assert http.get("/me").json() == known
        assert http.post("/me", json={"order": 7}).json() == known
    disable_agent(auth_server.database, agent, now)
    with sdk.http(open_site(_nothing, signatures="issuer")) as http:
        refused = http.get("/me", headers={"accept": "application/json"})
        assert (refused.status_code, refused.json()["cause"]) == (401, "key_unknown")


def _nothing(_site):
    return {}
