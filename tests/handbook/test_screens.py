"""The pictures of the console: those that pages show are there, small, and no others."""

from __future__ import annotations

from handbook.screenshots import FOLDER, named


def test_each_picture_is_shown_and_small() -> None:
    found = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(found) == named()
    assert max(found.values()) < 100_000
    assert sum(found.values()) < 500_000
