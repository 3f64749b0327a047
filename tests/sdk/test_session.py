"""`sdk.session(resource)`: a real API behind the middleware, a real server, a token that ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx2
import pytest
from anyio.from_thread import BlockingPortal
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from auth_agent import AuthError, SettingsError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK, TokenManager
from tests.sdk.conftest import run_async

CALLBACK = "http://localhost:3000/callback"


def tokens_asked(world):
    return world.server.asked.count(("POST", "/token"))


def test_an_api_is_called_with_a_token_of_the_agents_own(world, make_sdk):
    sdk = make_sdk(**world.options())
    first, second = sdk.get(sdk.session(world.website), "/me", "/me")
    assert first.json()["agent_id"] == world.agent_id
    assert second.status_code == 200
    assert tokens_asked(world) == 1
    assert sdk.sdk.tokens.access_token is None  # the session's tokens are its own


def test_a_scope_may_be_asked_for(world, make_sdk):
    sdk = make_sdk(**world.options())
    session = sdk.session(world.website, scope="agent profile")
    sdk.get(session, "/me")
    found = sdk.introspect_token(session.auth.tokens.access_token)
    assert set(found.scope.split()) == {"agent", "profile"}
    with pytest.raises(AuthError) as caught:
        sdk.get(sdk.session(world.website, scope="admin"), "/me")
    assert caught.value.code == "token_exchange_failed"


def test_a_refused_token_is_renewed_once(world, make_sdk):
    sdk = make_sdk(**world.options())
    stale = TokenManager()
    sdk.get_own_token(world.website)
    stale.set_tokens({"access_token": "not.a.token", "expires_in": 3600, "refresh_token": "rt_0"})
    with pytest.raises(AuthError) as caught:
        sdk.get(sdk.session(world.website, tokens=stale), "/me")
    assert caught.value.code == "refresh_failed"
    world.server.forget()
    with pytest.raises(AuthError):
        sdk.get(sdk.session(world.website, tokens=stale), "/me", "/me")
    assert tokens_asked(world) == 1


def user_info_session(world, sdk, tokens):
    """Opens the server's own userinfo, an API that takes the agent's refreshable tokens."""
    return sdk.session(world.issuer, tokens=tokens)


def expired(world, sdk):
    """Tokens whose access token is over, with a refresh token that is not."""
    got = sdk.authorize(CALLBACK)
    tokens = TokenManager()
    tokens.set_tokens({**got.to_dict(), "expires_in": 1})
    world.server.forget()
    return tokens


def test_given_tokens_are_refreshed_and_the_callback_hears_of_it(world, make_sdk):
    told = []
    sdk = make_sdk(**world.options(), on_tokens_refreshed=told.append)
    tokens = expired(world, sdk)
    before = tokens.refresh_token
    (answer,) = sdk.get(user_info_session(world, sdk, tokens), "/userinfo")
    assert answer.json()["agent_id"] == world.agent_id
    assert tokens.refresh_token != before
    assert [tokens.access_token] == [heard.access_token for heard in told]


def test_fifty_threads_refresh_once(world):
    sdk = AgentSDK(**world.options())
    tokens = expired(world, sdk)
    with user_info_session(world, sdk, tokens) as session, ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: session.get("/userinfo").status_code, range(50)))
    assert answers == [200] * 50
    assert tokens_asked(world) == 1


def test_fifty_tasks_refresh_once(world):
    sdk = AsyncAgentSDK(**world.options())
    tokens = expired(world, AgentSDK(**world.options()))
    answers = []

    async def main():
        async with user_info_session(world, sdk, tokens) as session:

            async def ask():
                answers.append((await session.get("/userinfo")).status_code)

            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(ask)

    run_async(main)
    assert answers == [200] * 50
    assert tokens_asked(world) == 1


def test_a_refresh_that_fails_for_good_is_tried_once_by_all(world):
    sdk = AgentSDK(**world.options())
    tokens = expired(world, sdk)
    sdk.revoke_token(tokens.refresh_token)
    world.server.forget()

    def ask(_):
        with pytest.raises(AuthError) as caught:
            session.get("/userinfo")
        return caught.value.code

    with user_info_session(world, sdk, tokens) as session, ThreadPoolExecutor(10) as pool:
        assert set(pool.map(ask, range(10))) == {"refresh_failed"}
        assert tokens_asked(world) == 1
        tokens.set_tokens(sdk.authorize(CALLBACK))  # a new sign-in mends it
        assert session.get("/userinfo").status_code == 200


def test_a_cancelled_request_does_not_lose_the_rotated_token(world):
    sdk = AsyncAgentSDK(**world.options())
    tokens = expired(world, AgentSDK(**world.options()))
    before = tokens.refresh_token

    async def main():
        async with BlockingPortal() as loop, user_info_session(world, sdk, tokens) as session:
            with anyio.CancelScope() as scope:
                # The server is at work when the request is cancelled.
                world.server.before["/token"] = lambda: loop.call(scope.cancel)
                await session.get("/userinfo")
        assert scope.cancelled_caught

    run_async(main)
    assert tokens.refresh_token != before
    assert AgentSDK(**world.options()).introspect_token(tokens.access_token).active


def test_the_token_goes_to_no_other_origin(world, make_sdk, serve):
    async def hear(request):
        return JSONResponse({"authorization": request.headers.get("authorization")})

    other, heard = serve(Starlette(routes=[Route("/hear", hear)]))
    world.shop.instead["/away"] = RedirectResponse(f"{other}/hear")
    sdk = make_sdk(**world.options())
    for url in (f"{other}/hear", "/away"):
        session = sdk.session(world.website)
        *_, answer = sdk.get(session, "/me", url, follow_redirects=True)
        assert answer.json() == {"authorization": None}
    assert b"Bearer" not in heard.told
    assert b"bearer" not in heard.told.lower()


def test_a_redirect_to_another_port_of_the_same_host_takes_no_token(world, make_sdk, serve):
    async def hear(request):
        return JSONResponse({"authorization": request.headers.get("authorization")})

    other, _ = serve(Starlette(routes=[Route("/hear", hear)]))
    assert httpx2.URL(other).host == httpx2.URL(world.website).host
    world.shop.instead["/away"] = RedirectResponse(f"{other}/hear")
    sdk = make_sdk(**world.options())
    (answer,) = sdk.get(sdk.session(world.website), "/away", follow_redirects=True)
    assert answer.json() == {"authorization": None}


@pytest.mark.parametrize("resource", ["http://shop.example", "ftp://x", "shop.example"])
def test_a_resource_has_to_be_safe(world, make_sdk, resource):
    with pytest.raises(SettingsError, match="resource"):
        make_sdk(**world.options()).session(resource)


def test_a_session_does_not_show_its_token(world):
    sdk = AgentSDK(**world.options())
    with sdk.session(world.website) as session:
        session.get("/me")
        token = session.auth.tokens.access_token
        assert token not in f"{session!r} {session.auth!r} {session.auth.tokens!r}"


@pytest.mark.parametrize(
    "passing",
    [
        Response("slow down", 429, {"Retry-After": "1"}),
        Response("<p>Sign in to the Wi-Fi</p>", 200, media_type="text/html"),
        Response("no", 403),
        Response("broken", 502),
    ],
)
def test_a_passing_failure_of_a_renewal_is_not_remembered(world, make_sdk, passing):
    sdk = make_sdk(**world.options())
    session = sdk.session(world.website)
    world.server.instead["/token"] = passing

    if isinstance(session, httpx2.Client):
        with session:
            with pytest.raises(AuthError):
                session.get("/me")
            world.server.forget()
            assert session.get("/me").status_code == 200
    else:

        async def main():
            async with session:
                with pytest.raises(AuthError):
                    await session.get("/me")
                world.server.forget()
                assert (await session.get("/me")).status_code == 200

        run_async(main)
