"""A person looks over an agent's shoulder: every example site, page by page, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import EXAMPLES, run_example
from tests.browser.test_sign_in import approve

PAGES = ("/", "/orders", "/refunds")


@pytest.fixture(params=EXAMPLES)
def shop(request, auth_server):
    with run_example(request.param, auth_server) as world:
        yield world


@pytest.fixture
def page(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    context.close()


def test_a_person_sees_who_is_signed_in_and_what_that_opens(shop, page):
    page.goto(shop.site)
    who = page.get_by_role("list", name="Who is signed in")
    expect(page.get_by_role("heading", name="Mug")).to_be_visible()
    expect(who).to_contain_text("No agent is signed in")
    expect(who).to_contain_text("No person is signed in")

    page.get_by_role("button", name="I am Ann").click()
    expect(who).to_contain_text("A person is signed in")
    expect(who).to_contain_text("No agent is signed in")

    page.get_by_role("link", name="Orders").click()  # a person's name opens no door
    approve(shop, page)
    page.wait_for_url(f"{shop.site}/orders")
    expect(page.get_by_role("cell", name="On its way")).to_be_visible()
    expect(who).to_contain_text("A person is signed in")
    expect(who).to_contain_text("An agent is signed in")
    expect(who).to_contain_text("Shopper · says it is claude-opus-4")
    expect(who).to_contain_text("for owner@example.com")

    page.get_by_role("link", name="Refunds").click()
    expect(page.get_by_role("heading", name="Refunds")).to_be_visible()

    page.get_by_role("button", name="Sign out the person").click()
    expect(who).to_contain_text("No person is signed in")
    expect(who).to_contain_text("An agent is signed in")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in with Auth Agent").wait_for()
    assert page.complaints == []


def test_the_shop_fits_can_be_read_and_used_by_keyboard(world, page):
    """Covers a telephone and both colour schemes; the example sites share these pages."""
    page.goto(f"{world.site}/orders")
    approve(world, page)
    page.wait_for_url(f"{world.site}/orders")
    for width in (1280, 375):
        page.set_viewport_size({"width": width, "height": 800})
        for path in PAGES:
            page.goto(f"{world.site}{path}")
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                faint = page.evaluate(FAINT_TEXT)
                assert faint == [], (path, scheme)
            controls = page.locator("a, button").count()
            reached = set()
            for _ in range(controls):
                page.keyboard.press("Tab")
                reached.add(page.evaluate("document.activeElement.outerHTML"))
            assert len(reached) == controls, path


# Texts whose contrast with what is behind them is under 4.5 (WCAG 1.4.3).
FAINT_TEXT = """() => {
  const rgb = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = rgb(colour).map(c => c / 255)
      .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own) continue;
    const pair = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < 4.5) faint.push(node.textContent + ' ' + contrast.toFixed(2));
  }
  return faint;
}"""
