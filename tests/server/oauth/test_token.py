"""POST /token: each check broken alone, and every redemption only once."""

from __future__ import annotations

import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote_plus

import jwt
import pytest
from sqlalchemy import select

from auth_agent.server.registry import clients
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.tokens import endings
from auth_agent.server.web.at_once import or_wait
from tests.server.keys import JWT_BEARER
from tests.server.world import ISSUER, ORIGIN, REDIRECT, VERIFIER, World

CALLBACK = "http://127.0.0.1:5000/cb"


def _refused(answer: Any, error: str, status: int = 400) -> None:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] == error
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_the_answer_has_all_tokens(world: World) -> None:
    answer = world.redeem(world.code())
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert set(tokens) == {
        *("access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token")
    }
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["scope"] == "openid profile email agent"
    assert tokens["refresh_token"].startswith("rt_")


def test_the_id_token(world: World) -> None:
    tokens = world.tokens()
    claims = world.verified(tokens["id_token"], world.shop.client_id)
    hashed = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    now = int(world.clock())
    assert claims.pop("sid")
    assert claims == {
        "iss": ISSUER,
        "sub": world.agent.agent_id,
        "aud": world.shop.client_id,
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "nonce": "n-1",
        "amr": ["pwd"],
        "at_hash": base64.urlsafe_b64encode(hashed).rstrip(b"=").decode(),
        "agent_id": world.agent.agent_id,
        "model": "claude-test",
        "model_name": "claude-test",
        "permissions": ["read"],
        "email": "ann@owner.example",
        "email_verified": True,
        "name": "Ann",
    }


def test_the_access_token(world: World) -> None:
    tokens = world.tokens()
    header = jwt.get_unverified_header(tokens["access_token"])
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    claims = world.verified(tokens["access_token"], "https://shop.example")
    assert claims["sub"] == claims["agent_id"] == world.agent.agent_id
    assert claims["client_id"] == world.shop.client_id
    assert claims["aud"] == "https://shop.example"
    assert claims["scope"] == "openid profile email agent"
    assert claims["jti"]
    assert claims["model"] == "claude-test"
    other = world.verified(world.tokens()["access_token"], "https://shop.example")
    assert other["jti"] != claims["jti"]


def test_claims_come_under_their_scopes(world: World) -> None:
    claims = world.verified(world.tokens(scope="openid")["id_token"], world.shop.client_id)
    assert not {"email", "email_verified", "name"} & set(claims)
    assert "id_token" not in world.tokens(scope="profile")


def test_an_unproved_address_is_left_out(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    world.answer(request_id, world.rival)
    tokens = world.redeem(world.poll(browser, request_id)["code"]).json()
    for claims in (
        world.verified(tokens["id_token"], world.shop.client_id),
        world.verified(tokens["access_token"], "https://shop.example"),
        world.userinfo(tokens["access_token"]).json(),
        world.introspect(tokens["access_token"]),
    ):
        assert not {"email", "name"} & set(claims)
        assert claims["email_verified"] is False


def test_a_resource_becomes_the_audience(world: World) -> None:
    token = world.tokens(resource="https://api.shop.example")["access_token"]
    assert world.verified(token, "https://api.shop.example")["aud"] == "https://api.shop.example"


def test_a_website_may_name_itself_but_no_other(world: World) -> None:
    token = world.tokens(resource=ORIGIN)["access_token"]
    assert world.verified(token, ORIGIN)["aud"] == ORIGIN
    both = [ORIGIN, "https://api.shop.example"]
    assert world.verified(world.tokens(resource=both)["access_token"], ORIGIN)["aud"] == both
    for wrong in (
        "https://other.example",
        ORIGIN + ".evil.example",
        "http://shop.example",
        "shop.example",
    ):
        request = world.request(resource=[ORIGIN, wrong])
        answer = world.browser().get("/authorize", params=request)
        assert "error=invalid_target" in answer.headers["location"]


def test_a_token_request_may_narrow_the_audience_but_not_change_it(own_world: World) -> None:
    two = ["https://api.a.example", "https://api.b.example"]
    site = clients.add_client(
        own_world.database, "Two", [REDIRECT], resources=two, now=own_world.context.now()
    )
    code = own_world.code(client_id=site.client_id, resource=two)
    auth = own_world.basic(site)
    _refused(own_world.redeem(code, auth=auth, resource="https://x.example"), "invalid_target")
    tokens = own_world.redeem(code, auth=auth, resource=two[0]).json()
    assert own_world.verified(tokens["access_token"], two[0])["aud"] == two[0]
    assert own_world.introspect(tokens["access_token"], site)["aud"] == two[0]
    refreshed = own_world.refresh(tokens["refresh_token"], auth=auth, resource="https://x.example")
    _refused(refreshed, "invalid_target")
    tokens = own_world.refresh(tokens["refresh_token"], auth=auth).json()
    assert own_world.verified(tokens["access_token"], two[0])["aud"] == two


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": None}, "invalid_request"),
        ({"code": "ac_unknown"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": REDIRECT + "x"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "w" * 50}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": 'x"\r\n☃'}, "unsupported_grant_type"),
        ({"code": ["ac_1", "ac_2"]}, "invalid_request"),
    ],
)
def test_a_wrong_request_is_refused_and_burns_nothing(
    world: World, changes: dict[str, Any], error: str
) -> None:
    code = world.code()
    _refused(world.redeem(**{"code": code, **changes}), error)
    assert world.redeem(code).status_code == 200


def test_a_wrong_client_burns_nothing(world: World) -> None:
    code = world.code()
    _refused(world.redeem(code, auth=world.basic(world.other)), "invalid_grant")
    phone = {"client_id": world.phone.client_id, "auth": None}
    _refused(world.redeem(code, **phone), "invalid_grant")
    assert world.redeem(code).status_code == 200


def test_a_replayed_code_ends_what_came_from_it(world: World) -> None:
    code = world.code()
    tokens = world.redeem(code).json()
    assert world.introspect(tokens["access_token"])["active"] is True
    _refused(world.redeem(code, code_verifier="w" * 50), "invalid_grant")
    _refused(world.redeem(code, auth=world.basic(world.other)), "invalid_grant")
    assert world.introspect(tokens["access_token"])["active"] is True
    _refused(world.redeem(code), "invalid_grant")
    assert world.introspect(tokens["access_token"]) == {"active": False}
    _refused(world.refresh(tokens["refresh_token"]), "invalid_grant")


def test_a_disabled_agent_gets_nothing_more(own_world: World) -> None:
    code, tokens = own_world.code(), own_world.tokens()
    endings.disable_agent(own_world.database, own_world.agent.agent_id, own_world.context.now())
    _refused(own_world.redeem(code), "invalid_grant")
    _refused(own_world.refresh(tokens["refresh_token"]), "invalid_grant")
    assert own_world.introspect(tokens["access_token"]) == {"active": False}
    assert own_world.userinfo(tokens["access_token"]).status_code == 401


def test_a_removed_website_gets_nothing_more(own_world: World) -> None:
    code = own_world.code()
    assert endings.remove_client(
        own_world.database, own_world.shop.client_id, own_world.context.now()
    )
    _refused(own_world.redeem(code), "invalid_client", 401)
    answer = own_world.browser().get("/authorize", params=own_world.request())
    assert answer.status_code == 400


def test_a_removed_websites_requests_are_gone(own_world: World) -> None:
    browser = own_world.browser()
    answered, pending = own_world.open(browser), own_world.open(browser)
    own_world.answer(answered)
    endings.remove_client(own_world.database, own_world.shop.client_id, own_world.context.now())
    assert own_world.poll(browser, answered)["error"] == "request_not_found"
    assert own_world.answer(pending).status_code == 404
    assert browser.get(f"/api/auth-requests/{pending}").status_code == 404
    assert browser.get(f"/authorize/continue?request_id={answered}").status_code == 400


def test_every_issue_refusal_and_revocation_is_written_down(own_world: World) -> None:
    request_id = own_world.open(own_world.browser())
    own_world.answer(request_id, agent_secret="ags_wrong")
    code = own_world.code()
    tokens = own_world.redeem(code).json()
    again = own_world.refresh(tokens["refresh_token"]).json()
    own_world.refresh(tokens["refresh_token"])
    form = {"token": own_world.tokens()["access_token"]}
    own_world.browser().post("/revoke", data=form, auth=own_world.basic())
    with own_world.database.read() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert again["refresh_token"] not in repr(rows)
    signed_in = [("approval", "approved"), ("token", "issued")]
    assert [(row.kind, row.outcome) for row in rows if row.kind not in ("client", "agent")] == [
        ("approval", "invalid_credentials"),
        *signed_in,
        *(("refresh", "issued"), ("reuse", "revoked"), ("token", "refused")),
        *signed_in,
        ("revocation", "revoked"),
    ]
    assert {row.client_id for row in rows[-8:]} == {own_world.shop.client_id}
    assert {row.address for row in rows[-8:]} == {"testclient"}


# Client authentication


def test_json_is_as_good_as_a_form(world: World) -> None:
    client_id, secret = world.basic()
    body = {
        "grant_type": "authorization_code",
        "code": world.code(),
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
        "client_id": client_id,
        "client_secret": secret,
    }
    assert world.browser().post("/token", json=body).status_code == 200


def test_credentials_in_the_form(world: World) -> None:
    client_id, secret = world.basic()
    extra = {"client_id": client_id, "client_secret": secret, "auth": None}
    assert world.redeem(world.code(), **extra).status_code == 200


def test_a_public_client_has_no_secret(world: World) -> None:
    request = {"client_id": world.phone.client_id, "redirect_uri": CALLBACK}
    code = world.code(**request)
    tokens = world.redeem(code, **request, auth=None).json()
    again = world.refresh(tokens["refresh_token"], client_id=world.phone.client_id, auth=None)
    assert again.status_code == 200


def test_a_confidential_client_has_to_prove_itself(world: World) -> None:
    code = world.code()
    only_id = {"client_id": world.shop.client_id, "auth": None}
    _refused(world.redeem(code, **only_id), "invalid_client", 401)
    _refused(world.redeem(code, auth=None), "invalid_client", 401)
    _refused(world.redeem(code, auth=(world.shop.client_id, "wrong")), "invalid_client", 401)
    unknown = world.redeem(code, auth=("client_unknown", "wrong"))
    wrong = world.redeem(code, auth=(world.shop.client_id, "wrong"))
    assert unknown.content == wrong.content
    too_long = world.basic()[1] + "x" * 72
    long = world.redeem(code, auth=(world.shop.client_id, too_long))
    _refused(long, "invalid_client", 401)
    assert "72 bytes" in long.json()["error_description"]
    assert world.redeem(code).status_code == 200


def test_a_public_client_shows_nothing_but_its_id(world: World) -> None:
    public = {"client_id": world.phone.client_id, "auth": None}
    for more in (
        {"client_secret": "x"},
        {"client_assertion": "x"},
        {"headers": {"authorization": "Bearer x"}},
    ):
        _refused(world.redeem("ac_unknown", **public, **more), "invalid_client", 401)
    _refused(world.redeem("ac_unknown", **public), "invalid_grant")


def test_nobody_is_told_which_clients_exist(world: World) -> None:
    unknown = world.redeem("ac_x", auth=None, client_id="client_unknown")
    known = world.redeem("ac_x", auth=None, client_id=world.shop.client_id)
    _refused(unknown, "invalid_client", 401)
    assert unknown.content == known.content


def test_two_ways_at_once_are_refused(world: World) -> None:
    client_id, secret = world.basic()
    code, posted = world.code(), {"client_id": client_id, "client_secret": secret}
    signed = {"client_assertion_type": JWT_BEARER, "client_assertion": "x"}
    _refused(world.redeem(code, **posted), "invalid_request")
    _refused(world.redeem(code, **signed), "invalid_request")
    _refused(world.redeem(code, auth=None, **posted, **signed), "invalid_request")
    _refused(world.redeem(code, auth=None, client_secret=secret, **signed), "invalid_request")
    _refused(world.redeem(code, client_id=world.other.client_id), "invalid_request")
    assert world.redeem(code, client_id=client_id).status_code == 200


def test_the_address_carries_no_parameters(world: World) -> None:
    code, (client_id, secret) = world.code(), world.basic()
    query = f"?client_id={client_id}&client_secret={secret}&code={code}"
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    _refused(world.browser().post("/token" + query, data=form), "invalid_client", 401)
    assert world.redeem(code).status_code == 200


def test_basic_credentials_are_form_decoded(world: World) -> None:
    client_id, secret = world.basic()
    encoded = "".join(f"%{byte:02X}" for byte in client_id.encode())
    plain = f"{encoded}:{quote_plus(secret)}"
    headers = {"authorization": "bAsIc " + base64.b64encode(plain.encode()).decode()}
    assert world.redeem(world.code(), auth=None, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "credentials",
    [
        *("", "%%%", "bm9jb2xvbg==", base64.b64encode(b"\xff:\xfe").decode(), "YTolMDA="),
        *("JTAwYTp4", base64.b64encode(b"a%ff:x").decode(), "YTp4 YTp4"),
    ],
)
def test_broken_basic_credentials_are_refused(world: World, credentials: str) -> None:
    headers = {"authorization": f"Basic {credentials}"}
    _refused(world.redeem("ac_x", auth=None, headers=headers), "invalid_client", 401)


# Refreshing


def test_a_refresh_token_rotates(world: World) -> None:
    first = world.tokens()
    world.clock.forward(10)
    second = world.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == first["scope"]
    claims = world.verified(second["id_token"], world.shop.client_id)
    assert "nonce" not in claims
    assert claims["auth_time"] == int(world.clock()) - 10
    assert world.refresh(second["refresh_token"]).status_code == 200


def test_a_reused_refresh_token_ends_the_family(world: World) -> None:
    first = world.tokens()
    second = world.refresh(first["refresh_token"]).json()
    _refused(world.refresh(first["refresh_token"], auth=world.basic(world.other)), "invalid_grant")
    assert world.introspect(second["access_token"])["active"] is True
    _refused(world.refresh(first["refresh_token"]), "invalid_grant")
    assert world.introspect(second["access_token"]) == {"active": False}
    _refused(world.refresh(second["refresh_token"]), "invalid_grant")


def test_two_refreshes_at_the_same_moment_are_a_reuse(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lets both read the token as valid before either rotates it."""
    tokens, both, take = own_world.tokens(), threading.Barrier(2), own_world.context.limits.take

    def meet(*what: str) -> Any:
        or_wait()  # not on the event loop
        both.wait(20)
        return take(*what)

    monkeypatch.setattr(own_world.context.limits, "take", meet)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: own_world.refresh(tokens["refresh_token"]), range(2)))
    first, second = sorted(answers, key=lambda answer: answer.status_code)
    _refused(second, "invalid_grant")
    assert own_world.introspect(first.json()["access_token"]) == {"active": False}


def test_a_wrong_client_does_not_rotate(world: World) -> None:
    tokens = world.tokens()
    answer = world.refresh(tokens["refresh_token"], auth=world.basic(world.other))
    _refused(answer, "invalid_grant")
    assert world.refresh(tokens["refresh_token"]).status_code == 200


def test_the_scope_can_be_narrowed_but_not_widened(world: World) -> None:
    tokens = world.tokens(scope="openid email")
    _refused(world.refresh(tokens["refresh_token"], scope="openid profile"), "invalid_scope")
    for odd in (" ", "openid  email", "openid\temail", "openid\u00a0email", "openid\n"):
        _refused(world.refresh(tokens["refresh_token"], scope=odd), "invalid_scope")
    narrow = world.refresh(tokens["refresh_token"], scope="openid").json()
    assert narrow["scope"] == "openid"
    assert "email" not in world.userinfo(narrow["access_token"]).json()
    assert world.refresh(narrow["refresh_token"]).json()["scope"] == "openid email"


def test_a_refresh_token_ends_when_it_is_idle(own_world: World) -> None:
    tokens = own_world.tokens()
    own_world.clock.forward(30 * 86_400)
    _refused(own_world.refresh(tokens["refresh_token"]), "invalid_grant")


def test_a_family_ends_however_busy_it_is(own_world: World) -> None:
    token = own_world.tokens()["refresh_token"]
    for _ in range(4):
        own_world.clock.forward(20 * 86_400)
        token = own_world.refresh(token).json()["refresh_token"]
    own_world.clock.forward(10 * 86_400 - 60)
    last = own_world.refresh(token).json()
    assert last["expires_in"] == 60
    own_world.clock.forward(60)
    _refused(own_world.refresh(last["refresh_token"]), "invalid_grant")


# Races in one process; two processes are in test_workers.py


def test_of_many_redemptions_one_wins(own_world: World) -> None:
    code = own_world.code()
    own_world.redeem("ac_warm")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: own_world.redeem(code), range(16)))
    assert sorted(a.status_code for a in answers) == [200] + [400] * 15


def test_of_many_answers_one_agent_wins(own_world: World) -> None:
    request_id = own_world.open(own_world.browser())
    who = [own_world.agent, own_world.rival] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda agent: own_world.answer(request_id, agent), who))
    assert sorted(a.status_code for a in answers) == [200] * 4 + [409] * 4


def test_two_authorization_headers_are_refused(world: World) -> None:
    token = world.tokens()["access_token"]
    headers = [("authorization", f"Bearer {token}"), ("authorization", "Bearer other")]
    for sent in (headers, headers[::-1], headers[:1] * 2):
        answer = world.browser().get("/userinfo", headers=sent)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert world.userinfo(token).status_code == 200
