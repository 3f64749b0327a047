"""A server with a website and agents, and the steps of a sign-in as short calls."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any

import jwt
from anyio.from_thread import BlockingPortal
from starlette.testclient import TestClient

from auth_agent.secret import Secret
from auth_agent.server import Database, ServerSettings, create_app
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.agents import AgentCredentials
from auth_agent.server.registry.clients import ClientCredentials
from auth_agent.server.security import credentials

# Every test hashes secrets; at ten rounds that would be most of its time.
REAL_ROUNDS, credentials.ROUNDS = credentials.ROUNDS, 4

NOW = 1_800_000_000  # where every clock starts
SECRET = "s" * 32  # of all servers that do not name one
ISSUER = "http://127.0.0.1:8420"
REDIRECT = "https://shop.example/callback?keep=a%20b"
ORIGIN = "https://shop.example"
VERIFIER = "v" * 50
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
# The published agent SDKs find the request's id with an expression like this one.
UPSTREAM_PATTERN = re.compile(r"window\.authRequest\s*=\s*\{[^}]*request_id:\s*['\"]([^'\"]+)")


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class World:
    """One server; `browser()` gives a new browser without cookies."""

    app: Any
    clock: Clock
    portal: Any
    shop: ClientCredentials
    other: ClientCredentials
    phone: ClientCredentials
    agent: AgentCredentials
    rival: AgentCredentials
    careful: AgentCredentials

    @property
    def database(self) -> Any:
        return self.app.state.context.database

    @property
    def context(self) -> Any:
        return self.app.state.context

    def browser(self) -> TestClient:
        browser = TestClient(self.app, base_url=ISSUER, follow_redirects=False)
        browser.portal = self.portal
        return browser

    def request(self, **changes: Any) -> dict[str, Any]:
        """Returns the parameters of a valid authorization request; None removes one."""
        good = {
            "client_id": self.shop.client_id,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": "openid profile email agent",
            "state": "st+ate é&=~",
            "nonce": "n-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {k: v for k, v in {**good, **changes}.items() if v is not None}

    def open(self, browser: TestClient, **changes: Any) -> str:
        """Opens a sign-in and returns its request id."""
        answer = browser.get("/authorize", params=self.request(**changes))
        assert answer.status_code == 200, (answer.headers, answer.text)
        found = UPSTREAM_PATTERN.search(answer.text)
        assert found
        return found[1]

    def answer(
        self, request_id: str, who: AgentCredentials | None = None, /, **changes: Any
    ) -> Any:
        """Answers as the agent."""
        who = who or self.agent
        good = {
            "request_id": request_id,
            "agent_id": who.agent_id,
            "agent_secret": who.agent_secret.reveal(),
            "model": "claude-test",
        }
        body = {k: v for k, v in {**good, **changes}.items() if v is not None}
        return self.browser().post("/api/agent/authenticate", json=body)

    def poll(self, browser: TestClient, request_id: str) -> dict[str, Any]:
        answer = browser.get("/api/check-status", params={"request_id": request_id})
        assert answer.status_code == 200
        data: dict[str, Any] = answer.json()
        return data

    def code(self, **changes: Any) -> str:
        """Returns a new code, from /authorize to the poll."""
        browser = self.browser()
        request_id = self.open(browser, **changes)
        assert self.answer(request_id).status_code == 200
        return str(self.poll(browser, request_id)["code"])

    def redeem(self, code: str, **changes: Any) -> Any:
        """Sends a token request of the shop; `auth` and `json` go to the HTTP client."""
        extra = {name: changes.pop(name) for name in ("auth", "headers") if name in changes}
        if "auth" not in extra:
            extra["auth"] = self.basic()
        good = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        }
        form = {k: v for k, v in {**good, **changes}.items() if v is not None}
        return self.browser().post("/token", data=form, **extra)

    def refresh(self, token: str, **changes: Any) -> Any:
        form = {"grant_type": "refresh_token", "refresh_token": token, **changes}
        auth = form.pop("auth", self.basic())
        return self.browser().post("/token", data=form, auth=auth)

    def tokens(self, **changes: Any) -> dict[str, Any]:
        """Completes a sign-in; returns the token endpoint's answer."""
        answer = self.redeem(self.code(**changes))
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()
        return data

    def basic(self, client: ClientCredentials | None = None) -> tuple[str, str]:
        client = client or self.shop
        assert client.client_secret
        return client.client_id, client.client_secret.reveal()

    def introspect(self, token: str, client: ClientCredentials | None = None) -> dict[str, Any]:
        answer = self.browser().post("/introspect", data={"token": token}, auth=self.basic(client))
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()
        return data

    def userinfo(self, token: str) -> Any:
        return self.browser().get("/userinfo", headers={"authorization": f"Bearer {token}"})

    def verified(self, token: str, audience: str) -> dict[str, Any]:
        """Returns the claims, after checking the signature as a website would."""
        keys = jwt.PyJWKSet.from_dict(self.browser().get("/.well-known/jwks.json").json())
        header = jwt.get_unverified_header(token)
        claims: dict[str, Any] = jwt.decode(
            token,
            keys[header["kid"]].key,
            algorithms=[header["alg"]],
            audience=audience,
            issuer=self.context.settings.issuer,
            options={"verify_exp": False, "verify_iat": False},
        )
        return claims


def register(database: Database) -> dict[str, Any]:
    """Adds two shops, a public client and three agents."""
    return {
        "shop": clients.add_client(
            database, "The Shop", [REDIRECT], resources=["https://api.shop.example"], now=NOW
        ),
        "other": clients.add_client(
            database,
            "Other",
            ["https://other.example/"],
            resources=["https://api.other.example"],
            now=NOW,
        ),
        "phone": clients.add_client(
            database, "Phone", ["http://127.0.0.1/cb"], public=True, now=NOW
        ),
        "agent": agents.add_agent(
            database,
            "ann@owner.example",
            name="Ann",
            model="registered-model",
            permissions=["read"],
            now=NOW,
        ),
        "rival": agents.add_agent(database, "bob@owner.example", verified=False, now=NOW),
        "careful": agents.add_agent(
            database, "eve@owner.example", model="m", require_origin=True, now=NOW
        ),
    }


def make_world(url: str, people: dict[str, Any], portal: BlockingPortal, **settings: Any) -> World:
    """Makes a server on a database in which these people are registered.

    `settings` are those of the server, and the `fetcher` and `outbox` that it is to use.
    """
    clock = Clock()
    if not url.startswith("sqlite"):
        settings.setdefault("secrets", (Secret(SECRET),))
    doors = {name: settings.pop(name) for name in ("fetcher", "outbox") if name in settings}
    given = ServerSettings(database=url, **{"issuer": ISSUER, **settings})
    app = create_app(given, clock=clock, **doors)
    return World(app=app, clock=clock, portal=portal, **people)
