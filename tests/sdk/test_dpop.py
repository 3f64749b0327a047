"""The agent's tokens are bound to a key of its process (RFC 9449), if the server offers it."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from websockets.sync.client import connect

from auth_agent import AuthError, Settings
from auth_agent.sdk import AgentSDK, AsyncAgentSDK, TokenManager
from auth_agent.sdk.calls import prover as module
from auth_agent.sdk.calls.prover import Prover, prover_of
from auth_agent.server.registry.agents import change_agent
from auth_agent_starlette import AuthAgentMiddleware, requires_agent
from tests.adapters.network import free_port
from tests.proofs import hash_of
from tests.sdk.conftest import run_async, serving
from tests.sdk.test_agent_client import approve

CALLBACK = "http://localhost:3000/callback"


@pytest.fixture(autouse=True)
def _new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_provers", type(module._provers)())


class Door:
    """An API that says what it was sent, and may want nonces."""

    def __init__(self, *, nonces: Iterator[str] | None = None) -> None:
        self.proofs: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.nonces = nonces
        self.wanted: str | None = None
        names = ("/hear", "/other", "/away", "/moved", "/stream")
        self.app = Starlette(
            routes=[Route(name, self.hear, methods=["GET", "POST"]) for name in names]
        )
        self.to: dict[str, tuple[str, int]] = {}

    async def hear(self, request: Any) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        text = request.headers.get("dpop")
        self.tokens.append(f"{scheme} {token}".strip())
        claims = {} if text is None else jwt.decode(text, options={"verify_signature": False})
        self.proofs.append(claims)
        if (self.nonces is not None and claims.get("nonce") != self.wanted) or self.wanted == "":
            self.wanted = next(self.nonces)
            challenge = {"www-authenticate": 'DPoP error="use_dpop_nonce"'}
            return Response("", 401, {**challenge, "dpop-nonce": self.wanted})
        if request.url.path in self.to:
            url, status = self.to[request.url.path]
            return RedirectResponse(url, status)
        return JSONResponse({"scheme": scheme, "method": request.method})


@pytest.fixture
def sdk(world: Any, make_sdk: Any) -> Any:
    return make_sdk(**world.options())


def post(sdk: Any, session: Any, url: str, **more: Any) -> httpx2.Response:
    if isinstance(session, httpx2.Client):
        with session:
            return session.post(url, **more)

    async def main() -> httpx2.Response:
        async with session:
            answer: httpx2.Response = await session.post(url, **more)
            return answer

    result: httpx2.Response = run_async(main)
    return result


def test_a_website_takes_the_bound_token(world: Any, sdk: Any) -> None:
    session = sdk.session(world.website)
    first, second = sdk.get(session, "/me", "/me?page=2")
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["agent_id"] == world.agent_id
    assert session.auth.tokens.is_bound
    assert b"DPoP " in world.shop.told
    assert world.server.asked.count(("POST", "/token")) == 1


def test_the_token_is_worth_nothing_elsewhere(world: Any, sdk: Any) -> None:
    session = sdk.session(world.website)
    sdk.get(session, "/me")
    token = session.auth.tokens.access_token
    assert jwt.decode(token, options={"verify_signature": False})["cnf"]["jkt"]
    for scheme in ("Bearer", "DPoP"):
        answer = httpx2.get(f"{world.website}/me", headers={"authorization": f"{scheme} {token}"})
        assert answer.status_code == 401


def test_it_can_be_switched_off(world: Any, sdk: Any) -> None:
    session = sdk.session(world.website, dpop=False)
    (answer,) = sdk.get(session, "/me")
    assert answer.status_code == 200
    assert not session.auth.tokens.is_bound
    assert ("GET", "/.well-known/oauth-authorization-server") not in world.server.asked
    assert b"dpop" not in world.server.told.lower()


@pytest.mark.parametrize("algorithms", [None, [], ["RS256"], "ES256", ["es256"]])
def test_it_is_off_where_the_server_does_not_offer_it(
    world: Any, sdk: Any, algorithms: Any
) -> None:
    document = httpx2.get(f"{world.issuer}/.well-known/oauth-authorization-server").json()
    document["dpop_signing_alg_values_supported"] = algorithms
    if algorithms is None:
        del document["dpop_signing_alg_values_supported"]
    world.server.instead["/.well-known/oauth-authorization-server"] = JSONResponse(document)
    session = sdk.session(world.website)
    assert sdk.get(session, "/me")[0].status_code == 200
    assert not session.auth.tokens.is_bound


def test_a_server_without_metadata_offers_none(world: Any, sdk: Any) -> None:
    for name in ("oauth-authorization-server", "openid-configuration"):
        world.server.instead[f"/.well-known/{name}"] = Response("no", 404)
    session = sdk.session(world.website)
    assert sdk.get(session, "/me")[0].status_code == 200
    assert not session.auth.tokens.is_bound


def test_a_server_that_fails_is_no_server_that_offers_none(world: Any, make_sdk: Any) -> None:
    sdk = make_sdk(**world.options(deadline=1.0))
    for name in ("oauth-authorization-server", "openid-configuration"):
        world.server.instead[f"/.well-known/{name}"] = Response("broken", 503)
    with pytest.raises(AuthError) as caught:
        sdk.get(sdk.session(world.website), "/me")
    assert caught.value.code == "server_unavailable"
    assert ("POST", "/token") not in world.server.asked


def test_a_bearer_token_in_answer_to_a_proof_is_thrown_away(world: Any, sdk: Any) -> None:
    answer = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 60}
    world.server.instead["/token"] = JSONResponse(answer)
    session = sdk.session(world.website)
    with pytest.raises(AuthError) as caught:
        sdk.get(session, "/me")
    assert caught.value.code == "token_type_unsupported"
    assert session.auth.tokens.access_token is None


def test_the_metadata_are_read_once(world: Any, sdk: Any) -> None:
    for _ in range(3):
        sdk.get(sdk.session(world.website), "/me")
    asked = world.server.asked.count(("GET", "/.well-known/oauth-authorization-server"))
    assert asked == 1


class TestRequests:
    def test_each_request_has_a_proof_of_its_own(self, world: Any, sdk: Any, serve: Any) -> None:
        door = Door()
        origin, _ = serve(door.app)
        session = sdk.session(origin)
        sdk.get(session, "/hear", "/hear?a=b#c")
        first, second = door.proofs
        assert first["htu"] == second["htu"] == f"{origin}/hear"
        assert (first["htm"], first["ath"]) == ("GET", hash_of(session.auth.tokens.access_token))
        assert first["jti"] != second["jti"]
        assert abs(first["iat"] - time.time()) < 60

    @pytest.mark.parametrize(("status", "method"), [(307, "POST"), (303, "GET")])
    def test_each_hop_has_a_proof_of_its_own(
        self, world: Any, sdk: Any, serve: Any, status: int, method: str
    ) -> None:
        door = Door()
        origin, _ = serve(door.app)
        door.to["/moved"] = (f"{origin}/other", status)
        session = sdk.session(origin)
        answer = post(sdk, session, "/moved", json={}, follow_redirects=True)
        assert answer.json() == {"scheme": "DPoP", "method": method}
        first, second = door.proofs
        assert (first["htm"], first["htu"]) == ("POST", f"{origin}/moved")
        assert (second["htm"], second["htu"]) == (method, f"{origin}/other")

    def test_another_origin_gets_neither_token_nor_proof(
        self, world: Any, sdk: Any, serve: Any
    ) -> None:
        door, other = Door(), Door()
        origin, _ = serve(door.app)
        elsewhere, heard = serve(other.app)
        door.to["/away"] = (f"{elsewhere}/hear", 307)
        session = sdk.session(origin)
        sdk.get(session, f"{elsewhere}/hear", "/away", follow_redirects=True)
        assert other.tokens == ["", ""]
        assert other.proofs == [{}, {}]
        assert b"dpop" not in heard.told.lower()

    def test_a_nonce_is_learned_once_and_used_from_then_on(
        self, world: Any, sdk: Any, serve: Any
    ) -> None:
        door = Door(nonces=iter(["n-1", "n-2"]))
        door.wanted = ""
        origin, _ = serve(door.app)
        session = sdk.session(origin)
        answers = sdk.get(session, "/hear", "/hear", "/hear")
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert [proof.get("nonce") for proof in door.proofs] == [None, "n-1", "n-1", "n-1"]
        assert len({proof["jti"] for proof in door.proofs}) == 4

    def test_a_server_that_challenges_forever_is_no_loop(
        self, world: Any, sdk: Any, serve: Any
    ) -> None:
        door = Door(nonces=(f"n-{number}" for number in range(100)))
        door.wanted = ""
        self._always(door)
        origin, _ = serve(door.app)
        (answer,) = sdk.get(sdk.session(origin), "/hear")
        assert answer.status_code == 401
        assert [proof.get("nonce") for proof in door.proofs] == [None, "n-0"]

    def test_the_nonce_of_a_failed_repetition_is_kept(
        self, world: Any, sdk: Any, serve: Any
    ) -> None:
        door = Door(nonces=(f"n-{number}" for number in range(100)))
        self._always(door)
        origin, _ = serve(door.app)
        session = sdk.session(origin)
        sdk.get(session, "/hear", "/hear")
        assert [proof.get("nonce") for proof in door.proofs] == [None, "n-0", "n-1", "n-2"]

    def _always(self, door: Door) -> None:
        door.wanted = ""

        async def hear(request: Any) -> Response:
            text = request.headers["dpop"]
            door.proofs.append(jwt.decode(text, options={"verify_signature": False}))
            assert door.nonces
            headers = {
                "www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": next(door.nonces)
            }  # fmt: skip
            return Response("", 401, headers)

        door.app = Starlette(routes=[Route("/hear", hear)])

    @pytest.mark.parametrize("nonce", [None, "same", 'a"b', "é", "x" * 600])
    def test_a_challenge_without_a_new_nonce_is_not_answered(
        self, world: Any, sdk: Any, serve: Any, nonce: str | None
    ) -> None:
        heard = []

        async def hear(request: Any) -> Response:
            heard.append(request.headers["dpop"])
            headers = {"www-authenticate": 'DPoP error="use_dpop_nonce"'}
            if nonce is not None:
                headers["dpop-nonce"] = nonce.encode().decode("latin-1")
            return Response("", 401, headers)

        origin, _ = serve(Starlette(routes=[Route("/hear", hear)]))
        prover_of(world.issuer, world.agent_id).note(origin, {"dpop-nonce": "same"})
        (answer,) = sdk.get(sdk.session(origin), "/hear")
        assert (answer.status_code, len(heard)) == (401, 1)

    def test_a_body_that_cannot_be_sent_twice_is_not_repeated(self, world: Any, serve: Any) -> None:
        door = Door(nonces=iter(["n-1"]))
        door.wanted = ""
        origin, _ = serve(door.app)
        with AgentSDK(**world.options()).session(origin) as session:
            answer = session.post("/stream", content=iter([b"once"]))
            assert (answer.status_code, len(door.proofs)) == (401, 1)
            assert session.post("/hear", content=b"again").status_code == 200, "it was learned"

    def test_a_refused_token_is_renewed_once_with_the_same_key(
        self, world: Any, sdk: Any, serve: Any
    ) -> None:
        tokens: list[str] = []

        async def refuse(request: Any) -> Response:
            tokens.append(request.headers["authorization"].partition(" ")[2])
            return Response("", 401, {"www-authenticate": 'DPoP error="invalid_token"'})

        origin, _ = serve(Starlette(routes=[Route("/hear", refuse)]))
        (answer,) = sdk.get(sdk.session(origin), "/hear")
        assert answer.status_code == 401
        first, second = (jwt.decode(t, options={"verify_signature": False}) for t in tokens)
        assert first["jti"] != second["jti"]
        assert first["cnf"] == second["cnf"]


class TestRefresh:
    def tokens(self, world: Any) -> TokenManager:
        tokens = TokenManager(clock=lambda: time.time() + 7_200)
        found = AgentSDK(**world.options()).authorize(CALLBACK)
        tokens._clock = time.time
        tokens.set_tokens(found)
        tokens._clock = lambda: time.time() + 7_200  # the access token counts as expired
        return tokens

    def test_refreshed_tokens_are_bound_to_the_same_key(self, world: Any, sdk: Any) -> None:
        tokens, seen = self.tokens(world), []
        for _ in range(3):
            session = sdk.session(world.issuer, tokens=tokens)
            (answer,) = sdk.get(session, "/userinfo")
            assert answer.status_code == 200
            claims = jwt.decode(tokens.access_token, options={"verify_signature": False})
            seen.append(claims["cnf"]["jkt"])
        assert len(set(seen)) == 1
        stolen, off = tokens.refresh_token, AgentSDK(**world.options(), dpop=False)
        module._provers.clear()  # another process
        for thief in (off, AgentSDK(**world.options())):
            with pytest.raises(AuthError) as caught:
                thief.refresh_access_token(stolen)
            assert caught.value.code == "refresh_failed", "without the key it is worth nothing"

    def test_the_key_of_a_bound_refresh_token_is_used_everywhere(
        self, world: Any, sdk: Any
    ) -> None:
        tokens = self.tokens(world)
        sdk.get(sdk.session(world.issuer, tokens=tokens), "/userinfo")
        found = sdk.refresh_access_token(tokens.refresh_token)
        assert found.token_type == "DPoP"
        assert sdk.get_user_info(found.access_token).sub == world.agent_id

    def test_tokens_in_a_file_are_not_bound(self, world: Any, sdk: Any, tmp_path: Path) -> None:
        found = AgentSDK(**world.options()).authorize(CALLBACK)
        tokens = TokenManager(path=tmp_path / "tokens.json")
        tokens.set_tokens(found)
        tokens._clock = lambda: time.time() + 7_200
        (answer,) = sdk.get(sdk.session(world.issuer, tokens=tokens), "/userinfo")
        assert answer.status_code == 200
        assert not tokens.is_bound


class TestServerNonces:
    @pytest.fixture(autouse=True)
    def _demanded(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(world.context.proofs, "_keys", [b"k" * 32])

    def test_the_token_request_is_repeated_with_the_nonce(self, world: Any, sdk: Any) -> None:
        session = sdk.session(world.issuer, scope="agent")
        first, second = sdk.get(session, "/api/agents/profile", "/api/agents/profile")
        assert (first.status_code, second.status_code) == (200, 200)
        assert world.server.asked.count(("POST", "/token")) == 2
        assert world.server.asked.count(("GET", "/api/agents/profile")) == 2, "it is known already"

    def test_a_server_that_demands_forever_is_asked_twice(self, world: Any, sdk: Any) -> None:
        asked = []

        async def refuse(scope: Any, receive: Any, send: Any) -> None:
            asked.append(1)
            answer = JSONResponse({"error": "use_dpop_nonce"}, 400, {"dpop-nonce": str(len(asked))})
            await answer(scope, receive, send)

        world.server.instead["/token"] = refuse
        with pytest.raises(AuthError) as caught:
            sdk.get(sdk.session(world.website), "/me")
        assert (caught.value.code, len(asked)) == ("token_exchange_failed", 2)


def test_an_agent_that_has_to_prove_a_key_gets_in(world: Any, sdk: Any) -> None:
    change_agent(world.database, world.agent_id, int(time.time()), dpop_bound=True)
    try:
        assert sdk.get(sdk.session(world.website), "/me")[0].status_code == 200
        with pytest.raises(AuthError):
            sdk.get(sdk.session(world.website, dpop=False), "/me")
    finally:
        change_agent(world.database, world.agent_id, int(time.time()), dpop_bound=False)


class TestEveryToken:
    """The tokens that methods return, of an agent that has to prove a key or wants to."""

    @pytest.fixture(params=["demanded", "wanted"])
    def bound(self, request: Any, world: Any, make_sdk: Any) -> Iterator[Any]:
        if request.param == "wanted":
            yield make_sdk(**world.options(), dpop=True)
            return
        change_agent(world.database, world.agent_id, int(time.time()), dpop_bound=True)
        yield make_sdk(**world.options())
        change_agent(world.database, world.agent_id, int(time.time()), dpop_bound=False)

    def test_is_bound_and_used_with_a_proof(self, world: Any, bound: Any) -> None:
        tokens = bound.authorize(CALLBACK)
        assert tokens.token_type == "DPoP"
        assert bound.get_user_info(tokens.access_token).sub == world.agent_id
        renewed = bound.refresh_access_token(tokens.refresh_token)
        keys = [
            jwt.decode(one, options={"verify_signature": False})["cnf"]["jkt"]
            for one in (tokens.access_token, renewed.access_token)
        ]
        assert keys == [prover_of(world.issuer, world.agent_id).jkt] * 2
        profile = bound.update_agent_profile(renewed.access_token, model_name="claude-sonnet-4")
        assert profile.agent_id == world.agent_id
        challenge = bound.request_challenge(renewed.access_token)
        assert bound.confirm_verification(renewed.access_token, challenge).verified
        assert bound.introspect_token(renewed.access_token).active
        bound.revoke_token(renewed.access_token)
        with pytest.raises(AuthError) as caught:
            bound.get_user_info(renewed.access_token)
        assert caught.value.code == "token_expired"
        change_agent(world.database, world.agent_id, int(time.time()), model="")

    def test_the_demand_is_learned_once(self, world: Any, bound: Any) -> None:
        bound.authorize(CALLBACK)
        asked = world.server.asked.count(("POST", "/token"))
        bound.authorize(CALLBACK)
        assert world.server.asked.count(("POST", "/token")) == asked + 1
        metadata = ("GET", "/.well-known/oauth-authorization-server")
        assert world.server.asked.count(metadata) == 1

    def test_with_the_servers_nonces(
        self, world: Any, bound: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(world.context.proofs, "_keys", [b"k" * 32])
        tokens = bound.authorize(CALLBACK)
        module._provers[world.issuer, world.agent_id]._nonces.clear()
        assert bound.get_user_info(tokens.access_token).sub == world.agent_id

    def test_a_code_is_bound_to_the_key_that_was_wanted(self, world: Any, make_sdk: Any) -> None:
        sdk = make_sdk(**world.options(), dpop=True)
        begun = sdk.get_authorization_url(CALLBACK)
        assert f"dpop_jkt={prover_of(world.issuer, world.agent_id).jkt}" in begun.url
        code, state = approve(world, begun.url)
        module._provers.clear()  # another process has another key
        for thief in (make_sdk(**world.options(), dpop=True), make_sdk(**world.options())):
            with pytest.raises(AuthError) as caught:
                thief.exchange_code(code, state, CALLBACK, code_verifier=begun.code_verifier)
            assert caught.value.code == "token_exchange_failed"
        tokens = sdk.exchange_code(code, state, CALLBACK)
        assert tokens.token_type == "DPoP"

    def test_headers_for_another_client(self, world: Any, make_sdk: Any) -> None:
        sdk = make_sdk(**world.options(), dpop=True)
        token = sdk.get_own_token(world.website).access_token
        headers = sdk.token_headers(token, f"{world.website}/me")
        assert headers["Authorization"] == f"DPoP {token}"
        assert httpx2.get(f"{world.website}/me", headers=headers).status_code == 200
        assert httpx2.get(f"{world.website}/me", headers=headers).status_code == 401, "once"
        assert sdk.token_headers("another", world.website) == {"Authorization": "Bearer another"}

    def test_none_is_with_dpop_off(self, world: Any, make_sdk: Any) -> None:
        change_agent(world.database, world.agent_id, int(time.time()), dpop_bound=True)
        try:
            with pytest.raises(AuthError) as caught:
                make_sdk(**world.options(), dpop=False).authorize(CALLBACK)
        finally:
            change_agent(world.database, world.agent_id, int(time.time()), dpop_bound=False)
        assert caught.value.code == "token_exchange_failed"

    def test_the_memory_of_tokens_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_HELD", 3)
        prover = Prover()
        for number in range(9):
            prover.hold(f"token {number}", None)
        assert len(prover._held) == 3
        assert prover.holds("token 8")
        assert not prover.holds("token 1")
        assert not prover.holds(None)


class TestSockets:
    """A WebSocket that a client of the SDK opens carries what its requests carry."""

    def greet(self, sdk: Any, client: Any, url: str) -> str:
        if isinstance(client, httpx2.Client):
            with client, client.websocket(url) as socket:
                return str(socket.receive_text())

        async def main() -> str:
            async with client, client.websocket(url) as socket:
                return str(await socket.receive_text())

        return str(run_async(main))

    @pytest.fixture
    def site(self, world: Any) -> Iterator[str]:
        @requires_agent
        async def chat(websocket: Any) -> None:
            await websocket.accept()
            agent = websocket.state.agent
            await websocket.send_text(f"{agent.id} {agent.via}")
            await websocket.close()

        origin = f"http://127.0.0.1:{free_port()}"
        settings = Settings(**{**world.settings, "base_url": origin}, signatures=["issuer"])
        middleware = [Middleware(AuthAgentMiddleware, settings=settings)]
        routes = [WebSocketRoute("/chat", chat)]
        with serving(Starlette(routes=routes, middleware=middleware), origin):
            yield origin

    @pytest.mark.parametrize("written", ["/chat", "ws"])
    def test_carries_the_token_and_the_signature(
        self, world: Any, make_sdk: Any, site: str, written: str, signing: Any
    ) -> None:
        url = "/chat" if written == "/chat" else f"{site}/chat".replace("http:", "ws:")
        sdk = make_sdk(**signing.options)
        assert self.greet(sdk, sdk.session(site), url) == f"{signing.agent_id} dpop"
        assert self.greet(sdk, sdk.http(site), url) == f"{signing.agent_id} signature"

    def test_of_another_library_takes_the_headers(
        self, world: Any, site: str, signing: Any
    ) -> None:
        url, sdk = f"{site}/chat".replace("http:", "ws:"), AgentSDK(**signing.options, dpop=True)
        token = sdk.get_own_token(site).access_token
        for headers, via in (
            (sdk.signature_headers(url), "signature"),
            (sdk.token_headers(token, url), "dpop"),
        ):
            with connect(url, additional_headers=headers) as socket:
                assert socket.recv() == f"{signing.agent_id} {via}"


class TestMcp:
    """`mcp_auth` binds tokens where both servers offer it."""

    def call(self, world: Any, kind: str, url: str, **wanted: Any) -> httpx2.Response:
        if kind == "sync":
            auth = AgentSDK(**world.options()).mcp_auth(**wanted)
            with httpx2.Client(auth=auth, follow_redirects=True) as client:
                return client.post(url, json={})

        async def main() -> httpx2.Response:
            auth = AsyncAgentSDK(**world.options()).mcp_auth(**wanted)
            async with httpx2.AsyncClient(auth=auth, follow_redirects=True) as client:
                return await client.post(url, json={})

        answer: httpx2.Response = run_async(main)
        return answer

    def api(self, world: Any, serve: Any, *, offers: bool, nonce: bool = False) -> tuple[str, Any]:
        heard: list[Any] = []

        async def metadata(request: Any) -> Response:
            found = {
                "resource": f"{origin}/mcp",
                "authorization_servers": [world.issuer],
                "scopes_supported": ["agent"],
            }
            if offers:
                found["dpop_signing_alg_values_supported"] = ["ES256"]
            return JSONResponse(found)

        async def mcp(request: Any) -> Response:
            scheme = request.headers.get("authorization", "").partition(" ")[0]
            text = request.headers.get("dpop")
            claims = {} if text is None else jwt.decode(text, options={"verify_signature": False})
            heard.append((scheme, claims))
            if not scheme:
                return Response("", 401, {"www-authenticate": "Bearer"})
            if scheme == "DPoP" and claims["htu"] != str(request.url):
                return Response("", 401, {"www-authenticate": 'DPoP error="invalid_dpop_proof"'})
            if nonce and claims.get("nonce") != "n":
                headers = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "n"}
                return Response("", 401, headers)
            return JSONResponse({})

        async def moved(request: Any) -> Response:
            return RedirectResponse(f"{origin}/mcp", 307)

        routes = [
            Route("/.well-known/oauth-protected-resource/mcp", metadata),
            Route("/.well-known/oauth-protected-resource", metadata),
            Route("/mcp", mcp, methods=["POST"]),
            Route("/mcp/moved", moved, methods=["POST"]),
        ]
        origin, _ = serve(Starlette(routes=routes))
        return origin, heard

    @pytest.mark.parametrize("kind", ["sync", "async"])
    @pytest.mark.parametrize(
        ("offers", "dpop", "scheme"),
        [(True, True, "DPoP"), (True, False, "Bearer"), (False, True, "Bearer")],
    )
    def test_both_have_to_offer_it(
        self, world: Any, serve: Any, kind: str, offers: bool, dpop: bool, scheme: str
    ) -> None:
        origin, heard = self.api(world, serve, offers=offers)
        assert self.call(world, kind, f"{origin}/mcp", dpop=dpop).status_code == 200
        assert [one for one, _ in heard] == ["", scheme]

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_a_nonce_is_answered(self, world: Any, serve: Any, kind: str) -> None:
        origin, heard = self.api(world, serve, offers=True, nonce=True)
        assert self.call(world, kind, f"{origin}/mcp").status_code == 200
        assert [claims.get("nonce") for _, claims in heard] == [None, None, "n"]

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_a_redirect_gets_a_proof_for_its_own_url(
        self, world: Any, serve: Any, kind: str
    ) -> None:
        origin, heard = self.api(world, serve, offers=True)
        answer = self.call(world, kind, f"{origin}/mcp/moved")
        assert answer.status_code == 200, [claims.get("htu") for _, claims in heard]
        assert heard[-1][1]["htu"] == f"{origin}/mcp"


class TestProver:
    def test_one_key_for_an_agent_at_its_server(self) -> None:
        one = prover_of("https://a.example", "agent_1")
        assert prover_of("https://a.example", "agent_1") is one
        assert prover_of("https://a.example", "agent_2") is not one
        assert prover_of("https://b.example", "agent_1") is not one

    def test_the_memories_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_KEYS", 3)
        monkeypatch.setattr(module, "MAX_ORIGINS", 3)
        for number in range(9):
            prover_of("https://a.example", str(number))
        assert len(module._provers) == 3
        prover = Prover()
        for number in range(9):
            prover.note(f"https://{number}.example/x", {"dpop-nonce": "n"})
        assert len(prover._nonces) == 3
        assert prover.nonce_for("https://8.example/y") == "n"
        assert prover.nonce_for("https://1.example/y") is None

    def test_the_key_does_not_show_itself(self, world: Any) -> None:
        prover = Prover()
        prover.proof_now("GET", "https://a.example", "token")
        assert prover._key
        shown = repr(prover) + repr(vars(prover))
        assert "PrivateKey" not in shown
        with pytest.raises(TypeError):
            pickle.dumps(prover._key)
        with pytest.raises(TypeError):
            json.dumps(prover._key)
