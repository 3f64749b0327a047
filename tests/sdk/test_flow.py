"""The same flow without a socket: https, and servers that ours will never be."""

from __future__ import annotations

import json

import jwt
import pytest

from auth_agent import AuthError, ServerMisbehaved, ServerUnavailable
from auth_agent.flow.exchange import HttpRequest, HttpResponse
from auth_agent.sdk.exchange.answers import asked_wait
from auth_agent.sdk.exchange.html import excerpt, request_ids
from auth_agent.sdk.exchange.journey import Journey
from auth_agent.sdk.exchange.retry import send_with_retries
from auth_agent.sdk.flow.effects import Wait
from auth_agent.sdk.identity.options import Options
from auth_agent.sdk.sign_in import approval
from auth_agent.sdk.sign_in.consent import SignInOptions
from auth_agent.sdk.sign_in.website import sign_in
from auth_agent.secret import Secret
from tests.sdk.internet import Internet, as_json, html, to

ISSUER = "https://id.example"
SHOP = "https://shop.example"
AUTHORIZE = f"{ISSUER}/authorize?response_type=code&client_id=shop"
METADATA = f"{ISSUER}/.well-known/oauth-authorization-server"
LOOK = f"{ISSUER}/api/auth-requests/req_1234"
ANSWER = f"{ISSUER}/api/agent/authenticate"
POLL = f"{ISSUER}/api/check-status?request_id=req_1234"
CALLBACK = f"{SHOP}/callback?keep=a%20b&code=ac_1&state=s%26t&iss=https%3A%2F%2Fid.example"


def metadata(**changes):
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    endpoints = {name: f"{ISSUER}/{name.partition('_')[0]}" for name in names}
    endpoints["authorization_endpoint"] = f"{ISSUER}/authorize"
    return as_json(**{"issuer": ISSUER, **endpoints, **changes})


APPROVED = {
    "status": "authenticated",
    "code": "ac_1",
    "state": "s&t",
    "redirect_uri": f"{SHOP}/callback?keep=a%20b",
}


def web(**changes):
    """Simulates a website and a server where everything works, except for what is changed."""
    answers = {
        f"{SHOP}/me": [to(AUTHORIZE), html("Welcome")],
        METADATA: metadata(),
        AUTHORIZE: html("<meta name='request-id' content='req_1234'>"),
        LOOK: as_json(redirect_origin=SHOP, scope="openid email", client_name="Shop"),
        ANSWER: as_json(success=True, status="authenticated"),
        POLL: [as_json(status="pending"), as_json(**APPROVED)],
        CALLBACK: to("/me"),
    }
    return {**answers, **{globals().get(name, name): value for name, value in changes.items()}}


def play(internet, url=f"{SHOP}/me", *, scopes=None, factor=None, within=60.0, **options):
    made = Options(agent_id="agent_1", agent_secret=Secret("ags_1"), server_url=ISSUER, **options)
    return internet.run(sign_in(url, made, wanted=SignInOptions(scopes, factor), within=within))


def code_of(**changes):
    internet = Internet(web(**changes))
    with pytest.raises(AuthError) as caught:
        play(internet)
    return caught.value.code


def test_all_goes_well_and_the_redirect_uri_keeps_its_query():
    internet = Internet(web())
    landing = play(internet, model="m")
    assert (landing.url, landing.response.status) == (f"{SHOP}/me", 200)
    assert internet.waits == [0.5]
    (post,) = (request for request in internet.requests if request.method == "POST")
    assert json.loads(post.body) == {
        "request_id": "req_1234",
        "agent_id": "agent_1",
        "agent_secret": "ags_1",
        "model": "m",
        "expected_origin": SHOP,
    }
    assert "ags_1" not in repr(internet.steps)
    assert "ags_1" not in repr(post)


def test_the_code_travels_once_and_only_to_the_website():
    internet = Internet(web())
    play(internet)
    assert [request.url for request in internet.requests if "ac_1" in request.url] == [CALLBACK]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({f"{SHOP}/me": to("http://shop.example/login")}, "insecure_url"),
        ({f"{SHOP}/me": to("http://127.0.0.1:8000/")}, "insecure_url"),
        ({"METADATA": metadata(issuer=f"{ISSUER}/")}, "issuer_mismatch"),
        ({"METADATA": metadata(authorization_endpoint=f"{ISSUER}/other")}, "issuer_not_allowed"),
        ({"METADATA": metadata(jwks_uri="http://id.example/jwks")}, "metadata_invalid"),
        ({"AUTHORIZE": html("nothing here")}, "sign_in_failed"),
        ({"AUTHORIZE": html("<meta name='request-id' content='../x'>")}, "sign_in_failed"),
        (
            {"AUTHORIZE": html("<meta name='request-id' content='req_1'>"
             "<script>window.authRequest = {request_id: 'req_2'}</script>")},
            "sign_in_failed",
        ),
        ({"AUTHORIZE": html("unknown website", 400)}, "sign_in_failed"),
        ({"AUTHORIZE": html("busy", 429)}, "server_unavailable"),
        ({"AUTHORIZE": to("https://other.example/?error=x")}, "sign_in_failed"),
        ({"LOOK": as_json(redirect_origin="https://bank.example", scope="openid")},
         "website_mismatch"),
        ({"LOOK": as_json(redirect_origin=SHOP)}, "request_unclear"),
        ({"LOOK": as_json(scope="openid")}, "request_unclear"),
        ({"LOOK": as_json(redirect_origin=SHOP, scope="", status="completed")}, "request_expired"),
        ({"LOOK": as_json(404, error="request_not_found")}, "request_expired"),
        ({"LOOK": html("<p>A captive portal</p>")}, "unexpected_page"),
        ({"LOOK": HttpResponse(200, {"content-encoding": "gzip"}, b"x")}, "answer_compressed"),
        ({"LOOK": HttpResponse(200, {"content-encoding": "br"}, b"x")}, "answer_compressed"),
        ({"ANSWER": as_json(401, error="invalid_credentials")}, "invalid_credentials"),
        ({"ANSWER": as_json(404, error="request_not_found")}, "request_expired"),
        ({"ANSWER": as_json(409, error="origin_mismatch")}, "website_mismatch"),
        ({"ANSWER": as_json(409, error="already_answered")}, "sign_in_failed"),
        ({"ANSWER": as_json(429, error="slow_down")}, "rate_limited"),
        ({"ANSWER": as_json(500)}, "server_unavailable"),
        ({"ANSWER": to("https://evil.example/")}, "unexpected_page"),
        ({"ANSWER": as_json(success=False)}, "server_misbehaved"),
        ({"ANSWER": as_json(success=True, requires_2fa=True)}, "two_factor_required"),
        ({"POLL": as_json(status="error", error="access_denied")}, "access_denied"),
        ({"POLL": as_json(status="error", error="request_expired")}, "request_expired"),
        ({"POLL": as_json(status="completed")}, "sign_in_failed"),
        ({"POLL": as_json(status="pending")}, "timeout"),
        ({"POLL": as_json(**{**APPROVED, "redirect_uri": "https://evil.example/"})},
         "website_mismatch"),
        ({"POLL": as_json(**{**APPROVED, "redirect_uri": "https://shop.example@evil.example/"})},
         "website_mismatch"),
        ({"POLL": as_json(**{**APPROVED, "code": None})}, "server_misbehaved"),
        ({"POLL": as_json(**{**APPROVED, "iss": "https://evil.example"})}, "issuer_mismatch"),
        ({"CALLBACK": html("no session for you", 400)}, "sign_in_failed"),
        ({"CALLBACK": to("https://evil.example/")}, "sign_in_failed"),
        ({"CALLBACK": to(AUTHORIZE), "POLL": as_json(**APPROVED)}, "sign_in_failed"),
        ({"CALLBACK": to("http://shop.example/")}, "insecure_url"),
    ],
)  # fmt: skip
def test_what_stops_a_sign_in(changes, code):
    assert code_of(**changes) == code


def test_the_website_tells_why_its_request_was_refused():
    error = f"{SHOP}/callback?error=invalid_scope"
    internet = Internet(web(**{"AUTHORIZE": to(error), error: html("<h1>No such scope</h1>", 400)}))
    with pytest.raises(AuthError, match="No such scope"):
        play(internet)


def test_a_pinned_issuer_beside_others_and_an_older_websites_endpoint():
    older = f"{ISSUER}/oauth2/authorize?response_type=code&client_id=shop"
    changes = {f"{SHOP}/me": [to(older), html("Welcome")], older: web()[AUTHORIZE]}
    internet = Internet(web(**changes))
    play(internet, allowed_issuers=("https://away.example", ISSUER))
    assert "https://away.example" not in {request.url[:20] for request in internet.requests}


def test_an_issuer_that_ends_with_a_slash():
    issuer = f"{ISSUER}/"
    answers = web(METADATA=metadata(issuer=issuer))
    found = answers.pop(CALLBACK)
    answers[f"{CALLBACK}%2F"] = found
    play(Internet(answers), allowed_issuers=(issuer,))


def test_a_server_that_is_busy_is_asked_again_when_it_says():
    busy = HttpResponse(429, {"retry-after": "7"}, b"")
    lost = HttpResponse(503, {"retry-after": "soon"}, b"")
    internet = Internet(web(POLL=[busy, lost, as_json(**APPROVED)]))
    play(internet)
    assert internet.waits == [7, 0.5]


def test_the_end_of_the_time_given():
    internet = Internet(web(POLL=[as_json(status="pending")] * 9))
    with pytest.raises(AuthError) as caught:
        play(internet, within=2)
    assert (caught.value.code, internet.waits) == ("timeout", [0.5, 0.5, 0.5])


def test_a_request_for_a_part_of_the_scopes_is_fine():
    play(Internet(web()), scopes=frozenset({"openid", "email", "profile"}))


def test_unknown_words_of_the_server_reach_the_caller_on_one_bounded_line():
    with pytest.raises(AuthError) as caught:
        approval.parse_answer(
            as_json(418, error="teapot", error_description="a\nb\x1b[31m" + "c" * 999)
        )
    assert "a b [31mccc" in caught.value.description
    assert len(caught.value.description) < 350


def test_the_words_of_a_page():
    page = html("<title>No</title><script>evil()</script><h1>It &amp; that</h1><p>did\nnot work")
    assert excerpt(page) == "It & that did not work"
    assert excerpt(as_json(error="a", error_description="b")) == "a: b"
    assert excerpt(HttpResponse(200, {"content-type": "application/json"}, b"[1]")) == "[1]"
    assert excerpt(HttpResponse(200, {}, b"\xff")) == "�"


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<meta name=request-id content=req_1>", {"req_1"}),
        ("<script>window.authRequest = { request_id: 'req_1' }</script>", {"req_1"}),
        ('<script>window.authRequest={timestamp:1,request_id:"req_1"}</script>', {"req_1"}),
        ("<script>window.authRequest = {}; request_id: 'req_1'</script>", set()),
        ("<script>let request_id = 'req_1'</script>", set()),
    ],
)
def test_what_a_waiting_page_is(page, found):
    assert request_ids(html(page)) == found
    assert request_ids(HttpResponse(200, {"content-type": "text/plain"}, page.encode())) == set()


def test_misbehaviour_has_its_own_class():
    with pytest.raises(ServerMisbehaved):
        play(Internet(web(LOOK=html("?"))))


TWO = as_json(success=True, requires_2fa=True, expires_in=300)
VERIFY = f"{ISSUER}/api/agent/verify-2fa"


def test_the_second_factor_is_asked_for():
    answers = web(ANSWER=TWO)
    answers[VERIFY] = as_json(success=True, status="authenticated")
    internet = Internet(answers)
    play(internet, model="m", factor=lambda: " 123456\n")
    (verify,) = (request for request in internet.requests if request.url == VERIFY)
    sent = json.loads(verify.body)
    (first,) = (request for request in internet.requests if request.url == ANSWER)
    proof = {name: json.loads(first.body)[name] for name in ("agent_id", "agent_secret")}
    assert sent == {"request_id": "req_1234", "code": "123456", "model": "m", **proof}
    assert "second_factor_asked" in [step.action for step in internet.steps]
    assert "123456" not in repr(internet.steps)


def test_a_wrong_code_is_asked_for_again_while_another_one_comes():
    answers = web(ANSWER=TWO)
    answers[VERIFY] = [as_json(401, error="invalid_code"), as_json(success=True)]
    codes = iter(["111111", "222222"])
    play(Internet(answers), factor=lambda: next(codes))
    answers[VERIFY] = as_json(401, error="invalid_code")
    for codes, asked in ((["1", "1", "1", "1"], 1), (["1", "2", "3", "4"], 3), ([""], 0)):
        internet = Internet(answers)
        left = iter(codes)
        with pytest.raises(AuthError) as caught:
            play(internet, factor=lambda left=left: next(left))
        assert caught.value.code == "invalid_code"
        assert [request.url for request in internet.requests].count(VERIFY) == asked


def test_the_owners_time_is_not_the_sign_ins():
    answers = web(ANSWER=TWO)
    answers[VERIFY] = as_json(success=True)
    internet = Internet(answers)

    def read_the_mail():
        internet.now += 200
        return "123456"

    play(internet, factor=read_the_mail, within=10)


def test_what_is_idempotent_is_sent_again_and_what_the_server_asks_for_is_waited():
    busy = HttpResponse(429, {"retry-after": "3"}, b"")
    lost = ServerUnavailable("nobody")
    good = as_json(redirect_origin=SHOP, scope="openid", client_name="Shop")
    internet = Internet(web(LOOK=[busy, lost, good], METADATA=[as_json(503), metadata()]))
    play(internet)
    first, asked, backoff, poll = internet.waits
    assert 0.25 <= first <= 0.5
    assert asked == 3
    assert 0.5 <= backoff <= 0.75
    assert poll == 0.5


def test_four_attempts_are_all():
    internet = Internet(web(LOOK=as_json(503)))
    with pytest.raises(ServerUnavailable):
        play(internet)
    assert [request.url for request in internet.requests].count(LOOK) == 4


def test_there_is_no_attempt_that_the_time_left_has_no_room_for():
    busy = HttpResponse(429, {"retry-after": "120"}, b"")
    internet = Internet(web(LOOK=busy))
    with pytest.raises(AuthError, match="120 seconds") as caught:
        play(internet, within=60)
    assert (caught.value.code, internet.waits) == ("rate_limited", [])


def test_a_date_to_come_back_at_is_understood():
    said = {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}
    for text, seconds in (
        ("Sat, 21 Nov 2026 10:00:07 GMT", 7.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("7", 7.0),
        ("Sat, 21 Nov 2026 10:00:07 +99999999999999999999", None),
        ("9" * 400, 999_999_999.0),
    ):
        assert asked_wait(HttpResponse(429, {**said, "retry-after": text}, b"")) == seconds
    assert asked_wait(HttpResponse(429, {"retry-after": said["date"]}, b"")) is None


def test_a_certificate_is_not_asked_twice():
    internet = Internet(web(LOOK=ServerUnavailable("no", code="tls_failed")))
    with pytest.raises(ServerUnavailable) as caught:
        play(internet)
    assert caught.value.code == "tls_failed"
    assert [request.url for request in internet.requests].count(LOOK) == 1


def test_an_approval_by_key_is_good_for_one_request_at_one_website(agent_key):
    internet = Internet(web(ANSWER=[as_json(503), as_json(success=True)]))
    internet.now = 1_000_000.0
    play(internet, private_key=agent_key.pem)
    sent = [json.loads(request.body) for request in internet.requests if request.url == ANSWER]
    signed = [content.pop("agent_assertion") for content in sent]
    assert {jwt.get_unverified_header(one)["typ"] for one in signed} == {"agent-approval+jwt"}
    claims = [agent_key.open(one, ISSUER) for one in signed]
    assert sent[0] == {
        "request_id": "req_1234", "agent_id": "agent_1", "expected_origin": SHOP
    }  # fmt: skip
    assert claims[0].pop("jti") != claims[1].pop("jti")
    assert claims[0] == {
        "iss": "agent_1",
        "sub": "agent_1",
        "aud": ISSUER,
        "iat": 1_000_000,
        "exp": 1_000_060,
        "request_id": "req_1234",
        "origin": SHOP,
    }
    assert all(b"ags_1" not in request.body for request in internet.requests)


def test_what_kept_failing_is_told_even_when_the_wait_took_too_long():
    """Allows for a busy machine, which sleeps longer than it was asked to."""
    url = "https://auth.example/userinfo"

    class Sluggish(Internet):
        def perform(self, effect):
            if isinstance(effect, Wait):
                self.now += 10
            return super().perform(effect)

    internet = Sluggish({url: ServerUnavailable("no such name", code="dns_failed")})
    journey = Journey(ends_at=5.0, timeout=1.0)
    with pytest.raises(ServerUnavailable) as caught:
        internet.run(send_with_retries(journey, HttpRequest("GET", url)))
    assert caught.value.code == "dns_failed"
    assert len(internet.requests) == 1
