"""Looks at a page as a person would: nothing hangs over the edge and everything can be read."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.npm import installed

AXE = "axe-core@4.14.1"
_VIOLATIONS = """
async (rules) => {
  const only = rules.length ? { runOnly: { type: "rule", values: rules } } : {};
  const found = await axe.run({ iframes: false, resultTypes: ["violations"], ...only });
  const told = nodes => nodes.slice(0, 5).map(node => node.html.slice(0, 160)).join(" | ");
  return found.violations.map(rule => rule.id + ": " + told(rule.nodes));
}
"""
# What another scheme and width can change; all rules are looked at once.
_OF_LOOKS = ("color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block")
# A folder for pictures of every page, for people who want to look at them.
PICTURES = os.environ.get("AUTH_AGENT_PICTURES")

Look = tuple[str, int]  # colour scheme, width in CSS pixels

_FAULTS = """
([scheme, width]) => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  if (document.readyState !== 'complete') bad.push('looked at too early');
  for (const link of document.querySelectorAll('link[rel=stylesheet]')) {
    if (!link.sheet || !link.sheet.cssRules.length) bad.push('no style: ' + link.href);
  }
  if (innerWidth !== width) bad.push('the window is ' + innerWidth + ' pixels wide');
  if (!matchMedia('(prefers-color-scheme: ' + scheme + ')').matches) bad.push('not ' + scheme);
  const over = document.documentElement.scrollWidth - innerWidth;
  if (over > 0) bad.push(over + ' pixels too wide');
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length || e.closest('.hidden, .skip, thead')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(e.tagName + ' ' + e.textContent.slice(0, 40));
  }
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
    if (!e.labels.length) bad.push('no label: ' + e.name);
  }
  return bad;
}
"""


def follow(page: Any, element: Any) -> None:
    """Clicks what leads to another page, and waits until that page has loaded with its style."""
    with page.expect_navigation():
        element.click()


def look(page: Any, what: str, looks: Sequence[Look]) -> None:
    """Asserts, in each colour scheme and width, that the loaded page fits and can be read."""
    for scheme, width in looks:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(_FAULTS, [scheme, width]) == [], (what, scheme, width)
        if (scheme, width) in (looks[0], looks[-1]) and (source := axe_core()):
            rules = () if (scheme, width) == looks[0] else _OF_LOOKS
            assert violations(page, source, *rules) == [], (what, scheme, width)
        picture(page, what, (scheme, width))


@functools.cache
def axe_core() -> str | None:
    """The source of axe-core, which npm installs; None where it cannot."""
    folder = installed(AXE)
    return folder and (folder / "node_modules/axe-core/axe.min.js").read_text()


def violations(page: Any, source: str, *rules: str) -> list[str]:
    """What axe-core finds on the loaded page, by these rules or by all."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(source)
    found: list[str] = page.evaluate(_VIOLATIONS, rules)
    return found


def picture(page: Any, what: str, look: Look) -> None:
    """Keeps a picture of the page, if somebody wants pictures."""
    if PICTURES:
        name = re.sub(r"\W+", "-", what.partition("?")[0]).strip("-")
        page.screenshot(path=Path(PICTURES) / f"{name}-{look[0]}-{look[1]}.png", full_page=True)
