"""A call of the SDK that fails leaves no secret in its frames: reporters of errors show locals."""

from __future__ import annotations

import functools
import json
import traceback

import anyio
import httpx2
import pytest

from auth_agent import AuthError
from auth_agent.sdk import AgentSDK, AsyncAgentSDK, TokenManager
from auth_agent.sdk.flow.frames import emptied_frames
from tests.adapters.network import free_port

CANARY = "k3ep-me-to-yourself"
ISSUER = "https://id.example"
CALLBACK = "https://app.example/callback"
LIBRARIES = ("auth_agent", "httpx2", "httpcore2", "json", "contextlib")
CALLS = {
    "exchange_code": {"code": CANARY, "state": CANARY, "redirect_uri": CALLBACK,
                      "code_verifier": CANARY, "expected_state": CANARY},
    "refresh_access_token": {"refresh_token": CANARY},
    "register_agent": {"agent_id": "a", "agent_secret": CANARY, "model_name": "m",
                       "owner_name": "o", "owner_email": "o@x.example",
                       "registration_token": CANARY},
    "authenticate_agent": {"redirect_uri": CALLBACK, "agent_secret": CANARY},
    "get_agent_profile": {"access_token": CANARY},
    "update_agent_profile": {"access_token": CANARY, "owner_name": "o"},
    "get_user_info": {"access_token": CANARY},
    "send_event": {"access_token": CANARY, "event": "e"},
    "send_verified_click": {"access_token": CANARY, "selector": "s", "site": "s"},
    "send_post_run": {"access_token": CANARY, "selector": "s", "site": "s", "result": "r"},
    "request_challenge": {"access_token": CANARY},
    "confirm_verification": {"access_token": CANARY, "challenge": {
        "challenge": CANARY, "expires": 1, "sig": CANARY, "verify_ctx_id": "v"}},
    "get_verify_status": {"access_token": CANARY},
    "poll_and_authenticate": {"verify_ctx_id": "v", "access_token": CANARY},
    "revoke_token": {"token": CANARY},
    "introspect_token": {"token": CANARY},
    "authorize": {"redirect_uri": CALLBACK},
    "get_own_token": {"resource": "https://api.example"},
    "ask_owner": {"resource": "https://api.example", "timeout": 30},
    "sign_in": {"url": f"{ISSUER}/authorize?state=x", "within": 0.5},
}  # fmt: skip
FAILURES = {
    "refused": httpx2.Response(400, json={"error": "invalid_grant", "x": CANARY}),
    "expired": httpx2.Response(401, json={"error": "invalid_token"}),
    "failing": httpx2.Response(500, text=CANARY),
    "no JSON": httpx2.Response(200, text=f'{{"access_token": "{CANARY}"'),
    "no tokens": httpx2.Response(200, json={"access_token": CANARY, "token_type": "mac"}),
    "wrong fields": httpx2.Response(200, json={"access_token": [CANARY], "expires_in": CANARY}),
    "a list": httpx2.Response(200, json=[CANARY]),
}
SUCCESSES = {  # calls for which such an answer is one
    **dict.fromkeys(("no JSON", "a list"), "revoke_"),
    **dict.fromkeys(("no tokens", "wrong fields"), ("revoke_", "send_")),
}


def shown(error):
    """Returns what a reporter of errors shows: every local of every frame but the tests' own.

    What an error says is not among it: a page is quoted there.
    """
    found, left, seen, frames = [], [error], set(), 0
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        left += [one.__cause__, one.__context__]
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if frame.f_globals["__name__"].partition(".")[0] in LIBRARIES:
                frames += 1
                place = f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"
                found += [
                    (f"{place}: {name}", repr(value))
                    for name, value in frame.f_locals.items()
                    if not isinstance(value, BaseException)
                ]
    assert frames
    return found


def leaks(error):
    return [name for name, text in shown(error) if CANARY in text]


def of(function, *args, **kwargs):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is
        function(*args, **kwargs)
    return caught.value


def fresh(answer):
    """Returns a copy: a client binds the answer that it gets to its own colour."""
    return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)


def sdk(answer=None, kind=AgentSDK, **options):
    client = httpx2.Client if kind is AgentSDK else httpx2.AsyncClient
    if answer is not None:
        options["http_client"] = client(transport=httpx2.MockTransport(lambda _: fresh(answer)))
    given = {"server_url": ISSUER, "agent_secret": CANARY, "dpop": False, **options}
    return kind(agent_id="agent_1", model="m", timeout=0.2, deadline=0.2, **given)


def awaited(agent, name, arguments):
    return anyio.run(functools.partial(getattr(agent, name), **arguments))


def call(kind, answer, name, **options):
    agent, arguments = sdk(answer, kind, **options), CALLS[name]
    if kind is AgentSDK:
        return of(getattr(agent, name), **arguments)
    return of(awaited, agent, name, arguments)


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
@pytest.mark.parametrize("failure", FAILURES)
def test_no_call_that_fails_shows_a_secret(kind, failure):
    for name in CALLS:
        if not name.startswith(SUCCESSES.get(failure, "none")):
            error = call(kind, FAILURES[failure], name)
            assert isinstance(error, AuthError)
            assert (name, leaks(error)) == (name, [])


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_a_server_that_is_away(kind):
    away = f"http://127.0.0.1:{free_port()}"
    for name in set(CALLS) - {"sign_in"}:
        error = call(kind, None, name, server_url=away)
        assert (name, leaks(error)) == (name, [])


@pytest.mark.parametrize("kind", [AgentSDK, AsyncAgentSDK])
def test_wrong_arguments_and_callbacks_that_fail(kind):
    agent = sdk(FAILURES["refused"], kind)
    wrong = {"token": CANARY, "wrong": CANARY}
    asked = (awaited, agent, "revoke_token", wrong)
    error = of(agent.revoke_token, **wrong) if kind is AgentSDK else of(*asked)
    assert (type(error), leaks(error)) == (TypeError, [])
    good = httpx2.Response(200, json={"access_token": CANARY, "refresh_token": CANARY})

    def refuse(tokens):
        here = tokens.access_token
        raise ZeroDivisionError(len(here))

    error = call(kind, good, "refresh_access_token", on_tokens_refreshed=refuse)
    assert type(error) is ZeroDivisionError
    assert leaks(error) == []
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert frames[-1].f_locals["here"] == CANARY  # the caller's own


def test_wrong_options_and_files(tmp_path):
    pem = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"
    for options in (
        {"server_url": ""},
        {"private_key": pem},
        {"signing_key": pem},
        {"private_key": f'{{"d": "{CANARY}"}}'},
    ):
        error = of(sdk, **{"agent_secret": CANARY, **options})
        assert isinstance(error, AuthError)
        assert leaks(error) == []
    path = tmp_path / "tokens"
    path.write_text(f'{{"tokens": {{"access_token": ["{CANARY}"]}}, "expires_in": 1}}')
    path.chmod(0o600)
    assert leaks(of(TokenManager, path=path)) == []
    tokens = TokenManager(path=tmp_path / "none" / "tokens")
    for given in ({"access_token": [CANARY], "token": CANARY}, {"access_token": CANARY}):
        assert leaks(of(tokens.set_tokens, given)) == []


def test_headers_of_a_token():
    agent = sdk(dpop=True)
    agent._calls.prover.hold(CANARY)
    for url in ("http://[::1", 5):
        assert leaks(of(agent.token_headers, CANARY, url)) == []


@pytest.mark.parametrize("stored", [CANARY, f"{CANARY}é"])
def test_a_session_whose_token_is_not_renewed(stored):
    """The API refuses the token, and the server its renewal; or no header can carry it."""
    tokens = TokenManager()
    tokens.set_tokens({"access_token": stored, "refresh_token": CANARY, "expires_in": 3600})
    session = sdk(FAILURES["refused"]).session("https://api.example", tokens=tokens)
    refusal = httpx2.Response(401, headers={"www-authenticate": 'Bearer error="invalid_token"'})
    session._transport = httpx2.MockTransport(lambda _: refusal)
    assert leaks(of(session.get, "https://api.example/x")) == []


def test_what_was_raised_before_stays_as_it_is():
    def both():
        try:
            json.loads(f"[{CANARY}")
        finally:
            with emptied_frames():
                json.loads(f"[{CANARY}")

    error = of(both)
    first = error.__context__
    error.__context__ = None
    assert (leaks(error), bool(leaks(first))) == ([], True)
