"""Agents, settings, credentials and clients of `auth_agent.testing`, on every framework."""

from __future__ import annotations

import base64
import json
import threading
import time
from urllib.parse import parse_qs, quote_plus, urlsplit

import anyio
import anyio.lowlevel
import httpx2
import pytest
from flask import Flask
from msgspec.structs import force_setattr
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from auth_agent import Agent, RelyingParty, SettingsError, SignInRefused, asgi, wsgi
from auth_agent.flow import drive
from auth_agent.flow.exchange import form_request
from auth_agent.protocol.dpop.making import make_proof, new_proof_key
from auth_agent.protocol.pkce import challenge_of
from auth_agent.secret import Secret
from auth_agent.testing import (
    ABSENT,
    FakeServer,
    bearer_headers,
    dpop_headers,
    make_agent,
    offline,
    session_cookies,
    sign_in,
    signature_headers,
    test_environ,
    test_settings,
)
from auth_agent_flask import AuthAgent, current_agent
from auth_agent_starlette import AuthAgentMiddleware, requires_agent

JSON = {"Accept": "application/json"}


@requires_agent
async def me(request):
    agent = request.state.agent
    return JSONResponse({"agent": agent.id, "via": agent.via, "account": agent.account_id})


def starlette_app(relying_party):
    middleware = Middleware(AuthAgentMiddleware, relying_party=relying_party)
    return Starlette(routes=[Route("/me", me)], middleware=[middleware])


def site(**hooks):
    return starlette_app(RelyingParty(test_settings(), **hooks))


def test_an_agent_has_a_default_for_everything_and_takes_every_field():
    agent = make_agent()
    assert isinstance(agent, Agent)
    assert agent.email_verified
    assert agent.expires_at > agent.authenticated_at
    assert make_agent(email=None).email_verified is False
    assert make_agent(scopes="a b").scopes == make_agent(scopes=["a", "b"]).scopes == ("a", "b")
    assert make_agent(model=None, claims={"x": 1}).claims == {"x": 1}


def test_a_misspelt_field_is_told():
    with pytest.raises(TypeError, match="did you mean scopes="):
        make_agent(scope="a")


def test_settings_do_not_read_the_environment(monkeypatch):
    monkeypatch.setenv("AUTH_AGENT_ISSUER", "https://other.example")
    monkeypatch.setenv("AUTH_AGENT_PROTECTED", "misspelt")
    assert test_settings().issuer == "https://auth.example"
    assert test_settings(protect="/x/*").protect == ("/x/*",)
    with pytest.raises(SettingsError, match="AUTH_AGENT_PREFIX"):
        test_settings(prefix="no slash")


def test_the_environment_says_the_same(monkeypatch):
    for name, value in test_environ(protect="/private/*").items():
        monkeypatch.setenv(name, value)
    assert RelyingParty().settings == test_settings(protect="/private/*")


def test_pytest_collects_none_of_them():
    assert not test_settings.__test__
    assert not test_environ.__test__


def test_a_client_of_starlette_entered_or_not():
    app = site()
    client = TestClient(app)
    assert client.get("/me", headers=JSON).status_code == 401
    sign_in(client, make_agent(id="agent_1"))
    assert client.get("/me").json() == {"agent": "agent_1", "via": "session", "account": None}
    with TestClient(app) as entered:
        sign_in(entered, make_agent(id="agent_2"))
        assert entered.get("/me").json()["agent"] == "agent_2"


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_hook_runs_and_gives_the_account(colour):
    came = []

    def hook(agent):
        came.append(agent.id)
        return 42

    async def later(agent):
        await anyio.lowlevel.checkpoint()
        return hook(agent)

    client = TestClient(site(on_sign_in=hook if colour == "sync" else later))
    sign_in(client, make_agent(id="agent_1"))
    assert client.get("/me").json()["account"] == "42"
    assert came == ["agent_1"]


def test_a_hook_or_a_policy_that_refuses_is_seen():
    def refuse(agent):
        raise SignInRefused("no", code="mine")

    with pytest.raises(SignInRefused, match="no"):
        sign_in(TestClient(site(on_sign_in=refuse)), make_agent())
    app = starlette_app(RelyingParty(test_settings(deny_agents="agent_1")))
    with pytest.raises(SignInRefused, match="does not admit"):
        sign_in(TestClient(app), make_agent(id="agent_1"))


def test_a_session_can_be_ended_by_the_site():
    client = TestClient(site())
    sign_in(client, make_agent())
    assert client.get("/me").status_code == 200
    assert client.post("/auth-agent/logout", follow_redirects=False).status_code == 303
    assert client.get("/me", headers=JSON).status_code == 401


def test_a_second_agent_replaces_the_first():
    client = TestClient(site())
    for name in ("agent_1", "agent_2"):
        sign_in(client, make_agent(id=name))
        assert client.get("/me").json()["agent"] == name


def test_the_middleware_of_a_mounted_application_is_found():
    outer = Starlette(routes=[Mount("/inner", site())])
    client = TestClient(outer)
    sign_in(client, make_agent(id="agent_1"))
    assert client.get("/inner/me").json()["agent"] == "agent_1"


def test_a_client_with_nothing_behind_it_says_what_to_do():
    with pytest.raises(TypeError, match=r"session_cookies\(agent, settings\)"):
        sign_in(TestClient(Starlette()), make_agent())
    with httpx2.Client() as client, pytest.raises(TypeError, match="no AuthAgentMiddleware"):
        sign_in(client, make_agent())


def test_flask_with_a_server_name():
    app = Flask(__name__)
    app.config["SERVER_NAME"] = "shop.example"
    AuthAgent(app, test_settings(base_url="https://shop.example"))
    app.get("/")(lambda: str(current_agent.id if current_agent else None))
    client = app.test_client()
    sign_in(client, make_agent(id="agent_1"))
    assert client.get("/").text == "agent_1"
    assert client.get("/", base_url="https://shop.example").text == "agent_1"


def test_a_client_of_an_asgi_application_is_awaited():
    app = site()

    async def visit():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await sign_in(client, make_agent(id="agent_1"))
            return (await client.get("/me")).json()

    assert anyio.run(visit)["agent"] == "agent_1"


@pytest.mark.parametrize("base_url", ["http://localhost", "https://shop.example"])
def test_a_bearer_token_needs_no_server(base_url):
    settings = test_settings(base_url=base_url)
    client = TestClient(starlette_app(RelyingParty(settings)), base_url=base_url)
    agent = make_agent(id="agent_1", email=None, scopes=["a"], permissions=["p"])
    answer = client.get("/me", headers=bearer_headers(agent, settings))
    assert answer.json() == {"agent": "agent_1", "via": "bearer", "account": None}


def test_a_token_says_what_the_agent_is():
    settings = test_settings()
    seen = []

    async def app(scope, receive, send):
        seen.append(asgi.agent_of(scope))
        await JSONResponse({})(scope, receive, send)

    agent = make_agent(id="a", email=None, name=None, scopes="x y", permissions=["p"], model="m")
    guarded = asgi.AuthAgentMiddleware(app, settings)
    TestClient(guarded).get("/", headers=bearer_headers(agent, settings))
    (came,) = seen
    for field in ("id", "email", "email_verified", "name", "scopes", "permissions", "model"):
        assert getattr(came, field) == getattr(agent, field), field


@pytest.mark.parametrize("issuer", ["https://auth.company.com", "http://127.0.0.1:9"])
def test_no_token_is_made_for_a_server_that_may_be_real(issuer):
    settings = test_settings(issuer=issuer)
    with pytest.raises(ValueError, match="may be a real server"):
        bearer_headers(make_agent(), settings)


def test_and_none_stands_in_for_one():
    real = FakeServer("https://auth.company.com").in_process()
    with pytest.raises(ValueError, match="may be a real server"), real:
        pass
    assert offline.plugged("https://auth.company.com") is None


def test_nothing_is_plugged_in_for_longer_than_asked():
    before = (drive.exchange, drive.exchange_async)
    with FakeServer("https://once.example").in_process() as server:
        assert offline.plugged("https://once.example") is server
    assert offline.plugged("https://once.example") is None
    assert (
        offline.plugged("https://auth.example") or (drive.exchange, drive.exchange_async) == before
    )


def test_a_session_needs_the_sites_own_secret():
    other = test_settings(secret="another secret that is long enough too")
    cookies = session_cookies(make_agent(), other)
    client = TestClient(site(), cookies=cookies)
    assert client.get("/me", headers=JSON).status_code == 401


def test_an_agent_of_another_issuer_is_told():
    with pytest.raises(ValueError, match="leave issuer= out"):
        session_cookies(make_agent(issuer="https://other.example"), test_settings())


def test_a_site_with_a_store_sends_to_sign_in():
    settings = test_settings()
    force_setattr(settings, "session_store", Secret("redis://127.0.0.1:1/0"))
    with pytest.raises(ValueError, match="use sign_in"):
        session_cookies(make_agent(), settings)


def visit_server(client, server, path="/me", **changes):
    begun = client.get(f"/auth-agent/login?next={path}", follow_redirects=False)
    return client.get(
        server.approve(begun.headers["location"], **changes), headers=JSON, follow_redirects=False
    )


FAULTS = {
    "rotated": (lambda server: server.rotate(), 303),
    "fails": (lambda server: server.fail("/token"), 503),
    "hangs": (lambda server: server.hang("/token"), 503),
    "wrong nonce": (lambda server: server.claims.update(nonce="wrong"), 401),
    "no nonce": (lambda server: server.claims.update(nonce=ABSENT), 401),
    "ahead": (lambda server: server.skew(3_600), 401),
    "behind": (lambda server: server.skew(-36_000), 401),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", ["in_process", "serve"])
def test_a_fault_on_demand(way, fault):
    begin, status = FAULTS[fault]
    if (way, fault) == ("serve", "hangs"):
        pytest.skip("ten seconds; test_a_hanging_server_lets_go does it")
    with getattr(FakeServer(), way)() as server:
        client = TestClient(
            starlette_app(RelyingParty(server.settings())), base_url="http://localhost"
        )
        assert visit_server(client, server).status_code == 303
        begin(server)
        answer = visit_server(client, server)
        assert answer.status_code == status, answer.text
        server.mend()
        assert visit_server(client, server).status_code == 303


def test_a_hanging_server_lets_go_when_it_is_mended():
    waiting, answers = threading.Event(), []
    with FakeServer().serve() as server:
        server.hang("/token")
        wait = server._hung.wait
        server._hung.wait = lambda seconds: waiting.set() or wait(seconds)

        def ask():
            answer = httpx2.post(f"{server.issuer}/token", timeout=30, trust_env=False)
            answers.append(answer.status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        assert waiting.wait(10)
        assert not answers
        server.mend()
        asking.join(20)
    assert answers == [401]


def test_a_browser_that_follows_is_signed_in_over_http():
    with FakeServer().serve() as server:
        begun = httpx2.get(
            f"{server.issuer}/authorize?redirect_uri=http://localhost/cb&state=s", trust_env=False
        )
        assert begun.status_code == 303
        assert begun.headers["location"].startswith("http://localhost/cb?code=")
        assert bearer_headers(make_agent(), server.settings())
    assert server.issuer == "https://auth.example"


def test_a_wsgi_application_with_a_class_in_front():
    class Outer:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            return self.app(environ, start_response)

    def hello(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [wsgi.agent_of(environ).id.encode()]

    app = Outer(wsgi.AuthAgentMiddleware(hello, test_settings()))
    transport = httpx2.WSGITransport(app=app)
    with httpx2.Client(transport=transport, base_url="http://127.0.0.1") as client:
        sign_in(client, make_agent(id="agent_1"))
        assert client.get("/").text == "agent_1"


def test_the_plugins_fixtures(auth_agent_server, auth_agent_agent, auth_agent_sign_in):
    client = TestClient(starlette_app(RelyingParty(auth_agent_server.settings())))
    assert auth_agent_sign_in(client, auth_agent_agent) is auth_agent_agent
    assert client.get("/me").json()["agent"] == auth_agent_agent.id
    assert auth_agent_sign_in(client, id="agent_9").id == "agent_9"
    assert client.get("/me").json()["agent"] == "agent_9"


def _answer(app, headers, method="GET"):
    client = TestClient(app, base_url="http://localhost")
    answer = client.request(method, "/me", headers={**JSON, **headers})
    return answer.status_code, answer.json()


def test_a_bound_token_opens_one_request_of_a_site_that_accepts_no_others():
    settings = test_settings(dpop="require")
    app = starlette_app(RelyingParty(settings))
    agent = make_agent(id="agent_1")
    headers = dpop_headers(agent, settings, "GET", "/me")
    assert _answer(app, headers) == (200, {"agent": "agent_1", "via": "dpop", "account": None})
    assert _answer(app, headers)[1]["cause"] == "proof_used"
    bearer = {"Authorization": headers["Authorization"].replace("DPoP", "Bearer")}
    assert _answer(app, bearer)[1]["cause"] == "token_bound"
    other = dpop_headers(agent, settings, "GET", "/other")
    assert _answer(app, other)[1]["cause"] == "proof_target"
    mixed = {**dpop_headers(agent, settings, "GET", "/me"), "DPoP": other["DPoP"]}
    assert _answer(app, mixed)[0] == 401
    assert _answer(app, bearer_headers(agent, settings))[1]["cause"] == "token_unbound"


@pytest.mark.parametrize("served", [False, True])
def test_a_signed_request_opens_a_site_that_lists_its_server(served):
    with FakeServer().serve() if served else FakeServer().in_process() as server:
        settings = server.settings(signatures="issuer")
        app = starlette_app(RelyingParty(settings))
        headers = signature_headers(make_agent(id="agent_1"), settings, "GET", "/me")
        found = {"agent": "agent_1", "via": "signature", "account": None}
        assert _answer(app, headers) == (200, found)
        other = signature_headers(make_agent(), settings, "GET", "/other")
        assert _answer(app, other)[1]["cause"] == "signature_wrong"
        server.rotate()
        again = signature_headers(make_agent(id="agent_1"), settings, "GET", "/me")
        assert _answer(app, again) == (200, found), "its new key is published"
    drive.close()


def test_signed_requests_are_awaited_too():
    with FakeServer().in_process() as server:
        settings = server.settings(signatures="issuer")
        app = wsgi.AuthAgentMiddleware(lambda environ, start: [], settings)
        visit = asgi.AsgiVisit(
            {
                "type": "http",
                "method": "GET",
                "path": "/me",
                "raw_path": b"/me",
                "query_string": b"",
                "headers": [
                    (name.lower().encode(), value.encode())
                    for name, value in signature_headers(
                        make_agent(), settings, "GET", "/me"
                    ).items()
                ],
            }
        )
        found = anyio.run(drive.arun, app.relying_party.enter(visit))
    assert found.agent.via == "signature"


def test_the_server_binds_tokens_of_a_proof():
    server, key = FakeServer(), new_proof_key()
    basic = base64.b64encode(f"{server.client_id}:{quote_plus(server.client_secret)}".encode())
    credentials = ("Authorization", f"Basic {basic.decode()}")
    asked = "code_challenge_method=S256&redirect_uri=https://a.example/cb&scope=openid&state=s"

    def ask(form, jti, url=f"{server.issuer}/token"):
        proof = make_proof(key, method="POST", url=url, now=time.time(), jti=jti)
        request = form_request(f"{server.issuer}/token", form, (credentials, ("DPoP", proof)))
        found = server.answer(request)
        return found.status, json.loads(found.body)

    challenge = challenge_of("v" * 43)
    back = server.approve(f"{server.issuer}/authorize?{asked}&nonce=n&code_challenge={challenge}")
    (code,) = parse_qs(urlsplit(back).query)["code"]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": "v" * 43,
        "redirect_uri": "https://a.example/cb",
    }
    assert ask(form, "0", "https://a.example/token")[1]["error"] == "invalid_dpop_proof"
    status, tokens = ask(form, "1")
    assert (status, tokens["token_type"]) == (200, "DPoP")
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert ask(again, "1")[1]["error"] == "invalid_dpop_proof", "it counts once"
    assert ask(again, "2")[1]["token_type"] == "DPoP"
    request = form_request(
        f"{server.issuer}/introspect", {"token": tokens["access_token"]}, (credentials,)
    )
    told = json.loads(server.answer(request).body)
    assert (told["cnf"], told["token_type"]) == ({"jkt": key.jkt}, "DPoP")
    assert "ES256" in FakeServer()._metadata(request).body.decode()
