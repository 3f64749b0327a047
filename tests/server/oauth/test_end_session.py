"""Signing out at the server (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from auth_agent.server.registry import clients
from auth_agent.server.tokens import endings
from tests.server.world import ISSUER, REDIRECT, World

BACK = "https://shop.example/signed-out"
_INPUT = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@pytest.fixture
def site(own_world: World) -> World:
    own_world.shop = clients.add_client(
        own_world.database,
        "Shop",
        [REDIRECT],
        post_logout_redirect_uris=[BACK],
        now=own_world.context.now(),
    )
    return own_world


def _tokens(world: World) -> dict[str, Any]:
    return world.tokens(client_id=world.shop.client_id)


def _page(world: World, browser: TestClient, hint: str, **changes: Any) -> Any:
    query = {"id_token_hint": hint, "post_logout_redirect_uri": BACK, "state": "s t&=", **changes}
    query = {name: value for name, value in query.items() if value is not None}
    return browser.get("/end-session", params=query)


def _confirm(browser: TestClient, page: Any, **changes: Any) -> Any:
    from html import unescape

    headers = changes.pop("headers", {})
    form = {name: unescape(value) for name, value in _INPUT.findall(page.text)}
    return browser.post("/end-session/confirm", data={**form, **changes}, headers=headers)


def test_the_agents_browser_is_asked_and_the_sign_in_ends(site: World) -> None:
    tokens, browser = _tokens(site), site.browser()
    known = browser.get("/.well-known/openid-configuration").json()
    assert known["end_session_endpoint"] == f"{ISSUER}/end-session"
    page = _page(site, browser, tokens["id_token"])
    assert page.status_code == 200
    assert site.agent.agent_id in page.text
    assert "form-action 'self' https://shop.example;" in page.headers["content-security-policy"]
    assert site.introspect(tokens["access_token"])["active"] is True, "a link ends nothing"
    answer = _confirm(browser, page)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{BACK}?state=s+t%26%3D"
    assert site.introspect(tokens["access_token"]) == {"active": False}
    assert site.refresh(tokens["refresh_token"]).status_code == 400
    assert _confirm(browser, page).status_code == 303, "once more is no error"


def test_a_form_is_as_good_as_a_query(site: World) -> None:
    tokens, browser = _tokens(site), site.browser()
    page = browser.post("/end-session", data={"id_token_hint": tokens["id_token"]})
    done = _confirm(browser, page)
    assert (done.status_code, "Signed out" in done.text) == (200, True)
    assert site.introspect(tokens["access_token"]) == {"active": False}


def test_an_id_token_that_has_expired_is_a_hint_all_the_same(site: World) -> None:
    tokens = _tokens(site)
    site.clock.forward(3_601)
    browser = site.browser()
    assert _confirm(browser, _page(site, browser, tokens["id_token"])).status_code == 303
    assert site.refresh(tokens["refresh_token"]).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": BACK + "/x"},
        {"post_logout_redirect_uri": BACK + "?x"},
        {"post_logout_redirect_uri": REDIRECT},
        {"post_logout_redirect_uri": [BACK, BACK]},
        {"client_id": "client_unknown"},
        {"id_token_hint": "x.y.z"},
        {"id_token_hint": None},
        {"state": "x" * 2_049},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    site: World, change: dict[str, Any]
) -> None:
    tokens, browser = _tokens(site), site.browser()
    answer = _page(site, browser, tokens["id_token"], **change)
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    assert "evil" not in answer.text
    good = _page(site, browser, tokens["id_token"])
    hint = change.get("id_token_hint", "")
    changed = {**change, "id_token_hint": "x.y.z"} if hint is None else change
    wrong = _confirm(browser, good, **changed)
    assert (wrong.status_code, "location" in wrong.headers) == (400, False)
    assert site.introspect(tokens["access_token"])["active"] is True


def test_other_tokens_are_no_hints(site: World) -> None:
    tokens, browser = _tokens(site), site.browser()
    for hint in (tokens["access_token"], tokens["refresh_token"], tokens["id_token"][:-4] + "AAAA"):
        assert _page(site, browser, hint).status_code == 400


def test_another_websites_hint_does_not_open_this_ones_address(site: World) -> None:
    code = site.code(client_id=site.other.client_id, redirect_uri="https://other.example/")
    tokens = site.redeem(
        code, auth=site.basic(site.other), redirect_uri="https://other.example/"
    ).json()
    browser = site.browser()
    assert _page(site, browser, tokens["id_token"]).status_code == 400
    named = _page(site, browser, tokens["id_token"], client_id=site.shop.client_id)
    assert named.status_code == 400


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
def test_another_website_cannot_sign_the_agent_out(site: World, where: str) -> None:
    tokens, browser = _tokens(site), site.browser()
    page = _page(site, browser, tokens["id_token"])
    headers = {"sec-fetch-site": where}
    assert _confirm(browser, page, headers=headers).status_code == 400
    assert _confirm(site.browser(), page).status_code == 400, "another browser has no such cookie"
    assert _confirm(browser, page, token="0" * 64).status_code == 400
    assert _confirm(browser, page, token="").status_code == 400
    assert _confirm(browser, page, token="\u00e9").status_code == 400
    bare = {"id_token_hint": tokens["id_token"]}
    assert site.browser().post("/end-session/confirm", data=bare).status_code == 400
    assert site.introspect(tokens["access_token"])["active"] is True


def test_without_a_hint_nothing_ends(site: World) -> None:
    tokens, browser = _tokens(site), site.browser()
    page = browser.get(
        "/end-session",
        params={"client_id": site.shop.client_id, "post_logout_redirect_uri": BACK},
    )
    assert "none ends here" in page.text
    assert _confirm(browser, page).headers["location"] == BACK
    assert browser.get("/end-session").status_code == 200
    assert site.introspect(tokens["access_token"])["active"] is True


def test_a_removed_website_gets_nobody_back(site: World) -> None:
    tokens, browser = _tokens(site), site.browser()
    endings.remove_client(site.database, site.shop.client_id, site.context.now())
    assert _page(site, browser, tokens["id_token"]).status_code == 400


def test_a_client_that_nobody_approved_gets_nobody_sent(own_world: World) -> None:
    evil = "https://evil.example/out"
    made = own_world.browser().post(
        "/register",
        json={"redirect_uris": ["https://evil.example/cb"], "post_logout_redirect_uris": [evil]},
    )
    query = {"client_id": made.json()["client_id"], "post_logout_redirect_uri": evil}
    assert own_world.browser().get("/end-session", params=query).status_code == 400
