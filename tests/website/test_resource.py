"""Protected resource metadata: where clients look for it, and who may read it."""

from __future__ import annotations

import json

import pytest

from auth_agent import Settings
from auth_agent.website.policy.resource import metadata_paths, metadata_url
from auth_agent.website.web.outcome import Pass

WELL_KNOWN = "/.well-known/oauth-protected-resource"
API = {"issuer": "https://auth.example", "base_url": "https://m.example", "sign_in": False}


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({}, ("",)),
        ({"audience": "https://m.example/"}, ("",)),
        ({"audience": "https://m.example/mcp"}, ("/mcp", "")),
        ({"audience": "https://m.example/mcp/"}, ("/mcp/", "/mcp", "")),
        ({"audience": "https://m.example/a/b"}, ("/a/b", "")),
    ],
)
def test_it_stands_at_the_root_and_where_the_path_is_inserted(changes, paths):
    settings = Settings(**{**API, **changes})
    assert metadata_paths(settings) == tuple(WELL_KNOWN + path for path in paths)
    assert metadata_url(settings) == f"https://m.example{WELL_KNOWN}{paths[0]}"


def test_a_website_below_a_path_answers_where_its_challenges_point(make_site):
    site = make_site(prefix="/shop/auth-agent", protect="/shop/*")
    refused = dict(site.request("/shop/me", headers={"accept": "application/json"}).headers)
    place = f"/shop{WELL_KNOWN}"
    assert f'resource_metadata="https://shop.example{place}"' in refused["WWW-Authenticate"]
    assert json.loads(site.request(place).body)["resource"] == "https://shop.example"


@pytest.mark.parametrize("path", [WELL_KNOWN, f"{WELL_KNOWN}/mcp"])
def test_the_same_document_stands_at_each_address(make_site, path):
    site = make_site(audience="https://shop.example/mcp", api_scopes="reports:read, refunds:write")
    assert json.loads(site.request(path).body) == {
        "resource": "https://shop.example/mcp",
        "authorization_servers": ["https://auth.example"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
        "scopes_supported": ["reports:read", "refunds:write"],
    }
    assert ("Access-Control-Allow-Origin", "*") in site.request(path).headers


def test_no_other_address_answers(make_site):
    site = make_site(audience="https://shop.example/mcp")
    assert site.request(f"{WELL_KNOWN}/other") == Pass(None)
    assert site.request(f"{WELL_KNOWN}/mcp/x") == Pass(None)


def test_scopes_are_left_out_where_the_api_has_none(browser):
    assert "scopes_supported" not in json.loads(browser.request(WELL_KNOWN).body)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("MCP-Protocol-Version", "MCP-Protocol-Version"),
        ("authorization, mcp-protocol-version,x-y", "authorization, mcp-protocol-version,x-y"),
        (None, None),
        ("x\r\nSet-Cookie: a=b", None),
        ("a b", None),
        (",".join(["x" * 100] * 11), None),
    ],
)
def test_a_preflight_is_granted_what_it_asks_for(browser, asked, granted):
    headers = {"origin": "https://app.example", "access-control-request-method": "GET"}
    if asked is not None:
        headers["access-control-request-headers"] = asked
    reply = browser.request(WELL_KNOWN, method="OPTIONS", headers=headers)
    found = dict(reply.headers)
    assert (reply.status, reply.body) == (200, b"")
    assert found["Access-Control-Allow-Origin"] == "*"
    assert "GET" in found["Access-Control-Allow-Methods"]
    assert found.get("Access-Control-Allow-Headers") == granted
    assert "Access-Control-Allow-Credentials" not in found
