"""The console's page about known APIs."""

from __future__ import annotations

from auth_agent.server.registry.resources import list_resources
from tests.server.people import administrator, signed_in
from tests.server.world import World

API = "https://m.example/mcp"
PAGE = "/console/resources"


def test_an_administrator_adds_and_removes_an_api(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    assert "No API has been added yet" in ada.get(PAGE).text
    added = ada.send(PAGE, url=API, name="<Invoices>", scopes="invoices:read invoices:write")
    assert added.status_code == 303
    shown = ada.get(added.headers["location"]).text
    assert "&lt;Invoices&gt;" in shown
    assert API in shown
    (row,) = list_resources(own_world.database)
    assert row["scopes"] == ["invoices:read", "invoices:write"]
    assert ada.send(PAGE, f"{PAGE}/remove", url=API).status_code == 303
    assert list_resources(own_world.database) == []
    assert ada.send(PAGE, f"{PAGE}/remove", url=API).status_code == 404


def test_what_is_no_api_is_refused_with_the_form_as_it_was(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    wrong = ada.send(PAGE, url="http://m.example", name="Kept")
    assert wrong.status_code == 400
    assert "use https" in wrong.text
    assert 'value="Kept"' in wrong.text
    assert list_resources(own_world.database) == []


def test_nobody_else_does(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    assert ada.post(PAGE, url=API).status_code in (400, 403), "a form of another page"
    stranger = own_world.browser()
    assert stranger.get(PAGE).headers["location"].endswith("/console/sign-in")
    assert stranger.post(PAGE, data={"url": API}).status_code == 303
    assert list_resources(own_world.database) == []


def test_the_console_keeps_where_a_website_returns_after_signing_out(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    page = f"/console/website?id={own_world.shop.client_id}"
    fields = {
        "id": own_world.shop.client_id,
        "name": "Shop",
        "redirect_uris": "https://shop.example/cb",
        "scopes": "openid",
        "post_logout_redirect_uris": "https://shop.example/out\nhttps://shop.example/bye",
    }
    assert ada.send(page, "/console/website", **fields).status_code == 303
    assert "https://shop.example/out\nhttps://shop.example/bye" in ada.get(page).text
    wrong = ada.send(page, "/console/website", **{**fields, "post_logout_redirect_uris": "/x"})
    assert (wrong.status_code, "post-logout redirect URI" in wrong.text) == (400, True)
