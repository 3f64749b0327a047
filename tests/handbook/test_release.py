"""A release begins only if there is something to release, and changes two files."""

from __future__ import annotations

import datetime
import re
import subprocess

import pytest
import yaml
from handbook.contents import ROOT
from handbook.release import Refused, with_section, with_version

DAY = datetime.date(2027, 1, 2)


def test_the_version_is_written_once() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    changed = with_version(project, "99.0.0")
    assert changed.count('version = "99.0.0"') == 1
    assert len(changed.splitlines()) == len(project.splitlines())


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9", "1.0", "v1.0.0", "1.0.0 ", ""])
def test_no_version_but_a_newer_one_is_taken(version: str) -> None:
    with pytest.raises(Refused):
        with_version('version = "0.1.0"\n', version)


def test_what_was_unreleased_comes_under_the_version() -> None:
    changed = with_section("# C\n\n## [Unreleased]\n\n### Added\n\n- a\n", "0.2.0", DAY)
    assert "## [Unreleased]\n\n## [0.2.0] - 2027-01-02\n\n### Added\n\n- a\n" in changed


@pytest.mark.parametrize(
    "changelog", ["# C\n", "## [Unreleased]\n", "## [Unreleased]\n\n## [0.1.0]\n\n- a\n"]
)
def test_a_release_without_a_change_is_refused(changelog: str) -> None:
    with pytest.raises(Refused, match="nothing under"):
        with_section(changelog, "0.2.0", DAY)


def test_the_target_checks_and_tests_before_it_builds() -> None:
    dry = subprocess.run(
        ["make", "-n", "release", "VERSION=9.9.9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    steps = [
        "handbook.release 9.9.9",
        "-m handbook\n",
        "ruff check",
        "zensical",
        "pytest",
        "-m build",
    ]
    places = [dry.index(step) for step in steps]
    assert places == sorted(places)


def test_the_hooks_before_a_commit_are_targets_and_fetch_nothing() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    makefile = (ROOT / "Makefile").read_text()
    for hook in repo["hooks"]:
        assert re.search(rf"^{hook['entry'].removeprefix('make ')}:", makefile, re.MULTILINE)
