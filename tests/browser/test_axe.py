"""axe-core looks at every page that the other modules of this room look at; here it has to see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.looks import axe_core, violations


def test_axe_core_sees_what_is_wrong(chromium: Any) -> None:
    source = axe_core()
    if source is None:
        pytest.skip("npm cannot install axe-core here (Debian: apt-get install npm)")
    page = chromium.new_page()
    page.set_content("<html lang=en><title>T</title><main><h1>T</h1><input></main></html>")
    (found,) = violations(page, source)
    assert found.startswith("label: <input>")
    page.close()
