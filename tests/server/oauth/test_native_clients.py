"""Native clients, which belong to no website: the APIs that they, and websites, may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.clients import ClientCredentials
from auth_agent.server.registry.resources import add_resource
from auth_agent.server.registry.rules import RegistrationError
from tests.server.world import ORIGIN, REDIRECT, UPSTREAM_PATTERN, World

API = "https://m.example/mcp"
CALLBACK = "http://127.0.0.1:49152/cb"
APP = "com.example.app:/oauth/callback"


@pytest.fixture
def known(own_world: World) -> World:
    """Returns a world with a known API."""
    add_resource(
        own_world.database,
        API,
        name="Invoices",
        scopes=["invoices:read"],
        now=own_world.context.now(),
    )
    return own_world


def _tokens(world: World, client: ClientCredentials, redirect_uri: str, **changes: Any) -> Any:
    code = world.code(client_id=client.client_id, redirect_uri=redirect_uri, **changes)
    answer = world.redeem(code, auth=None, client_id=client.client_id, redirect_uri=redirect_uri)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _refused(world: World, client: ClientCredentials, redirect_uri: str, **changes: Any) -> str:
    request = world.request(client_id=client.client_id, redirect_uri=redirect_uri, **changes)
    answer = world.browser().get("/authorize", params=request)
    assert answer.status_code == 303, answer.text
    location: str = answer.headers["location"]
    assert location.startswith(redirect_uri)
    return location.partition("error=")[2].partition("&")[0]


def test_a_native_client_gets_a_token_for_a_known_api(known: World) -> None:
    tokens = _tokens(known, known.phone, CALLBACK, resource=API, scope="openid invoices:read admin")
    claims = known.verified(tokens["access_token"], API)
    assert (claims["aud"], claims["client_id"]) == (API, known.phone.client_id)
    assert tokens["scope"] == "openid invoices:read"


@pytest.mark.parametrize(
    "resource",
    [
        *("https://m.example", "https://m.example/", API + "/", API + "x", API + "?x"),
        *("https://m.example.evil.example/mcp", "https://m.example@evil.example/mcp"),
        *("http://m.example/mcp", "https://m.example:444/mcp", "https://else.example", API + "#x"),
        *("m.example/mcp", "com.example.app:/", "https://["),
        [API, "https://else.example"],
    ],
)
def test_an_api_that_nobody_made_known_is_refused(known: World, resource: Any) -> None:
    assert _refused(known, known.phone, CALLBACK, resource=resource) == "invalid_target"


def test_the_same_address_in_another_writing_is_known(known: World) -> None:
    asked = "https://M.example:443/mcp"
    tokens = _tokens(known, known.phone, CALLBACK, resource=asked)
    assert known.verified(tokens["access_token"], asked)["aud"] == asked


def test_what_a_website_has_registered_is_known_to_native_clients_alone(known: World) -> None:
    api = "https://api.shop.example"
    assert _tokens(known, known.phone, CALLBACK, resource=api)["access_token"]
    other = "https://other.example/"
    assert _refused(known, known.other, other, resource=api) == "invalid_target"
    assert _refused(known, known.other, other, resource=API) == "invalid_target"


@pytest.mark.parametrize(
    "resource",
    [
        ORIGIN,
        ORIGIN + "/",
        ORIGIN + "/mcp",
        "https://SHOP.example:443/mcp?x",
        [ORIGIN, ORIGIN + "/b"],
    ],
)
def test_what_lies_below_a_websites_origin_is_its_own(world: World, resource: Any) -> None:
    tokens = world.tokens(resource=resource)
    first = resource[0] if isinstance(resource, list) else resource
    assert world.verified(tokens["access_token"], first)["aud"] == resource


@pytest.mark.parametrize(
    "resource",
    [
        *("https://shop.example.evil.example/mcp", "https://shop.example@evil.example/mcp"),
        *("http://shop.example/mcp", "https://shop.example:8443/mcp", "https://sub.shop.example/"),
        *(ORIGIN + "/#x", "https://api.shop.example.evil.example", "https://api.shop.example/x"),
        [ORIGIN, "https://api.other.example"],
    ],
)
def test_what_only_looks_like_a_websites_own_is_refused(world: World, resource: Any) -> None:
    assert _refused(world, world.shop, REDIRECT, resource=resource) == "invalid_target"


def test_a_website_cannot_borrow_an_origin_by_registering_a_redirect_uri_there(
    known: World,
) -> None:
    """Ignores registered URIs, which may name any host; the code goes to the request's own one."""
    victim, evil = "https://victim.example/cb", "https://evil.example/cb"
    made = known.browser().post(
        "/register", json={"redirect_uris": [victim, evil], "token_endpoint_auth_method": "none"}
    )
    client = ClientCredentials(made.json()["client_id"], None)
    known.code(client_id=client.client_id, redirect_uri=evil)
    for resource in ("https://victim.example/api", API):
        assert _refused(known, client, evil, resource=resource) == "invalid_target"


def test_a_client_that_is_both_is_native_where_the_code_goes_to_the_device(known: World) -> None:
    both = clients.add_client(
        known.database, "Both", [REDIRECT, CALLBACK], public=True, now=known.context.now()
    )
    assert _tokens(known, both, CALLBACK, resource=API)["access_token"]
    assert _refused(known, both, REDIRECT, resource=API) == "invalid_target"


def test_a_confidential_client_on_a_loopback_host_is_a_website(known: World) -> None:
    site = clients.add_client(known.database, "Dev", [CALLBACK], now=known.context.now())
    assert _refused(known, site, CALLBACK, resource=API) == "invalid_target"


def test_a_private_scheme_belongs_to_an_app(known: World) -> None:
    app = clients.add_client(known.database, "App", [APP], public=True, now=known.context.now())
    page = known.browser().get(
        "/authorize", params=known.request(client_id=app.client_id, redirect_uri=APP, resource=API)
    )
    assert "form-action 'self' com.example.app:;" in page.headers["content-security-policy"]
    tokens = _tokens(known, app, APP, resource=API)
    assert known.verified(tokens["access_token"], API)["aud"] == API
    own = _tokens(known, app, APP)
    assert known.verified(own["access_token"], "com.example.app://")["aud"] == "com.example.app://"
    with pytest.raises(RegistrationError, match="private scheme"):
        clients.add_client(known.database, "App", [APP], now=known.context.now())
    assert known.browser().get("/ready").status_code == 200


@pytest.mark.parametrize("redirect_uri", [APP + "x", "com.example.APP:/oauth/callback", APP + "?x"])
def test_a_private_redirect_uri_is_compared_exactly(known: World, redirect_uri: str) -> None:
    app = clients.add_client(known.database, "App", [APP], public=True, now=known.context.now())
    request = known.request(client_id=app.client_id, redirect_uri=redirect_uri)
    assert known.browser().get("/authorize", params=request).status_code == 400


def test_scopes_that_an_administrator_chose_are_not_widened_by_an_api(known: World) -> None:
    narrow = clients.add_client(
        known.database, "N", [CALLBACK], public=True, scopes=["openid"], now=known.context.now()
    )
    asked = "openid invoices:read"
    assert _tokens(known, narrow, CALLBACK, resource=API, scope=asked)["scope"] == "openid"
    agent = agents.add_agent(
        known.database, "n@owner.example", scopes=["email"], now=known.context.now()
    )
    browser = known.browser()
    request = known.open(
        browser, client_id=known.phone.client_id, redirect_uri=CALLBACK, resource=API, scope=asked
    )
    known.answer(request, agent)
    code = known.poll(browser, request)["code"]
    form = {"auth": None, "client_id": known.phone.client_id, "redirect_uri": CALLBACK}
    assert known.redeem(code, **form).json()["scope"] == "openid"


def test_the_request_names_the_api_to_agent_and_owner(known: World) -> None:
    browser = known.browser()
    request = known.request(
        client_id=known.phone.client_id,
        redirect_uri=CALLBACK,
        resource=[API, "http://127.0.0.1:49152/x"],
    )
    page = browser.get("/authorize", params=request).text
    assert "Invoices" in page
    assert API in page
    found = UPSTREAM_PATTERN.search(page)
    assert found
    told = known.browser().get(f"/api/auth-requests/{found[1]}").json()
    assert told["resources"] == [API, "http://127.0.0.1:49152/x"]
    assert told["is_native"] is True
    site = known.browser().get(f"/api/auth-requests/{known.open(known.browser())}").json()
    assert {"resources", "is_native"}.isdisjoint(site)


def test_the_token_request_cannot_widen_the_audience(known: World) -> None:
    code = known.code(client_id=known.phone.client_id, redirect_uri=CALLBACK, resource=API)
    form = {"auth": None, "client_id": known.phone.client_id, "redirect_uri": CALLBACK}
    wrong = known.redeem(code, **form, resource="https://api.shop.example")
    assert wrong.json()["error"] == "invalid_target"
    assert known.redeem(code, **form, resource=API).status_code == 200


def test_an_api_learns_of_tokens_for_what_lies_below_its_own_origin(known: World) -> None:
    """Lets an MCP server with its own client introspect the tokens of native clients."""
    site = clients.add_client(
        known.database, "M", ["https://m.example/cb"], now=known.context.now()
    )
    token = _tokens(known, known.phone, CALLBACK, resource=API)["access_token"]
    assert known.introspect(token, site)["active"] is True
    assert known.introspect(token)["active"] is False
    made = (
        known.browser().post("/register", json={"redirect_uris": ["https://m.example/cb"]}).json()
    )
    auth = (made["client_id"], made["client_secret"])
    told = known.browser().post("/introspect", data={"token": token}, auth=auth).json()
    assert told == {"active": False}
