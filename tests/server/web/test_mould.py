"""Pages that are rendered once and filled at each request."""

from __future__ import annotations

import json
import re

import pytest

from auth_agent.server.registry import clients
from auth_agent.server.web.pages.mould import Mould
from tests.server.world import REDIRECT, World

HOSTILE = """</script><b title='"'> {{ 7 * 7 }} & Söhne %s \\1"""


def _rendered(own: object) -> str:
    assert isinstance(own, dict)
    return f"<a href='/{own['id']}'>{own['id']}</a> at {own['at']}, {HOSTILE}"


def test_a_filled_mould_is_the_rendered_page() -> None:
    mould = Mould(_rendered, words=("id",), numbers=("at",))
    for own in ({"id": "req_a-B", "at": 0}, {"id": "", "at": 1_800_000_000_000}):
        assert mould.fill(own).decode() == _rendered(own)


@pytest.mark.parametrize("value", ["<", "a b", "'", '"', "&", "é", "\n", "a\n", "1.5", "\0"])
def test_what_would_have_to_be_escaped_fits_no_mould(value: str) -> None:
    mould = Mould(_rendered, words=("id",), numbers=("at",))
    with pytest.raises(ValueError, match="escape"):
        mould.fill({"id": value, "at": 1})


def test_a_mould_is_never_filled_in_part() -> None:
    mould = Mould(_rendered, words=("id",), numbers=("at",))
    with pytest.raises(KeyError):
        mould.fill({"id": "a"})


def test_each_sign_in_of_a_website_has_its_own_waiting_page(own_world: World) -> None:
    """Opens two websites in turns: what is remembered of one page never shows on another."""
    world = own_world
    clients.change_client(world.database, world.other.client_id, 1, name=HOSTILE)
    other = {"client_id": world.other.client_id, "redirect_uri": "https://other.example/"}
    seen = set()
    for changes in ({}, other, {"scope": "openid"}, other, {}):
        page = world.browser().get("/authorize", params=world.request(**changes)).text
        block = re.search(r'id="auth-agent-request">(.*?)</script>', page)
        assert block
        told = json.loads(block[1])
        is_other = "client_id" in changes
        assert told["website"] == (HOSTILE if is_other else "The Shop")
        assert ("&lt;/script&gt;&lt;b title=&#39;&#34;&#39;&gt;" in page) is is_other
        assert told["redirect_uri"] == changes.get("redirect_uri", REDIRECT)
        assert told["scope"] == changes.get("scope", "openid profile email agent")
        ids = set(re.findall(r"req_[\w-]+", page))
        assert ids == {told["request_id"]}
        seen |= ids
    assert len(seen) == 5


def test_a_website_that_was_renamed_has_its_new_name_on_the_next_page(own_world: World) -> None:
    world = own_world
    world.open(world.browser())
    clients.change_client(world.database, world.shop.client_id, 1, name="New Shop")
    page = world.browser().get("/authorize", params=world.request()).text
    assert "New Shop" in page
    assert "The Shop" not in page


def test_the_waiting_page_counts_down_when_it_is_shown_again(own_world: World) -> None:
    world, browser = own_world, own_world.browser()
    request_id = world.open(browser)
    world.clock.forward(545)
    page = browser.get("/authorize/continue", params={"request_id": request_id}).text
    assert 'data-seconds="55">up to 1 minute<' in page
    world.clock.forward(-300)
    page = browser.get("/authorize/continue", params={"request_id": request_id}).text
    assert 'data-seconds="355">up to 6 minutes<' in page
