"""A website's own style on the pages that the middleware shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from auth_agent.errors import SettingsError
from auth_agent.testing import test_settings
from auth_agent.website.web.button import CSS
from auth_agent.website.web.replies import STYLE

PAGE = Path(__file__).parents[2] / "docs/websites/look.md"


def shown(make_site, **settings):
    """The sign-out page and its policy; every page is made by the same function."""
    reply = make_site(**settings).request("/auth-agent/logout")
    return reply.body.decode(), dict(reply.headers)["Content-Security-Policy"]


def test_without_a_stylesheet_nothing_is_loaded(make_site):
    body, policy = shown(make_site)
    assert "stylesheet" not in body
    assert "font-src" not in policy
    assert "'self'" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("sheet", "source"),
    [
        ("/static/own.css?v=2&w", "'self'"),
        ("https://CDN.example:443/own.css", "https://cdn.example"),
    ],
)
def test_the_own_stylesheet_comes_last_and_may_load_from_its_origin(make_site, sheet, source):
    body, policy = shown(make_site, stylesheet=sheet)
    href = sheet.replace("&", "&amp;")
    assert f'</style><link rel="stylesheet" href="{href}"></head>' in body
    allowed = dict(each.split(" ", 1) for each in policy.split("; "))
    assert allowed["style-src"].endswith(f"' {source}")
    assert allowed["font-src"] == source
    assert allowed["img-src"] == f"data: {source}"
    assert allowed["default-src"] == "'none'"
    assert "script-src" not in allowed


@pytest.mark.parametrize(
    "sheet",
    [
        "//evil.example/own.css",
        "/\\evil.example/own.css",
        "own.css",
        "http://shop.example/own.css",
        "/own.css#x",
        "/own style.css",
        '/own.css">',
        "https://cdn.example;script-src *",
        "data:text/css,*{}",
    ],
)
def test_another_address_stops_the_start(sheet):
    with pytest.raises(SettingsError, match="AUTH_AGENT_STYLESHEET"):
        test_settings(stylesheet=sheet)


def test_the_documentation_names_every_property():
    page = PAGE.read_text()
    light, dark = STYLE.partition("@media")[::2]
    for name, value in re.findall(r"(--auth-agent-[a-z-]+):([^;}]+)", light):
        assert re.search(rf"`{name}`[^|]*\| `{re.escape(value).replace(',', ', ?')}` \|", page), (
            name
        )
    for name, value in re.findall(r"(--auth-agent-[a-z-]+):([^;}]+)", dark.partition("*{")[0]):
        assert re.search(rf"`{name}`.*\| `{re.escape(value)}` \|$", page, re.MULTILINE), name
    for name in re.findall(r"var\(--auth-agent-button(-[a-z]+)", CSS):
        assert f"`{name}`" in page or f"`--auth-agent-button{name}`" in page
