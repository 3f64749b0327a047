"""Known APIs: who makes one known, and how URLs are compared."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from auth_agent.server.registry.clients import add_client
from auth_agent.server.registry.resources import (
    add_resource,
    find_resources,
    list_resources,
    remove_resource,
    resource_scopes,
)
from auth_agent.server.registry.rules import RegistrationError
from auth_agent.server.storage.tables.parties import client
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.tokens import endings
from auth_agent.server.web.urls import is_within, same_address
from tests.server.world import World

NOW = 1_800_000_000

API = "https://m.example/mcp"


def _found(world: World, *urls: str) -> dict[str, str]:
    with world.database.read() as connection:
        found = find_resources(connection, urls)
    return {url: one.name for url, one in found.items()}


def test_an_api_from_birth_to_removal(own_world: World) -> None:
    database = own_world.database
    made = add_resource(
        database, API, now=NOW, name="Invoices", scopes=["invoices:read", "invoices:write"]
    )
    assert (made.url, made.name) == (API, "Invoices")
    assert add_resource(database, "https://n.example", now=NOW).name == "n.example"
    with pytest.raises(RegistrationError, match="registered already"):
        add_resource(database, "https://M.example:443/mcp", now=NOW)
    first, _second = list_resources(database)
    assert (first["url"], first["scopes"]) == (API, ["invoices:read", "invoices:write"])
    with database.read() as connection:
        assert resource_scopes(connection) == {"invoices:read", "invoices:write"}
    assert _found(own_world, API, "https://else.example") == {API: "Invoices"}
    assert remove_resource(database, "https://m.example:443/mcp", NOW) is True
    assert remove_resource(database, API, NOW) is False
    assert _found(own_world, API) == {}
    with database.read() as connection:
        lines = select(audit.c.outcome).where(audit.c.kind == "resource").order_by(audit.c.id)
        assert connection.execute(lines).scalars().all() == ["added", "added", "removed"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "http://m.example"}, "use https"),
        ({"url": "m.example"}, "not an https URL"),
        ({"url": API + "#x"}, "fragment"),
        ({"url": "https://a@m.example"}, "user name"),
        ({"url": API + "/a b"}, "percent-encode"),
        ({"url": API + "x" * 2_048}, "longer than"),
        ({"name": "a\nb"}, "one line"),
        ({"scopes": ["a b"]}, "one word"),
    ],
)
def test_what_is_no_api_is_refused(own_world: World, change: dict[str, object], named: str) -> None:
    with pytest.raises(RegistrationError, match=named):
        add_resource(own_world.database, now=NOW, **{"url": API, **change})  # type: ignore[arg-type]
    assert list_resources(own_world.database) == []


def test_a_websites_resources_are_known_until_it_is_removed(own_world: World) -> None:
    site = add_client(
        own_world.database, "Site", ["https://site.example/cb"], resources=[API], now=1
    )
    assert _found(own_world, API, "https://M.example/mcp") == {
        API: "Site",
        "https://M.example/mcp": "Site",
    }
    endings.remove_client(own_world.database, site.client_id, NOW)
    assert _found(own_world, API) == {}
    with own_world.database.read() as connection:
        assert connection.execute(select(client.c.resources)).scalars().all()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (API, API, True),
        (API, "HTTPS://M.EXAMPLE:443/mcp", True),
        ("https://m.example", "https://m.example/", True),
        (API, API + "/", False),
        (API, "https://m.example/MCP", False),
        (API, "https://m.example/mcpx", False),
        (API, API + "?x", False),
        (API, "http://m.example/mcp", False),
        (API, "https://m.example:444/mcp", False),
        (API, "https://m.example.evil.example/mcp", False),
        (API, "https://[", False),
        (API, "nonsense", False),
        ("com.example:/x", "com.example:/y", False),
    ],
)
def test_addresses_are_compared_as_urls(one: str, other: str, same: bool) -> None:
    assert same_address(one, other) is same
    assert same_address(other, one) is same


@pytest.mark.parametrize(
    ("url", "within"),
    [
        ("https://shop.example", True),
        ("https://shop.example/", True),
        ("https://SHOP.example:443/mcp?x", True),
        ("https://shop.example.evil.example/mcp", False),
        ("https://shop.example@evil.example/mcp", False),
        ("https://shop.example\\@evil.example/", False),
        ("https://evil.example/https://shop.example", False),
        ("http://shop.example/mcp", False),
        ("https://shop.example:8443/mcp", False),
        ("https://shop.example/#x", False),
        ("https://shop.example/a b", False),
        ("https://sub.shop.example/", False),
        ("shop.example/mcp", False),
        ("https://[", False),
    ],
)
def test_what_lies_below_an_origin(url: str, within: bool) -> None:
    assert is_within(url, "https://shop.example") is within
