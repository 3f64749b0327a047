"""Keys instead of secrets: private_key_jwt of websites and of agents, each check broken alone."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jwt
import pytest
from sqlalchemy import select

from auth_agent.flow.fetching.fetcher import Fetched
from auth_agent.flow.fetching.refusals import FetchRefused, NoPlace
from auth_agent.secret import Secret
from auth_agent.server.oauth.clients import keys as client_keys
from auth_agent.server.oauth.clients.keys import FRESH_FOR, PATIENCE, STRANGERS, ClientKeys
from auth_agent.server.registry import agents, clients, rules
from auth_agent.server.registry.clients import Client
from auth_agent.server.registry.resources import add_resource
from auth_agent.server.security.keys.public import choose_key, parse_keys, usable_keys
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family
from auth_agent.server.tokens import endings
from tests.server.conftest import Build
from tests.server.keys import JWT_BEARER, Pair
from tests.server.world import ISSUER, ORIGIN, REDIRECT, World

PAIR, STRANGER = Pair(), Pair()

# What makes an assertion worthless: changed claims, changed header.
WRONG: list[tuple[dict[str, Any], dict[str, Any]]] = [
    *(({name: None}, {}) for name in ("iss", "sub", "aud", "jti", "exp")),
    ({"iss": "client_other"}, {}),
    ({"aud": ISSUER + "/"}, {}),
    ({"aud": ISSUER + "/tokens"}, {}),
    ({"aud": ISSUER + "/introspect"}, {}),
    ({"aud": [ISSUER + "/token", "https://other.example"]}, {}),
    ({"aud": [5]}, {}),
    ({"aud": {ISSUER: 1}}, {}),
    ({"aud": [ISSUER, "https://other.example"]}, {}),
    ({"aud": []}, {}),
    ({"exp": 0}, {}),
    ({"exp": 301}, {}),
    ({"exp": 301, "iat": None}, {}),
    ({"exp": 305, "iat": -10}, {}),
    ({"exp": "soon"}, {}),
    ({"exp": True}, {}),
    ({"iat": 6}, {}),
    ({"nbf": 6}, {}),
    ({"jti": 5}, {}),
    ({"jti": ""}, {}),
    ({"jti": "x" * 257}, {}),
    ({}, {"typ": "at+jwt"}),
    ({}, {"crit": ["exp"]}),
]


def _redeem(world: World, client_id: str, assertion: str, **changes: Any) -> Any:
    proof = {"client_assertion_type": JWT_BEARER, "client_assertion": assertion}
    code = changes.pop("code", "ac_unknown")
    return world.redeem(code, auth=None, client_id=client_id, **{**proof, **changes})


@pytest.fixture(autouse=True)
def _failures_are_forgotten(world: World) -> None:
    """Starts each test in another minute."""
    world.clock.forward(60)


@pytest.fixture(scope="module")
def keyed(world: World) -> World:
    """Returns the shared world with a shop that signs."""
    shop = clients.add_client(
        world.database, "Keyed", [REDIRECT], jwks=PAIR.jwks, now=world.context.now()
    )
    assert shop.client_secret is None
    return replace(world, shop=shop)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_website_signs_instead_of_sending_a_secret(own_world: World, algorithm: str) -> None:
    pair = Pair(algorithm)
    site = clients.add_client(
        own_world.database, "Keyed", [REDIRECT], jwks=pair.jwks, now=own_world.context.now()
    )
    code = own_world.code(client_id=site.client_id)
    now = own_world.clock()
    first = _redeem(own_world, site.client_id, pair.assertion(site.client_id, now), code=code)
    assert first.status_code == 200
    form = {
        "token": first.json()["access_token"],
        "client_assertion_type": JWT_BEARER,
        "client_assertion": pair.assertion(site.client_id, now, aud=[ISSUER]),
    }
    assert own_world.browser().post("/introspect", data=form).json()["active"] is True


@pytest.mark.parametrize(("claims", "header"), WRONG)
def test_a_worthless_assertion_is_refused(
    keyed: World, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    now, client_id = keyed.clock(), keyed.shop.client_id
    answer = _redeem(keyed, client_id, PAIR.assertion(client_id, now, header=header, **claims))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert "www-authenticate" in answer.headers
    good = _redeem(keyed, client_id, PAIR.assertion(client_id, now))
    assert good.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ISSUER + "/token"},
        {"aud": [ISSUER + "/token"]},
        {"aud": ISSUER + "/oauth2/token"},
        {"aud": [ISSUER, ISSUER + "/token"]},
        {"exp": 300},
        {"exp": 300, "iat": None},
        {"exp": 305, "iat": 5},
        {"iat": None, "nbf": 0},
    ],
)
def test_an_assertion_as_the_libraries_make_it_is_good_once(
    keyed: World, claims: dict[str, Any]
) -> None:
    """Follows RFC 7523 section 3 and OpenID Connect Core section 9."""
    client_id = keyed.shop.client_id
    assertion = PAIR.assertion(client_id, keyed.clock(), **claims)
    assert _redeem(keyed, client_id, assertion).json()["error"] == "invalid_grant"
    again = _redeem(keyed, client_id, assertion).json()
    assert (again["error"], "used before" in again["error_description"]) == ("invalid_client", True)


def test_a_used_assertion_is_remembered_until_it_expires(keyed: World) -> None:
    client_id = keyed.shop.client_id
    assertion = PAIR.assertion(client_id, keyed.clock(), exp=300)
    assert _redeem(keyed, client_id, assertion).json()["error"] == "invalid_grant"
    keyed.clock.forward(299)
    keyed.context.sweeper.sweep(keyed.context.now())
    assert "used before" in _redeem(keyed, client_id, assertion).json()["error_description"]
    keyed.clock.forward(1)
    assert "expired" in _redeem(keyed, client_id, assertion).json()["error_description"]


@pytest.mark.parametrize("kid", [None, "k-1", "foreign"])
def test_a_key_id_is_a_hint_where_one_key_is_registered(own_world: World, kid: Any) -> None:
    for registered in (PAIR.pem, PAIR.jwks):
        site = clients.add_client(
            own_world.database, "Keyed", [REDIRECT], jwks=registered, now=own_world.context.now()
        )
        now, header = own_world.clock(), {"kid": kid}
        good = PAIR.assertion(site.client_id, now, header=header)
        assert _redeem(own_world, site.client_id, good).json()["error"] == "invalid_grant"
        wrong = STRANGER.assertion(site.client_id, now, header=header)
        assert _redeem(own_world, site.client_id, wrong).json()["error"] == "invalid_client"
    two = json.dumps({"keys": [PAIR.jwk, {**STRANGER.jwk, "kid": "k-2"}]})
    site = clients.add_client(
        own_world.database, "Keyed", [REDIRECT], jwks=two, now=own_world.context.now()
    )
    answer = _redeem(
        own_world, site.client_id, PAIR.assertion(site.client_id, own_world.clock(), header=header)
    )
    expected = "invalid_grant" if kid == "k-1" else "invalid_client"
    assert answer.json()["error"] == expected


@pytest.mark.parametrize("declared", [None, "EdDSA", "Ed25519"])
@pytest.mark.parametrize("used", ["EdDSA", "Ed25519"])
def test_both_names_of_ed25519_are_one_algorithm(
    own_world: World, declared: str | None, used: str
) -> None:
    """Follows RFC 9864 section 2.2."""
    pair = Pair("EdDSA")
    jwk = {name: value for name, value in pair.jwk.items() if name != "alg"}
    registered = json.dumps(jwk if declared is None else {**jwk, "alg": declared})
    site = clients.add_client(
        own_world.database, "Keyed", [REDIRECT], jwks=registered, now=own_world.context.now()
    )
    good = pair.assertion(site.client_id, own_world.clock(), header={"alg": used})
    assert _redeem(own_world, site.client_id, good).json()["error"] == "invalid_grant"


def test_nothing_but_the_key_signs(keyed: World) -> None:
    now, client_id = keyed.clock(), keyed.shop.client_id
    good = PAIR.assertion(client_id, now)
    header, claims, signature = good.split(".")
    shared = jwt.encode(
        json.loads(base64.urlsafe_b64decode(claims + "==")), PAIR.pem[:60], "HS256", {"kid": "k-1"}
    )
    none = jwt.encode(json.loads(base64.urlsafe_b64decode(claims + "==")), None, "none")
    for wrong in (
        *(STRANGER.assertion(client_id, now), f"{header}.{claims}.", f"{header}.{claims}"),
        *(f"{header}.{claims}.{signature[::-1]}", shared, none, "x", "", "a.b.c", "é.é.é"),
        *(f"{good}=", f"{good}."),
    ):
        answer = _redeem(keyed, client_id, wrong)
        assert answer.status_code == 401, wrong
    assert _redeem(keyed, client_id, good).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, ""])
def test_a_name_that_nobody_can_have_is_refused(keyed: World, name: str) -> None:
    answer = keyed.redeem(
        "ac_unknown",
        auth=None,
        client_assertion_type=JWT_BEARER,
        client_assertion=PAIR.assertion(name, keyed.clock()),
    )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_assertion_is_good_once(keyed: World) -> None:
    client_id = keyed.shop.client_id
    assertion = PAIR.assertion(client_id, keyed.clock())
    code = keyed.code(client_id=client_id)
    assert _redeem(keyed, client_id, assertion, code=code).status_code == 200
    answer = _redeem(keyed, client_id, assertion)
    assert answer.status_code == 401
    assert "used before" in answer.json()["error_description"]


def test_a_website_proves_itself_in_its_own_way_only(keyed: World) -> None:
    client_id, now = keyed.shop.client_id, keyed.clock()
    assert keyed.redeem("ac_x", auth=None, client_id=client_id).status_code == 401
    assert keyed.redeem("ac_x", auth=(client_id, "secret")).status_code == 401
    other = keyed.other.client_id
    assert _redeem(keyed, other, PAIR.assertion(other, now)).status_code == 401
    both = _redeem(keyed, client_id, PAIR.assertion(client_id, now), client_secret="x")
    assert both.json()["error"] == "invalid_request"
    mixed = _redeem(keyed, other, PAIR.assertion(client_id, now))
    assert mixed.json()["error"] == "invalid_request"
    kind = _redeem(keyed, client_id, PAIR.assertion(client_id, now), client_assertion_type="x")
    assert kind.status_code == 401


# Agents


@pytest.fixture(scope="module")
def signer(world: World) -> World:
    """Returns the shared world with an agent that signs."""
    agent = agents.add_agent(
        world.database, "key@owner.example", model="m", public_key=PAIR.pem, now=world.context.now()
    )
    assert not agent.agent_secret
    return replace(world, agent=agent)


def _approve(world: World, request: str, pair: Pair = PAIR, /, **changes: Any) -> Any:
    extra = {"header": changes.pop("header", {"kid": None})}
    claims = {"request_id": request, "origin": ORIGIN, **changes}
    agent_id = world.agent.agent_id
    body = {
        "request_id": request,
        "agent_id": agent_id,
        "model": "claude-test",
        "agent_assertion": pair.assertion(agent_id, world.clock(), **extra, **claims),
    }
    return world.browser().post("/api/agent/authenticate", json=body)


def test_an_agent_signs_instead_of_sending_a_secret(signer: World) -> None:
    browser = signer.browser()
    request_id = signer.open(browser)
    assert _approve(signer, request_id).status_code == 200
    assert _approve(signer, request_id).status_code == 200
    tokens = signer.redeem(signer.poll(browser, request_id)["code"]).json()
    claims = signer.verified(tokens["id_token"], signer.shop.client_id)
    assert claims["amr"] == ["swk"]
    assert claims["sub"] == signer.agent.agent_id


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        *WRONG,
        ({"aud": ISSUER + "/token"}, {}),
        ({"request_id": "req_other"}, {}),
        ({"sub": "agent_other"}, {}),
    ],
)
def test_a_worthless_approval_is_refused(
    signer: World, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    request_id = signer.open(signer.browser())
    answer = _approve(signer, request_id, header={"kid": None, **header}, **claims)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_credentials")
    assert answer.json()["success"] is False
    assert _approve(signer, request_id).status_code == 200


@pytest.mark.parametrize("origin", [None, "https://evil.example", ORIGIN + "/", 5])
def test_an_approval_names_the_website(signer: World, origin: Any) -> None:
    answer = _approve(signer, signer.open(signer.browser()), origin=origin)
    assert (answer.status_code, answer.json()["error"]) == (409, "origin_mismatch")


@pytest.mark.parametrize("typ", [None, "JWT", "agent-approval+jwt"])
def test_an_approval_is_no_client_assertion(signer: World, typ: str | None) -> None:
    agent_id, now = signer.agent.agent_id, signer.clock()
    request_id = signer.open(signer.browser())
    header = {"kid": None, "typ": typ}
    form = {"grant_type": "client_credentials", "resource": "https://api.anywhere.example"}
    for claims in (
        {"request_id": request_id, "origin": ORIGIN},
        {"request_id": request_id},
        {"origin": ORIGIN},
        *([{}] if typ == "agent-approval+jwt" else []),
    ):
        signed = PAIR.assertion(agent_id, now, header=header, **claims)
        proof = {"client_assertion": signed, "client_assertion_type": JWT_BEARER}
        answer = signer.browser().post("/token", data={**form, **proof})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert _approve(signer, request_id, header=header).status_code == 200


def test_a_client_assertion_is_no_approval(signer: World) -> None:
    request_id = signer.open(signer.browser())
    assert _approve(signer, request_id, request_id=None, origin=None).status_code == 401
    typed = {"kid": None, "typ": "client-authentication+jwt"}
    assert _approve(signer, request_id, header=typed).status_code == 401


def test_an_approval_is_good_once_and_needs_the_key(signer: World) -> None:
    request_id = signer.open(signer.browser())
    assert _approve(signer, request_id, STRANGER).status_code == 401
    once = {"jti": "once"}
    assert _approve(signer, request_id, **once).status_code == 200
    assert _approve(signer, request_id, **once).status_code == 401
    with_secret = {"agent_id": signer.agent.agent_id, "agent_secret": "ags_x"}
    body = {"request_id": request_id, **with_secret}
    assert signer.browser().post("/api/agent/authenticate", json=body).status_code == 401
    for wrong in ({**body, "agent_assertion": "x"}, {**body, "agent_assertion": 5}):
        assert signer.browser().post("/api/agent/authenticate", json=wrong).status_code == 400
    del body["agent_secret"]
    for assertion in (5, ["x"], {}, True):
        wrong = {**body, "agent_assertion": assertion}
        assert signer.browser().post("/api/agent/authenticate", json=wrong).status_code == 400


def test_a_disabled_agents_key_is_void(own_world: World) -> None:
    own_world.agent = agents.add_agent(
        own_world.database,
        "key@owner.example",
        model="m",
        public_key=PAIR.pem,
        now=own_world.context.now(),
    )
    request_id = own_world.open(own_world.browser())
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    assert _approve(own_world, request_id).status_code == 401


def test_a_stranger_is_not_told_which_agents_have_keys(signer: World) -> None:
    request_id = signer.open(signer.browser())
    nobody = replace(signer, agent=agents.AgentCredentials("agent_unknown", Secret("")))
    known, unknown = (_approve(world, request_id, STRANGER) for world in (signer, nobody))
    assert known.status_code == unknown.status_code == 401
    assert known.content == unknown.content


def test_worthless_signatures_are_counted_and_stop_nobody_who_has_the_key(build: Build) -> None:
    world = build(limit_agent_failures=2, limit_client_failures=2)
    agent = agents.add_agent(
        world.database, "k@owner.example", model="m", public_key=PAIR.pem, now=world.context.now()
    )
    signer = replace(world, agent=agent)
    request_id = signer.open(signer.browser())
    statuses = [_approve(signer, request_id, STRANGER).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    assert _approve(signer, request_id).status_code == 200
    site = clients.add_client(
        world.database, "Keyed", [REDIRECT], jwks=PAIR.jwks, now=world.context.now()
    )
    wrong = [STRANGER.assertion(site.client_id, world.clock()) for _ in range(3)]
    assert [_redeem(world, site.client_id, one).status_code for one in wrong] == [401, 401, 429]
    good = _redeem(world, site.client_id, PAIR.assertion(site.client_id, world.clock()))
    assert good.json()["error"] == "invalid_grant"
    with world.database.read() as connection:
        refused = select(audit.c.kind).where(audit.c.outcome == "invalid_credentials")
        assert connection.execute(refused).scalars().all() == ["approval"] * 2


def test_an_agent_with_a_secret_has_no_key(own_world: World) -> None:
    assert _approve(own_world, own_world.open(own_world.browser())).status_code == 401


# Tokens for the APIs that an agent calls


def _api_token(world: World, **changes: Any) -> Any:
    auth = changes.pop("auth", (world.agent.agent_id, world.agent.agent_secret.reveal()))
    good = {"grant_type": "client_credentials", "resource": "https://api.anywhere.example"}
    form = {name: value for name, value in {**good, **changes}.items() if value is not None}
    return world.browser().post("/token", data=form, auth=auth)


def test_an_agent_gets_a_token_for_an_api(own_world: World) -> None:
    answer = _api_token(own_world)
    assert answer.status_code == 200, answer.text
    tokens = answer.json()
    assert set(tokens) == {"access_token", "token_type", "expires_in", "scope"}
    claims = own_world.verified(tokens["access_token"], "https://api.anywhere.example")
    agent_id = own_world.agent.agent_id
    assert claims["sub"] == claims["client_id"] == claims["agent_id"] == agent_id
    assert claims["model"] == "registered-model"
    assert claims["scope"] == "agent"
    two = ["https://a.example", "https://b.example"]
    both = _api_token(own_world, resource=two, scope="agent email", model="m-2").json()
    claims = own_world.verified(both["access_token"], two[0])
    assert (claims["aud"], claims["model"], claims["scope"]) == (two, "m-2", "agent email")
    endings.disable_agent(own_world.database, agent_id, own_world.context.now())
    assert own_world.userinfo(tokens["access_token"]).status_code == 401
    assert _api_token(own_world).status_code == 401


def test_a_token_for_an_api_leaves_nothing_behind(own_world: World) -> None:
    token = _api_token(own_world).json()["access_token"]
    auth = (own_world.agent.agent_id, own_world.agent.agent_secret.reveal())
    found = own_world.browser().post("/introspect", data={"token": token}, auth=auth).json()
    assert found["active"] is True
    own_world.context.sweeper.sweep(own_world.context.now() + 2 * 3_600 + 1)
    with own_world.database.read() as connection:
        assert connection.execute(select(token_family)).all() == []


def test_the_key_is_as_good_as_the_secret(signer: World) -> None:
    assertion = PAIR.assertion(signer.agent.agent_id, signer.clock(), header={"kid": None})
    proof = {"client_assertion_type": JWT_BEARER, "client_assertion": assertion}
    assert _api_token(signer, auth=None, **proof).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"resource": None}, "invalid_target"),
        ({"resource": "http://api.example"}, "invalid_target"),
        ({"resource": "api"}, "invalid_target"),
        ({"resource": "https://api.example/#x"}, "invalid_target"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"scope": "offline_access openid nonsense"}, "invalid_scope"),
        ({"scope": "agent\u00a0email"}, "invalid_scope"),
        ({"model": "  "}, "invalid_request"),
        ({"model": "a\nb"}, "invalid_request"),
        ({"model": "x" * 201}, "invalid_request"),
    ],
)
def test_a_wrong_request_for_an_api_is_refused(
    world: World, changes: dict[str, Any], error: str
) -> None:
    answer = _api_token(world, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("openid profile email agent", "profile email agent"),
        ("openid offline_access agent", "agent"),
        ("agent unknown", "agent"),
        ("agent  email", "agent email"),
        ("email agent email", "email agent"),
        (None, "agent"),
    ],
)
def test_scopes_are_narrowed_and_the_answer_says_so(
    world: World, asked: str | None, granted: str
) -> None:
    """Follows RFC 6749 section 3.3."""
    answer = _api_token(world, scope=asked)
    assert (answer.status_code, answer.json()["scope"]) == (200, granted)
    claims = world.verified(answer.json()["access_token"], "https://api.anywhere.example")
    assert claims["scope"] == granted


def test_narrowing_never_gives_an_agent_more_than_it_may_have(own_world: World) -> None:
    agent = agents.add_agent(
        own_world.database,
        "n@owner.example",
        model="m",
        scopes=["email"],
        now=own_world.context.now(),
    )
    narrow = replace(own_world, agent=agent)
    assert _api_token(narrow, scope="openid profile email agent").json()["scope"] == "email"
    assert _api_token(narrow).json()["error"] == "invalid_scope"
    assert _api_token(narrow, scope="agent").json()["error"] == "invalid_scope"


def test_an_apis_own_scopes_are_for_this_api(own_world: World) -> None:
    api = "https://m.example/mcp"
    add_resource(own_world.database, api, now=own_world.context.now(), scopes=["invoices:read"])
    own = {"scope": "invoices:read agent"}
    assert _api_token(own_world, resource=api, **own).json()["scope"] == "invoices:read agent"
    assert _api_token(own_world, **own).json()["scope"] == "agent"
    agent = agents.add_agent(
        own_world.database,
        "n@owner.example",
        model="m",
        scopes=["agent"],
        now=own_world.context.now(),
    )
    narrow = replace(own_world, agent=agent)
    assert _api_token(narrow, resource=api, **own).json()["scope"] == "agent"


def test_a_model_that_nobody_named_is_left_out(own_world: World) -> None:
    agent = agents.add_agent(own_world.database, "n@owner.example", now=own_world.context.now())
    answer = _api_token(replace(own_world, agent=agent), scope="email")
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    claims = own_world.verified(token, "https://api.anywhere.example")
    assert {"model", "model_name"}.isdisjoint(claims)
    auth = (agent.agent_id, agent.agent_secret.reveal())
    found = own_world.browser().post("/introspect", data={"token": token}, auth=auth).json()
    assert (found["active"], {"model", "model_name"}.isdisjoint(found)) == (True, True)
    assert "model" not in own_world.userinfo(token).json()


def test_only_the_agent_itself_may_ask(world: World) -> None:
    answer = _api_token(world, auth=world.basic())
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    assert _api_token(world, auth=(world.agent.agent_id, "wrong")).status_code == 401
    assert _api_token(world, auth=None, client_id=world.agent.agent_id).status_code == 401


# Reading keys


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_keys_come_in_three_forms(algorithm: str) -> None:
    pair = Pair(algorithm)
    for text in (pair.pem, json.dumps(pair.jwk), pair.jwks):
        (key,) = parse_keys(text)
        assert choose_key([key], key.get("kid"), algorithm)
        assert not choose_key([key], key.get("kid"), "HS256")


def _private_pem(pair: Pair) -> str:
    from cryptography.hazmat.primitives import serialization as s

    return str(
        pair.private.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()
    )


def test_what_is_no_public_key_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    weak = Pair("RS256", private=rsa.generate_private_key(65537, 1024))  # noqa: S505
    for text, named in (
        (_private_pem(PAIR), "private"),
        (json.dumps({**PAIR.jwk, "d": "x"}), "private"),
        ('{"kty": "oct", "k": "c2VjcmV0"}', "private or shared"),
        (weak.jwks, "2048"),
        (json.dumps({**PAIR.jwk, "use": "enc"}), "signatures"),
        (json.dumps({**PAIR.jwk, "crv": "secp256k1"}), "use a key"),
        (json.dumps({**PAIR.jwk, "x": "AA"}), "cannot be read"),
        (json.dumps({**PAIR.jwk, "kid": 5}), "not a JWK"),
        ('{"keys": []}', "1 to 20"),
        ('{"keys": [5]}', "not a JWK"),
        ("[]", "1 to 20"),
        ("nonsense", "neither"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no public key"),
    ):
        with pytest.raises(ValueError, match=named):
            parse_keys(text)


def test_unusable_keys_beside_a_good_one_are_skipped() -> None:
    assert len(usable_keys({"keys": [5, {"kty": "oct", "k": "x"}, PAIR.jwk]})) == 1
    assert usable_keys({"keys": 5}) == usable_keys(None) == []


def test_two_fitting_keys_are_none() -> None:
    keys = [{**PAIR.jwk, "kid": "a"}, {**STRANGER.jwk, "kid": "b"}]
    assert choose_key(keys, None, "ES256") is None
    assert choose_key(keys, "a", "ES256")


class _Web:
    """Stands for the fetcher."""

    def __init__(self) -> None:
        self.fetched = 0
        self.answer: Any = None

    def get(self, url: str) -> Fetched:
        self.fetched += 1
        if self.answer is None:
            raise FetchRefused("away")
        return Fetched(200, "application/json", json.dumps(self.answer).encode())


def test_fetched_keys_are_remembered_and_rotate() -> None:
    web, now = _Web(), [0.0]
    keys = ClientKeys(web, lambda: now[0])  # type: ignore[arg-type]
    client = Client.__new__(Client)
    client.id, client.jwks, client.jwks_uri = "client_x", None, "https://shop.example/jwks"
    web.answer = {"keys": [PAIR.jwk]}
    for _ in range(3):
        assert keys.of(client, "k-1")
    assert web.fetched == 1
    for _ in range(3):
        keys.of(client, "k-unknown")
    assert web.fetched == 1, "an unknown id soon after a fetch causes no other"
    now[0] = PATIENCE
    assert keys.of(client, "k-1")
    assert web.fetched == 1, "a known id causes none while the keys are fresh"
    web.answer = {"keys": [{**PAIR.jwk, "kid": "k-unknown"}]}
    assert keys.of(client, "k-unknown")[0]["kid"] == "k-unknown"
    assert web.fetched == 2
    now[0] += FRESH_FOR
    web.answer = None
    assert keys.of(client, "k-unknown"), "a failed fetch keeps the old keys"
    assert web.fetched == 3
    keys.of(client, "k-unknown")
    assert web.fetched == 3
    client.jwks_uri = None
    assert keys.of(client, "k-1") == []


def test_fetched_keys_are_bounded_and_the_latest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_keys, "MOST", 2)
    web, now = _Web(), [0.0]
    web.answer = {"keys": [PAIR.jwk]}
    keys, client = ClientKeys(web, lambda: now[0]), Client.__new__(Client)  # type: ignore[arg-type]
    client.id, client.jwks = "client_x", None
    for name in ("a", "b", "c"):
        client.jwks_uri = f"https://{name}.example/jwks"
        keys.of(client, "k-1")
    assert web.fetched == 3
    for name, fetched in (("c", 3), ("b", 3), ("a", 4)):
        client.jwks_uri = f"https://{name}.example/jwks"
        keys.of(client, "k-1")
        assert web.fetched == fetched


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"jwks": "nonsense"}, "neither"),
        ({"jwks": PAIR.jwks, "public": True}, "public client"),
        ({"jwks_uri": "http://shop.example/jwks"}, "jwks_uri"),
        ({"backchannel_logout_uri": "http://shop.example/out"}, "back-channel"),
    ],
)
def test_a_website_with_bad_keys_is_not_registered(
    own_world: World, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(rules.RegistrationError, match=named):
        clients.add_client(
            own_world.database, "X", [REDIRECT], **change, now=own_world.context.now()
        )


class _SlowWeb:
    """Answers with a key set once it is released."""

    def __init__(self) -> None:
        self.release, self.entered = threading.Event(), threading.Semaphore(0)
        self.fetched: list[str] = []
        self.has_place = True

    def get(self, url: str) -> Fetched:
        self.fetched.append(url)
        if not self.has_place:
            raise NoPlace("too many fetches at once")
        self.entered.release()
        assert self.release.wait(30)
        return Fetched(200, "application/json", PAIR.jwks.encode())


def _keyed(client_id: str, uri: str) -> Client:
    client: Client = Client.__new__(Client)
    client.id, client.jwks, client.jwks_uri = client_id, None, uri
    return client


def test_many_assertions_fetch_a_key_set_once() -> None:
    web = _SlowWeb()
    keys, client = ClientKeys(web), _keyed("client_x", "https://x.example/jwks")  # type: ignore[arg-type]
    with ThreadPoolExecutor(10) as pool:
        asked = [pool.submit(keys.of, client, "k-1") for _ in range(10)]
        assert web.entered.acquire(timeout=20)
        web.release.set()
        found = [each.result(20) for each in asked]
    assert web.fetched == [client.jwks_uri]
    assert all(each == found[0] and each for each in found)


def test_a_failure_for_want_of_a_place_is_not_remembered() -> None:
    web = _SlowWeb()
    web.release.set()
    keys, client = ClientKeys(web), _keyed("client_x", "https://x.example/jwks")  # type: ignore[arg-type]
    web.has_place = False
    assert keys.of(client, "k-1") == []
    web.has_place = True
    assert keys.of(client, "k-1")


def test_keys_of_unregistered_clients_take_no_places_of_registered_ones() -> None:
    web = _SlowWeb()
    keys = ClientKeys(web)  # type: ignore[arg-type]
    with ThreadPoolExecutor(10) as pool:
        strangers = [
            pool.submit(
                keys.of,
                _keyed(f"https://app{n}.example/client.json", f"https://app{n}.example/jwks"),
                "k-1",
            )
            for n in range(6)
        ]
        for _ in range(STRANGERS):
            assert web.entered.acquire(timeout=20)
        known = pool.submit(keys.of, _keyed("client_x", "https://x.example/jwks"), "k-1")
        assert web.entered.acquire(timeout=20)
        web.release.set()
        assert known.result(20)
        assert [bool(each.result(20)) for each in strangers].count(True) >= STRANGERS
