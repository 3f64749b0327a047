"""GET /authorize: who is sent back to the website, who is shown a page, and what the page holds."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from auth_agent.server.registry import agents, clients
from tests.server.world import CHALLENGE, ISSUER, ORIGIN, REDIRECT, UPSTREAM_PATTERN, World


def _error(world: World, **changes: Any) -> dict[str, list[str]]:
    answer = world.browser().get("/authorize", params=world.request(**changes))
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(REDIRECT + "&")
    found = parse_qs(urlsplit(location).query)
    assert found["iss"] == [ISSUER]
    assert found["keep"] == ["a b"]
    assert "set-cookie" not in answer.headers
    return found


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": 'x"\r\n\u2603'}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 128}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "\n"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"scope": "admin offline_access"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"prompt": "none"}, "interaction_required"),
        ({"prompt": "none", "scope": "admin"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "none", "resource": "https://api.other.example"}, "invalid_target"),
        ({"request": "e30.e30."}, "request_not_supported"),
        ({"request_uri": "https://x.example"}, "request_uri_not_supported"),
        ({"resource": "https://api.other.example"}, "invalid_target"),
        ({"nonce": ["a", "b"]}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
    ],
)
def test_a_wrong_request_goes_back_to_the_website(
    world: World, changes: dict[str, Any], error: str
) -> None:
    found = _error(world, **changes)
    assert found["error"] == [error]
    assert found["error_description"][0].isascii()
    assert found["state"] == ["st+ate é&=~"]


def test_a_repeated_state_is_refused_and_not_returned(world: World) -> None:
    found = _error(world, state=["a", "b"])
    assert found["error"] == ["invalid_request"]
    assert "state" not in found


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "client_unknown"},
        {"client_id": None},
        {"client_id": ["a", "b"]},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/callback"},
        {"redirect_uri": "https://shop.example/callback"},
        {"redirect_uri": REDIRECT + "&x=1"},
        {"redirect_uri": REDIRECT.replace("shop", "SHOP")},
        {"redirect_uri": [REDIRECT, REDIRECT]},
        {"redirect_uri": 'https://evil.example/"><script>\r\n'},
        {"client_id": "client_\x00"},
    ],
)
def test_an_unknown_website_is_never_redirected_to(world: World, changes: dict[str, Any]) -> None:
    answer = world.browser().get("/authorize", params=world.request(**changes))
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "location" not in answer.headers
    assert 'href="https://evil' not in answer.text, "it is shown, and leads nowhere"


def test_broken_unicode_is_refused(world: World) -> None:
    answer = world.browser().get("/authorize?client_id=%ff%fe&state=%00")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("redirect_uri", "status"),
    [
        ("http://127.0.0.1/cb", 200),
        ("http://127.0.0.1:49152/cb", 200),
        ("http://127.0.0.1:49152/cb/", 400),
        ("http://127.0.0.1:49152/cb?x=1", 400),
        ("http://127.0.0.2:49152/cb", 400),
        ("http://localhost:49152/cb", 400),
        ("https://127.0.0.1:49152/cb", 400),
        ("http://127.0.0.1:49152@evil.example/cb", 400),
        ("http://127.0.0.1:99999/cb", 400),
        ("http://127.0.0.1:/cb", 400),
        ("http://127.0.0.1:49152/cb#", 400),
        ("http://127.0.0.1:49152/cb#x", 400),
        ("http://127.0.0.1:49152/CB", 400),
        ("http://127.0.0.1:49152//cb", 400),
        ("http://127.0.0.1:49152/./cb", 400),
        ("http://127.0.0.1:49152/%63b", 400),
        ("http://127.0.0.1:4915\u0662/cb", 400),
        ("http://127.0.0.1.:49152/cb", 400),
        ("http://127.1:49152/cb", 400),
        ("http://127.0.0.1.evil.example:49152/cb", 400),
        ("HTTP://127.0.0.1:49152/cb", 400),
    ],
)
def test_a_loopback_address_may_come_with_any_port(
    world: World, redirect_uri: str, status: int
) -> None:
    params = world.request(client_id=world.phone.client_id, redirect_uri=redirect_uri)
    assert world.browser().get("/authorize", params=params).status_code == status


def test_the_waiting_page_is_what_published_agents_look_for(world: World) -> None:
    page = world.browser().get("/authorize", params=world.request()).text
    found = UPSTREAM_PATTERN.search(page)
    assert found
    assert re.search(r"window\.authRequest = \{ request_id: 'req_[\w-]+', timestamp: \d+ \}", page)
    assert "}" not in page[: page.index("window.authRequest")]
    assert f'<meta name="request-id" content="{found[1]}">' in page
    assert "authenticating ai agent" in page.lower()
    assert "The Shop" in page
    assert "shop.example" in page


def test_the_waiting_page_lets_nothing_run_but_its_own_script(world: World) -> None:
    answer = world.browser().get("/authorize", params=world.request())
    policy = answer.headers["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", policy)
    assert nonce
    assert f'<script nonce="{nonce[1]}">' in answer.text
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "form-action 'self' https://shop.example;" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for handler in ("onload=", "onclick=", "style=", "//cdn"):
        assert handler not in answer.text
    elsewhere = re.findall(r'(?:src|href|action)="(?!/[^/]|data:)([^"]*)"', answer.text)
    assert set(elsewhere) == {"https://shop.example/"}, "the way back to the website"
    again = world.browser().get("/authorize", params=world.request())
    assert nonce[1] not in again.text


def test_the_stylesheet_is_ours_and_its_name_changes_with_it(world: World) -> None:
    page = world.browser().get("/authorize", params=world.request()).text
    name = re.search(r'href="(/static/auth-agent\.[0-9a-f]+\.css)"', page)
    assert name
    answer = world.browser().get(name[1])
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert world.browser().get("/static/auth-agent.css").status_code == 404
    assert world.browser().get("/static/..%2fapp.py").status_code == 404


def test_the_browser_gets_one_cookie_and_keeps_it(world: World) -> None:
    browser = world.browser()
    first = browser.get("/authorize", params=world.request())
    cookie = first.headers["set-cookie"]
    assert re.fullmatch(r"auth_agent_browser=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", cookie)
    assert "set-cookie" not in browser.get("/authorize", params=world.request()).headers


def test_a_head_request_opens_none(world: World) -> None:
    answer = world.browser().head("/authorize", params=world.request())
    assert (answer.status_code, "set-cookie" in answer.headers) == (405, False)


@pytest.mark.parametrize("planted", ["short", "x" * 44, "ä" * 43, "a b" * 14 + "c"])
def test_a_malformed_cookie_is_replaced(world: World, planted: str) -> None:
    headers = {"cookie": f"auth_agent_browser={planted}".encode()}
    answer = world.browser().get("/authorize", params=world.request(), headers=headers)
    assert "set-cookie" in answer.headers


def test_markup_in_names_is_shown_as_text(own_world: World) -> None:
    from auth_agent.server.registry import clients

    nasty = clients.add_client(
        own_world.database, "<b>}'\"</b>", ["https://x.example/"], now=own_world.context.now()
    )
    params = own_world.request(client_id=nasty.client_id, redirect_uri="https://x.example/")
    page = own_world.browser().get("/authorize", params=params).text
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("openid profile email offline_access", "openid profile email"),
        ("openid admin", "openid"),
        (None, "openid"),
    ],
)
def test_scopes_that_cannot_be_had_are_left_out(
    world: World, asked: str | None, granted: str
) -> None:
    """Names the granted scopes in the answer (RFC 6749 section 3.3)."""
    tokens = world.tokens(scope=asked)
    assert tokens["scope"] == granted
    assert world.verified(tokens["access_token"], ORIGIN)["scope"] == granted


def test_a_website_gets_no_scope_that_it_is_not_registered_for(own_world: World) -> None:
    site = clients.add_client(
        own_world.database, "Narrow", [REDIRECT], scopes=["email"], now=own_world.context.now()
    )
    code = own_world.code(client_id=site.client_id, scope="openid email agent")
    tokens = own_world.redeem(code, auth=own_world.basic(site)).json()
    assert (tokens["scope"], "id_token" in tokens) == ("email", False)
    code = own_world.code(client_id=site.client_id, scope=None)
    assert own_world.redeem(code, auth=own_world.basic(site)).json()["scope"] == "email"


def test_an_agent_that_may_give_nothing_of_it_approves_nothing(own_world: World) -> None:
    agent = agents.add_agent(
        own_world.database, "n@owner.example", scopes=["agent"], now=own_world.context.now()
    )
    request_id = own_world.open(own_world.browser(), scope="email")
    answer = own_world.answer(request_id, agent)
    assert (answer.status_code, answer.json()["error"]) == (403, "invalid_scope")
    assert own_world.answer(request_id).status_code == 200


def test_the_refusal_of_a_request_without_pkce_leads_on(world: World) -> None:
    found = _error(world, code_challenge=None, code_challenge_method=None)
    assert found["error"] == ["invalid_request"]
    assert "docs/websites/clients.md" in found["error_description"][0]


# POST (OpenID Connect Core section 3.1.2.1)


@pytest.mark.parametrize("path", ["/authorize", "/oauth2/authorize"])
def test_a_form_is_as_good_as_a_query(world: World, path: str) -> None:
    browser = world.browser()
    page = browser.post(path, data=world.request())
    assert page.status_code == 200
    found = UPSTREAM_PATTERN.search(page.text)
    assert found
    world.answer(found[1])
    assert world.redeem(world.poll(browser, found[1])["code"]).status_code == 200


def test_half_of_a_request_may_be_in_the_query(world: World) -> None:
    form = world.request()
    query = {"client_id": form.pop("client_id")}
    assert world.browser().post("/authorize", params=query, data=form).status_code == 200


@pytest.mark.parametrize("name", ["state", "scope", "resource", "code_challenge"])
def test_a_parameter_in_both_places_is_refused(world: World, name: str) -> None:
    form = world.request(resource="https://shop.example")
    answer = world.browser().post("/authorize", params={name: form[name]}, data=form)
    assert answer.status_code == 303
    assert "error=invalid_request" in answer.headers["location"]


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope", "max_age"])
def test_a_parameter_in_both_places_is_refused_from_another_website_as_well(
    world: World, name: str
) -> None:
    """The redirect that brings the cookie would drop one of the two."""
    form = world.request(max_age="60")
    cross = {"sec-fetch-site": "cross-site"}
    answer = world.browser().post("/authorize", params={name: form[name]}, data=form, headers=cross)
    is_shown = name in ("client_id", "redirect_uri")
    assert answer.status_code == (400 if is_shown else 303)
    assert is_shown or "error=invalid_request" in answer.headers["location"]


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_website_that_is_named_in_both_places_is_never_redirected_to(
    world: World, name: str
) -> None:
    form = world.request()
    answer = world.browser().post("/authorize", params={name: form[name]}, data=form)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


def test_a_form_of_another_website_keeps_the_cookie_of_other_tabs(world: World) -> None:
    """Browsers send no SameSite=Lax cookie with it, and a new one would replace it."""
    browser, form = world.browser(), world.request(resource=["https://shop.example", ORIGIN + "/x"])
    other_tab = world.open(browser)
    mark = browser.cookies["auth_agent_browser"]
    cross = {"sec-fetch-site": "cross-site"}
    answer = world.browser().post("/authorize", data=form, headers=cross)
    assert (answer.status_code, "set-cookie" in answer.headers) == (303, False)
    page = browser.get(answer.headers["location"])
    assert page.status_code == 200
    assert browser.cookies["auth_agent_browser"] == mark
    found = UPSTREAM_PATTERN.search(page.text)
    assert found
    for request_id in (found[1], other_tab):
        world.answer(request_id)
        assert world.poll(browser, request_id)["status"] == "authenticated"


def test_words_of_a_scope_come_once_each(world: World) -> None:
    assert world.tokens(scope="openid  email openid ")["scope"] == "openid email"


def test_an_agent_is_never_older_than_the_request(world: World) -> None:
    assert world.open(world.browser(), max_age="0")


@pytest.mark.parametrize("count", [65, 300])
def test_parameters_are_counted(world: World, count: int) -> None:
    extra = "&".join(f"p{number}=1" for number in range(count))
    assert world.browser().get(f"/authorize?{extra}").status_code == 400


@pytest.mark.parametrize(("name", "longest"), [("state", 2_048), ("nonce", 512)])
def test_what_is_stored_of_a_request_is_bounded(world: World, name: str, longest: int) -> None:
    assert world.open(world.browser(), **{name: "x" * longest})
    request = world.request(**{name: "x" * (longest + 1)})
    answer = world.browser().get("/authorize", params=request)
    assert answer.status_code == 303
    assert "error=invalid_request" in answer.headers["location"]


def test_the_waiting_page_serves_people_agents_and_software(world: World) -> None:
    page = world.browser().get("/authorize", params=world.request()).text
    assert re.search(r'Are you a person\?</strong>.*<a href="https://shop\.example/">', page)
    assert "its owner&#39;s e-mail address" in page, "what the website asks for"
    assert 'data-seconds="600"' in page, "how long it waits"
    assert "sign_in_with_auth_agent" in page
    block = re.search(
        r'<script type="application/json" id="auth-agent-request">(.*?)</script>', page
    )
    assert block
    told = json.loads(block[1])
    assert told["request_id"] == UPSTREAM_PATTERN.search(page)[1]  # type: ignore[index]
    assert world.browser().get(told["look"].removeprefix(ISSUER)).status_code == 200
    assert (told["issuer"], told["website"]) == (ISSUER, "The Shop")


def test_the_waiting_page_learns_that_its_browser_keeps_no_cookies(world: World) -> None:
    browser = world.browser()
    request_id = world.open(browser)
    query = {"request_id": request_id, "page": "1"}
    assert browser.get("/api/check-status", params=query).json()["is_known"] is True
    foreign = world.browser().get("/api/check-status", params=query).json()
    assert foreign == {"status": "pending", "is_known": False, "expires_in": 600}
    plain = world.browser().get("/api/check-status", params={"request_id": request_id})
    assert plain.json() == {"status": "pending"}, "as published clients read it"
