"""Real credentials for a website: a session cookie, tokens, and signed requests."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec

from auth_agent.flow.kept import Guard
from auth_agent.protocol.dpop.making import make_proof, new_proof_key
from auth_agent.protocol.jose.private_key import PrivateKey, public_jwk, thumbprint
from auth_agent.protocol.token import Tokens
from auth_agent.testing import agents, offline
from auth_agent.testing.server import FakeServer, claims_of
from auth_agent.website.agent import Agent
from auth_agent.website.config.settings import Settings
from auth_agent.website.config.site import Hooks, Site
from auth_agent.website.recognition.session import Session, open_session, session_cookie


def session_cookies(agent: Agent, settings: Settings) -> dict[str, str]:
    """Returns name and value of the session cookie, sealed with the website's own secret.

    Runs no hook and applies no policy; the website does at the first request. Raises `ValueError`
    if the website keeps its sessions in Redis, where only `sign_in` can put one.
    """
    if settings.store_url is not None:
        raise ValueError(
            "this website keeps its sessions in Redis: use sign_in(client, agent), or "
            'test_settings(session_store="cookie")'
        )
    site = Site.open(settings, Hooks())
    cookie = session_cookie(new_session(agent, site), site)
    return {cookie.name: cookie.value}


def new_session(agent: Agent, site: Site) -> Session:
    """Returns a session for this agent; raises `ValueError` if it is another server's agent."""
    known = adopted(agent, site.settings)
    tokens = Tokens(
        access_token="at_test", id_token=None, refresh_token=None, scopes=agent.scopes,
        expires_in=site.settings.session_lifetime,
    )  # fmt: skip
    session = open_session({"sub": agent.id}, tokens, site)
    known = msgspec.structs.replace(known, via="session")
    return msgspec.structs.replace(session, agent=known, accounts=site.hooks.accounts)


def adopted(agent: Agent, settings: Settings) -> Agent:
    """Returns the agent with this website's server as its issuer."""
    if agent.issuer not in (agents.ISSUER, settings.issuer):
        raise ValueError(
            f"this website's issuer is {settings.issuer}, the agent's is {agent.issuer}: leave "
            "issuer= out of make_agent()"
        )
    return msgspec.structs.replace(agent, issuer=settings.issuer, client_id=settings.client_id)


def bearer_headers(agent: Agent, settings: Settings) -> dict[str, str]:
    """Returns the Authorization header with an access token for this website.

    The `FakeServer` that runs for the website's issuer signs the token. If none runs and the issuer
    can never exist (as in `test_settings()`), one is plugged in for the rest of the process. Raises
    `ValueError` otherwise.
    """
    return {"Authorization": f"Bearer {_token(agent, settings)}"}


def dpop_headers(
    agent: Agent, settings: Settings, method: str = "GET", path: str = "/"
) -> dict[str, str]:
    """Returns the headers of one request with a token that is bound to a key (RFC 9449).

    Each call makes a key, a token and a proof, which is good for this method and path, once: sent
    again, or with another request, they are refused. Raises as `bearer_headers` does.
    """
    key, url = new_proof_key(), settings.base_url + path
    token = _token(agent, settings, cnf={"jkt": key.jkt})
    proof = make_proof(
        key, method=method, url=url, now=time.time(), jti=secrets.token_hex(16), access_token=token
    )
    return {"Authorization": f"DPoP {token}", "DPoP": proof}


def signature_headers(
    agent: Agent, settings: Settings, method: str = "GET", path: str = "/", body: bytes = b""
) -> dict[str, str]:
    """Returns the headers of one request that the agent has signed (RFC 9421, Web Bot Auth).

    The agent is one of the website's own server: the website accepts it if
    `AUTH_AGENT_SIGNATURES` lists `issuer`. Raises as `bearer_headers` does.
    """
    from auth_agent.protocol.signatures.sign import sign_request  # noqa: PLC0415  # an extra

    known, key = adopted(agent, settings), _server_for(settings).request_key
    signer = PrivateKey(key, "EdDSA", thumbprint(public_jwk(key, "EdDSA")))
    made = sign_request(
        method,
        settings.base_url + path,
        key=signer,
        agent=f"{settings.issuer}/agents/{known.id}",
        now=time.time(),
        nonce=secrets.token_bytes(16),
        body=body,
    )
    return dict(made)


def _token(agent: Agent, settings: Settings, **more: Any) -> str:
    known = adopted(agent, settings)
    server = _server_for(settings)
    claims = {**claims_of(known), "client_id": agent.client_id, "scope": " ".join(agent.scopes)}
    return server.access_token(aud=settings.expected_audience, **claims, **more)


def _server_for(settings: Settings) -> FakeServer:
    issuer = settings.issuer
    with _lock:
        found = offline.plugged(issuer) or offline.serving.get(issuer)
        if isinstance(found, FakeServer):
            return found
        if not offline.can_never_exist(issuer):
            raise ValueError(
                f"a test cannot make tokens of {issuer}, which may be a real server: use "
                "test_settings(), or the settings() of a FakeServer that serves"
            )
        secret = settings.client_secret
        server = FakeServer(
            issuer,
            client_id=settings.client_id,
            client_secret=secret.reveal() if secret is not None else agents.CLIENT_SECRET,
        )
        offline.plug(server)
        return server


_lock = Guard()
