"""A signed agent at a real website that lists its issuer: one identity, rotation, revocation."""

from __future__ import annotations

import ast
import time

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from auth_agent import RelyingParty, Settings
from auth_agent.asgi import AuthAgentMiddleware, agent_of
from auth_agent.flow import drive
from auth_agent.protocol.signatures.sign import sign_request
from auth_agent.sdk import AgentSDK
from auth_agent.secret import Secret
from auth_agent.server.registry.clients import add_client
from auth_agent.server.registry.people.administrators import create_account
from auth_agent.server.registry.request_keys import add_request_key, remove_request_key
from tests.adapters.network import free_port
from tests.sdk.conftest import serving
from tests.sdk.witness import Signing, pem_of, public_of
from tests.server.people import PASSWORD, TOKEN

CACHED = 300  # seconds for which the agent's document may be kept
JSON = {"accept": "application/json"}


class Clock:
    """The clock of the website and of the agent."""

    ahead = 0.0

    def __call__(self):
        return time.time() + self.ahead


@pytest.fixture
def clock():
    return Clock()


async def who(request):
    agent = agent_of(request.scope)
    return PlainTextResponse(repr(agent and (agent.issuer, agent.id, agent.via)))


@pytest.fixture
def site(world, clock):
    origin = f"http://127.0.0.1:{free_port()}"
    client = add_client(
        world.database, "Shop", [f"{origin}/auth-agent/callback"], now=int(time.time())
    )
    settings = Settings(
        issuer=world.issuer,
        client_id=client.client_id,
        client_secret=client.client_secret.reveal(),
        secret="a secret of the website that is long enough",
        base_url=origin,
        protect=("/private/*",),
        signatures=("issuer",),
    )
    party = RelyingParty(settings, clock=clock)
    routes = [Route("/{path:path}", who, methods=["GET", "POST"])]
    app = Starlette(
        routes=routes, middleware=[Middleware(AuthAgentMiddleware, relying_party=party)]
    )
    with serving(app, origin):
        yield origin
    drive.close()


@pytest.fixture
def ask(signing, site, clock):
    """Returns `ask(method, **options)`: the status and the identity that the website sees."""

    def one(method="GET", **options):
        sdk = AgentSDK(**{**signing.options, **options})
        sdk._need_signer()._now = clock
        with sdk.http(site) as http:
            answer = http.request(method, "/private/x", headers=JSON)
        return answer.status_code, answer.text if answer.status_code == 200 else answer.json()

    return one


def seen(world, signing, via):
    return 200, repr((world.issuer, signing.agent_id, via))


@pytest.fixture
def console(world):
    name = f"ada{time.time_ns()}"
    create_account(world.database, name, Secret(PASSWORD), int(time.time()))
    with httpx2.Client(base_url=world.issuer, trust_env=False) as http:

        def send(page, path, **fields):
            token = TOKEN.search(http.get(page).text)[1]
            headers = {"sec-fetch-site": "same-origin"}
            answer = http.post(path, data={"form_token": token, **fields}, headers=headers)
            assert answer.status_code == 303, answer.text

        send("/console/sign-in", "/console/sign-in", name=name, password=PASSWORD)
        yield send


def test_one_agent_by_every_door(world, signing, site, ask):
    assert ask() == seen(world, signing, "signature")
    assert ask("POST") == seen(world, signing, "signature")
    sdk = AgentSDK(**signing.options)
    # The website takes the agent for signed in, and still gives it a session when it asks for one.
    with sdk.sign_in(f"{site}/private/x") as signed_in:
        identity = ast.literal_eval(signed_in.client.get("/private/x").text)
    assert identity == (world.issuer, signing.agent_id, "session")
    with sdk.session(site) as session:
        identity = ast.literal_eval(session.get("/private/x").text)
    assert identity[:2] == (world.issuer, signing.agent_id)
    assert identity[2] in ("bearer", "dpop")


def test_disabling_in_the_console_locks_it_out_within_five_minutes(
    world, signing, site, ask, clock, console
):
    assert ask() == seen(world, signing, "signature")
    with httpx2.Client(base_url=site, trust_env=False) as thief:
        # A signature that somebody else has recorded, and that is good for a day.
        signer = AgentSDK(**signing.options)._need_signer()
        recorded = sign_request(
            "GET", f"{site}/private/x", key=signer._key, agent=signing.name, now=clock(),
            nonce=b"n" * 16, lifetime=86_400,
        )  # fmt: skip
        recorded = {**dict(recorded), **JSON}
        assert thief.get("/private/x", headers=recorded).status_code == 200
        page = f"/console/agent?id={signing.agent_id}"
        console(page, "/console/agent/disable", id=signing.agent_id)
        clock.ahead = CACHED + 1
        status, answer = ask()
        assert (status, answer["error"]) == (401, "invalid_signature"), answer
        assert ask("POST")[0] == 401
        assert thief.get("/private/x", headers=recorded).status_code == 401
    console(page, "/console/agent/enable", id=signing.agent_id)
    clock.ahead += CACHED + 1
    assert ask() == seen(world, signing, "signature")


def test_a_key_is_changed_without_a_gap(world, signing, site, ask, clock, console):
    fresh = ed25519.Ed25519PrivateKey.generate()
    new = {"signing_key": pem_of(fresh)}
    assert ask() == seen(world, signing, "signature")
    add_request_key(world.database, signing.agent_id, public_of(fresh), int(time.time()))
    clock.ahead += 31  # an unknown key makes the website look again, once in half a minute
    assert ask(**new) == ask() == seen(world, signing, "signature")
    kid = AgentSDK(**signing.options)._need_signer()._key.kid
    page = f"/console/agent?id={signing.agent_id}"
    console(page, "/console/agent/signing-keys/remove", id=signing.agent_id, kid=kid)
    clock.ahead += CACHED + 1
    assert ask()[0] == 401
    assert ask(**new) == seen(world, signing, "signature")


def test_removing_the_only_key_locks_it_out(world, signing, site, ask, clock):
    assert ask()[0] == 200
    kid = AgentSDK(**signing.options)._need_signer()._key.kid
    remove_request_key(world.database, signing.agent_id, kid, int(time.time()))
    clock.ahead = CACHED + 1
    assert ask()[0] == 401


def test_a_key_signs_for_its_own_agent_alone(world, signing, site, ask, tmp_path):
    """Tries the rival's name with this agent's key, and the reverse."""
    (tmp_path / "rival").mkdir()
    rival = Signing(world, tmp_path / "rival")
    assert ask(signing_key=rival.path, signature_agent=rival.name)[1] != ask()[1]
    assert ask(signing_key=rival.path, signature_agent=signing.name)[0] == 401
    assert ask(signature_agent=rival.name)[0] == 401
    assert ask(signature_agent=f"{world.issuer}/agents/nobody")[0] == 503, "no document, no keys"
