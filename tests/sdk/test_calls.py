"""The SDK's methods without a socket: what they send, what they make of each answer."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import rich.pretty

from auth_agent import AuthError, ServerMisbehaved, ServerUnavailable, SettingsError
from auth_agent.flow.exchange import HttpResponse
from auth_agent.protocol.pkce import challenge_of
from auth_agent.sdk import ChallengeResponse, TokenManager
from auth_agent.sdk.calls.methods import Calls
from auth_agent.sdk.calls.token_calls import Listeners
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.results import TokenResponse, read
from auth_agent.secret import Secret
from tests.sdk.internet import Internet, as_json, html, to

ISSUER = "https://id.example"
CALLBACK = "https://app.example/callback"
TOKENS = {
    "access_token": "at.1.x",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_token": "rt_1",
    "id_token": "id.1.x",
    "scope": "openid",
    "session_state": "kept",
}


class Agent:
    """The flows of one agent, and what the server heard and the callbacks were told."""

    def __init__(self, answers=None, **options):
        self.internet = Internet({ISSUER + path: said for path, said in (answers or {}).items()})
        self.told = []
        made = Options(
            **{
                "agent_id": "agent_1",
                "agent_secret": Secret("ags_1"),
                "server_url": ISSUER,
                "model": "m",
                **options,
            }
        )
        listeners = Listeners(
            lambda tokens: self.told.append(("received", tokens)),
            lambda tokens: self.told.append(("refreshed", tokens)),
            lambda: self.told.append(("revoked",)),
        )
        self.tokens = TokenManager(clock=lambda: self.internet.now)
        self.calls = Calls(made, listeners, self.tokens)

    def __getattr__(self, name):
        flow = getattr(self.calls, name)
        return lambda *args, **kwargs: self.internet.run(flow(*args, **kwargs))

    @property
    def last(self):
        return self.internet.requests[-1]

    def form(self):
        return dict(parse_qsl(self.last.body.decode()))

    def content(self):
        return json.loads(self.last.body)

    def header(self, name):
        return dict(self.last.headers).get(name)


def code_of(function, *args, **kwargs):
    with pytest.raises(AuthError) as caught:
        function(*args, **kwargs)
    return caught.value.code


def test_the_authorization_url():
    agent = Agent()
    found = agent.get_authorization_url(redirect_uri=CALLBACK)
    query = parse_qs(urlsplit(found.url).query)
    assert found.url.startswith(f"{ISSUER}/authorize?")
    assert query == {
        "response_type": ["code"],
        "client_id": ["agent_1"],
        "redirect_uri": [CALLBACK],
        "scope": ["openid profile email agent"],
        "state": [found.state],
        "code_challenge": [challenge_of(found.code_verifier)],
        "code_challenge_method": ["S256"],
    }
    assert len(found.code_verifier) >= 43
    assert agent.internet.requests == []
    assert agent.get_authorization_url(redirect_uri=CALLBACK).state != found.state


def test_pkce_as_the_specification_computes_it():
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_code_for_tokens():
    agent = Agent({"/token": as_json(**TOKENS)})
    begun = agent.get_authorization_url(CALLBACK)
    tokens = agent.exchange_code("ac_1", begun.state, CALLBACK)
    assert agent.form() == {
        "grant_type": "authorization_code",
        "code": "ac_1",
        "redirect_uri": CALLBACK,
        "code_verifier": begun.code_verifier,
    }
    assert agent.header("Authorization") == f"Basic {base64.b64encode(b'agent_1:ags_1').decode()}"
    assert tokens == read(TokenResponse, TOKENS)
    assert tokens.extra == {"session_state": "kept"}
    assert agent.told == [("received", tokens)]
    assert agent.tokens.access_token == "at.1.x"


def test_credentials_are_form_urlencoded_and_a_public_agent_has_none():
    agent = Agent({"/token": as_json(**TOKENS)}, agent_id="a:b", agent_secret=Secret("c d%"))
    agent.refresh_access_token("rt_1")
    encoded = agent.header("Authorization").removeprefix("Basic ")
    assert base64.b64decode(encoded) == b"a%3Ab:c+d%25"
    agent = Agent({"/token": as_json(**TOKENS)}, agent_secret=None)
    agent.refresh_access_token("rt_1")
    assert agent.form()["client_id"] == "agent_1"
    assert agent.header("Authorization") is None


def test_a_key_instead_of_a_secret(agent_key):
    agent = Agent({"/token": as_json(**TOKENS)}, private_key=agent_key.pem)
    agent.refresh_access_token("rt_1")
    form = agent.form()
    assert form["client_assertion_type"].endswith(":jwt-bearer")
    claims = agent_key.open(form["client_assertion"], ISSUER)
    assert (claims["iss"], claims["sub"]) == ("agent_1", "agent_1")
    assert claims["exp"] - claims["iat"] == 60
    assert "ags_1" not in agent.last.body.decode()
    assert agent.header("Authorization") is None


def test_a_sign_in_survives_a_restart():
    begun = Agent().get_authorization_url(CALLBACK)
    stored = json.loads(json.dumps(begun.to_dict()))
    agent = Agent({"/token": as_json(**TOKENS)})
    verifier = stored["code_verifier"]
    agent.exchange_code("ac_1", stored["state"], CALLBACK, code_verifier=verifier)
    assert agent.form()["code_verifier"] == verifier
    forged = code_of(agent.exchange_code, "ac_1", "forged", CALLBACK, code_verifier=verifier)
    assert forged == "state_mismatch"


def test_a_state_of_ones_own_survives_too():
    begun = Agent().get_authorization_url(CALLBACK, state="mine")
    agent = Agent({"/token": as_json(**TOKENS)})
    known = {"code_verifier": begun.code_verifier}
    assert code_of(agent.exchange_code, "c", "mine", CALLBACK, **known) == "state_mismatch"
    known["expected_state"] = "mine"
    assert code_of(agent.exchange_code, "c", "other", CALLBACK, **known) == "state_mismatch"
    agent.exchange_code("c", "mine", CALLBACK, **known)


def test_several_sign_ins_at_once_do_not_disturb_each_other():
    agent = Agent({"/token": as_json(**TOKENS)})
    begun = [agent.get_authorization_url(CALLBACK) for _ in range(20)]
    for one in reversed(begun):
        agent.exchange_code("c", one.state, CALLBACK)
        assert agent.form()["code_verifier"] == one.code_verifier


def test_state_mismatch_and_pkce_missing():
    agent = Agent({"/token": as_json(**TOKENS)})
    assert code_of(agent.exchange_code, "ac_1", "state", CALLBACK) == "pkce_missing"
    begun = agent.get_authorization_url(CALLBACK)
    assert code_of(agent.exchange_code, "ac_1", "forged", CALLBACK) == "state_mismatch"
    agent.exchange_code("ac_1", begun.state, CALLBACK)
    assert code_of(agent.exchange_code, "ac_1", begun.state, CALLBACK) == "pkce_missing"


def test_an_exchange_may_be_tried_again_where_nobody_answered():
    agent = Agent({"/token": [as_json(503), as_json(400, error="invalid_grant")]})
    begun = agent.get_authorization_url(CALLBACK)
    with pytest.raises(ServerUnavailable):
        agent.exchange_code("ac_1", begun.state, CALLBACK)
    assert len(agent.internet.requests) == 1  # a code is good once: nothing is repeated unasked
    again = code_of(agent.exchange_code, "ac_1", begun.state, CALLBACK)
    assert again == "token_exchange_failed"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (as_json(400, error="invalid_grant"), "token_exchange_failed"),
        (as_json(401, error="invalid_client"), "token_exchange_failed"),
        (as_json(**{**TOKENS, "token_type": "mac"}), "token_type_unsupported"),
        (as_json(**{**TOKENS, "access_token": 7}), "answer_malformed"),
        (as_json(token_type="Bearer"), "answer_malformed"),
        (as_json(429), "rate_limited"),
        (as_json(500), "server_unavailable"),
        (html("<h1>Sign in to Hotel Wi-Fi</h1>"), "unexpected_page"),
        (html("<h1>Sign in</h1>", 511), "unexpected_page"),
        (to("https://wifi.example/"), "unexpected_page"),
        (HttpResponse(200, {}, b"not json"), "server_misbehaved"),
        (HttpResponse(200, {"content-encoding": "gzip"}, b""), "answer_compressed"),
    ],
)
def test_what_an_exchange_may_meet(answer, code):
    agent = Agent({"/token": answer})
    begun = agent.get_authorization_url(CALLBACK)
    assert code_of(agent.exchange_code, "ac_1", begun.state, CALLBACK) == code
    assert agent.told == []


def test_a_refresh():
    renewed = {"access_token": "at.2.x", "token_type": "Bearer", "expires_in": 10}
    agent = Agent({"/token": as_json(**renewed)})
    tokens = agent.refresh_access_token("rt_1")
    assert agent.form() == {"grant_type": "refresh_token", "refresh_token": "rt_1"}
    assert (tokens.access_token, tokens.refresh_token) == ("at.2.x", "rt_1")
    assert agent.told == [("refreshed", tokens)]
    agent = Agent({"/token": as_json(400, error="invalid_grant")})
    assert code_of(agent.refresh_access_token, "rt_1") == "refresh_failed"
    assert code_of(agent.refresh_access_token, None) == "no_refresh_token"
    assert code_of(agent.refresh_access_token, "") == "no_refresh_token"
    assert agent.told == []


def test_revocation():
    agent = Agent({"/revoke": [as_json(503), as_json()]})
    agent.tokens.set_tokens(TOKENS)
    agent.revoke_token("rt_1")
    assert agent.form() == {"token": "rt_1"}
    assert len(agent.internet.requests) == 2  # idempotent
    assert agent.told == [("revoked",)]
    assert agent.tokens.access_token is None
    agent = Agent({"/revoke": as_json(401, error="invalid_client")})
    agent.tokens.set_tokens(TOKENS)
    assert code_of(agent.revoke_token, "rt_1") == "revoke_failed"
    assert agent.tokens.access_token == "at.1.x"


def test_introspection():
    said = {"active": True, "scope": "openid", "exp": 5, "sub": "agent_1", "model": "m"}
    agent = Agent({"/introspect": as_json(**said)})
    found = agent.introspect_token("at.1.x")
    assert (found.active, found.exp, found.username, found.extra) == (True, 5, None, {"model": "m"})
    agent = Agent({"/introspect": as_json(401, error="invalid_client")})
    assert code_of(agent.introspect_token, "at.1.x") == "introspection_failed"


PROTECTED = [
    ("get_agent_profile", "/api/agents/profile", ()),
    ("update_agent_profile", "/api/agents/profile", {"owner_name": "Jane"}),
    ("get_user_info", "/userinfo", ()),
    ("send_event", "/api/events", ("seen",)),
    ("send_verified_click", "/api/events", ("#buy", "shop.example")),
    ("send_post_run", "/api/events", ("task", "shop.example", "done")),
    ("request_challenge", "/api/verify/challenge", ()),
    ("get_verify_status", "/api/verify/status", ()),
    ("confirm_verification", "/api/verify/confirm",
     ({"challenge": "c", "expires": 1, "sig": "s", "verify_ctx_id": "v"},)),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "arguments"), PROTECTED)
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (as_json(401, error="invalid_token"), "token_expired"),
        (as_json(403, error="insufficient_scope"), "forbidden"),
        (as_json(400, error="invalid_request"), "request_failed"),
        (html("<p>Not here</p>", 404), "unexpected_page"),
    ],
)
def test_what_an_access_token_may_meet(method, path, arguments, answer, code):
    agent = Agent({path: answer})
    call = getattr(agent, method)
    given = ((), arguments) if isinstance(arguments, dict) else (arguments, {})
    assert code_of(call, "at.1.x", *given[0], **given[1]) == code
    assert agent.header("Authorization") == "Bearer at.1.x"
    asked = len(agent.internet.requests)
    assert code_of(call, None, *given[0], **given[1]) == "token_expired"
    assert code_of(call, "a\r\nb", *given[0], **given[1]) == "token_expired"
    assert len(agent.internet.requests) == asked


def test_registration():
    details = {
        "agent_id": "my-ai-agent",
        "agent_secret": "secure-random-secret-key",
        "model_name": "gpt-4",
        "owner_name": "John Doe",
        "owner_email": "john@example.com",
    }
    answer = as_json(201, success=True, agent_id="my-ai-agent", message="registered")
    agent = Agent({"/api/register-agent": answer})
    found = agent.register_agent(**details)
    assert agent.content() == details
    assert (found.success, found.agent_id, found.message) == (True, "my-ai-agent", "registered")
    agent = Agent({"/api/register-agent": as_json(409, error="agent_exists")})
    assert code_of(agent.register_agent, **details) == "registration_failed"


def test_an_open_request():
    answer = as_json(session_id="req_1", challenge_url=f"{ISSUER}/c/1", expires_in=600)
    agent = Agent({"/api/agent-auth": answer, "/token": as_json(**TOKENS)})
    found = agent.authenticate_agent(redirect_uri=CALLBACK)
    content = agent.content()
    assert content == {
        "agent_id": "agent_1",
        "agent_secret": "ags_1",
        "model_name": "m",
        "client_id": "agent_1",
        "redirect_uri": CALLBACK,
        "state": found.state,
        "scope": "openid profile email agent",
        "code_challenge": challenge_of(found.code_verifier),
        "code_challenge_method": "S256",
    }
    assert (found.session_id, found.expires_in) == ("req_1", 600)
    agent.exchange_code("ac_1", found.state, CALLBACK)
    assert agent.form()["code_verifier"] == found.code_verifier
    found = agent.authenticate_agent(redirect_uri=CALLBACK, code_challenge="mine", state="s")
    assert agent.content()["code_challenge"] == "mine"
    assert found.code_verifier is None
    agent = Agent({"/api/agent-auth": as_json(401, error="invalid_credentials")})
    assert code_of(agent.authenticate_agent, redirect_uri=CALLBACK) == "agent_auth_failed"


def test_a_profile_is_read_and_changed():
    profile = {
        "agent_id": "agent_1",
        "model_name": "gpt-4-turbo",
        "owner_name": "Jane Doe",
        "owner_email": "jane@example.com",
        "permissions": ["read"],
        "disabled": False,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-02T00:00:00Z",
        "plan": "free",
    }
    agent = Agent({"/api/agents/profile": as_json(**profile)})
    found = agent.get_agent_profile("at.1.x")
    assert (found.permissions, found.disabled, found.extra) == (("read",), False, {"plan": "free"})
    assert agent.update_agent_profile("at.1.x", owner_name="Jane Doe") == found
    assert (agent.last.method, agent.content()) == ("PUT", {"owner_name": "Jane Doe"})
    with pytest.raises(SettingsError, match="has nothing to change"):
        agent.update_agent_profile("at.1.x")


def test_user_info_keeps_what_it_does_not_know():
    said = {"sub": "agent_1", "agent_id": "agent_1", "model_name": "m", "email": None, "zone": 1}
    found = Agent({"/userinfo": as_json(**said)}).get_user_info("at.1.x")
    assert (found.sub, found.email, found.permissions, found.extra) == (
        *("agent_1", None, ()),
        {"zone": 1},
    )


def test_events():
    agent = Agent({"/api/events": as_json(ok=True, id=1)})
    said = agent.send_event(
        "at.1.x", "custom_event", selector="#b", site="example.com", metadata={"userId": "123"}
    )
    assert said == {"ok": True, "id": 1}
    assert agent.content() == {
        "event": "custom_event",
        "selector": "#b",
        "site": "example.com",
        "metadata": {"userId": "123"},
    }
    agent.send_verified_click("at.1.x", "#purchase-button", "store.example.com")
    assert agent.content() == {
        "event": "verified_click",
        "selector": "#purchase-button",
        "site": "store.example.com",
        "evidence": "oauth_authenticated",
    }
    agent.send_post_run("at.1.x", "automated_task", "app.example.com", "é" * 2_001)
    assert agent.content() == {
        "event": "post_run",
        "selector": "automated_task",
        "site": "app.example.com",
        "result": "é" * 2_000,
    }


def test_an_event_is_sent_once():
    agent = Agent({"/api/events": as_json(503)})
    with pytest.raises(ServerUnavailable):
        agent.send_event("at.1.x", "seen")
    assert len(agent.internet.requests) == 1


CHALLENGE = {"challenge": "c", "expires": 9, "sig": "s", "verify_ctx_id": "v/1"}


def test_a_challenge_is_sent_back():
    agent = Agent(
        {
            "/api/verify/challenge": as_json(ok=True, **CHALLENGE),
            "/api/verify/confirm": as_json(ok=True, verified=True),
        }
    )
    challenge = agent.request_challenge("at.1.x")
    assert agent.confirm_verification("at.1.x", challenge).verified
    assert agent.content() == CHALLENGE
    with pytest.raises(SettingsError, match="sig"):
        agent.confirm_verification("at.1.x", ChallengeResponse(ok=True, challenge="c", expires=1))


def test_no_result_shows_a_secret():
    agent = Agent({"/token": as_json(**TOKENS)})
    begun = agent.get_authorization_url(CALLBACK)
    tokens = agent.exchange_code("c", begun.state, CALLBACK)
    challenge = ChallengeResponse(ok=True, **{**CHALLENGE, "sig": "secret"})
    for value in (begun, tokens, challenge, agent.tokens, agent.calls):
        shown = f"{value!r} {value} {rich.pretty.pretty_repr(value)}"
        for secret in (begun.code_verifier, begun.state, "at.1.x", "rt_1", "id.1.x", "secret"):
            assert secret not in shown
    assert "expires_in=3600" in repr(tokens)
    with pytest.raises(AttributeError):
        tokens.access_token = "another"


def test_a_result_that_does_not_fit_names_the_field_and_not_its_value():
    with pytest.raises(ServerMisbehaved, match="access_token") as caught:
        read(TokenResponse, {"access_token": ["at.1.x"]})
    assert "at.1.x" not in str(caught.value)
