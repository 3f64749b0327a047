"""The server's cookies and a website's do not take each other's place on one host."""

from __future__ import annotations

import re
from typing import Any

import pytest

from auth_agent import Settings
from auth_agent.secret import Secret
from auth_agent.website.recognition.session import cookie_name
from tests.server.conftest import Build
from tests.server.world import World

OURS = re.compile(r"(?:__Host-)?auth_agent_(browser|administrator|owner|visitor)")


@pytest.mark.parametrize("base", ["http://127.0.0.1:8420", "https://id.example"])
def test_no_cookie_has_the_name_of_a_websites(build: Build, base: str) -> None:
    world = build(issuer=base, secrets=(Secret("s" * 32),))
    browser = world.browser()
    browser.base_url = base  # type: ignore[assignment]
    set_here: list[Any] = []
    for path in ("/authorize", "/console/sign-in", "/owner/sign-in"):
        answer = browser.get(path, params=world.request() if path == "/authorize" else {})
        set_here += [value.partition("=")[0] for value in answer.headers.get_list("set-cookie")]
    assert len(set_here) >= 2
    assert all(OURS.fullmatch(name) for name in set_here)
    settings = Settings(
        issuer=base, client_id="c", client_secret="s", secret="x" * 40, base_url=base
    )
    assert cookie_name(settings) not in set_here


def test_a_websites_session_beside_a_sign_in_harms_neither(world: World) -> None:
    """Sets a cookie of a website on the same host during the sign-in, and returns it."""
    browser = world.browser()
    request_id = world.open(browser)
    browser.cookies.set("auth_agent", "the website's session", domain="127.0.0.1")
    assert world.answer(request_id).status_code == 200
    assert world.poll(browser, request_id)["code"]
    again = world.browser()
    again.cookies.set("auth_agent", "A" * 43, domain="127.0.0.1")
    answer = again.get("/authorize", params=world.request())
    name, _, value = answer.headers["set-cookie"].partition("=")
    assert name == "auth_agent_browser"
    assert not value.startswith("A" * 43)
