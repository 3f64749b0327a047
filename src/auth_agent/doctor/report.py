"""The commands' common part: reads the settings, examines, and reports to people or programs."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import IO
from urllib.parse import urlsplit

import msgspec

from auth_agent.doctor.checks.configuration import wrong_settings
from auth_agent.doctor.examination import examine
from auth_agent.doctor.finding import LEVELS, Finding, is_well, plain
from auth_agent.doctor.paper import Paper
from auth_agent.errors import SettingsError
from auth_agent.flow import drive
from auth_agent.flow.connections.proxies import Proxies
from auth_agent.url import normal_origin, url_problem
from auth_agent.website.config.settings import Settings

DOCTOR_EXIT_CODES = (
    "Exit codes: 0 all is well (there may be notes and warnings), 1 something is wrong, "
    "2 wrong usage."
)
SITE_HELP = (
    "The address that visitors of the website use, e.g. https://shop.example; default: its base "
    "URL."
)
_MARKS = {
    "ok": ("✓", "green"),
    "note": ("·", "cyan"),
    "warning": ("!", "yellow"),
    "failure": ("✗", "bold red"),
}


def read_site(url: str) -> str:
    """Returns an origin as browsers write it; raises `ValueError` with the problem."""
    problem = url_problem(url, origin=True)
    if problem is not None:
        raise ValueError(problem)
    return normal_origin(url)


def consult(
    read_settings: Callable[[], Settings],
    *,
    visited: str | None = None,
    as_json: bool = False,
    more: Iterable[Finding] = (),
    file: IO[str] | None = None,
    no_color: bool = False,
) -> int:
    """Prints the findings, `more` first, to `file` or stdout; returns the exit code."""
    paper = Paper(file, no_color=no_color)
    settings: Settings | None = None
    found = list(more)
    try:
        settings = read_settings()
    except SettingsError as error:
        found += wrong_settings(error)
    if settings is not None:
        found += _examine(settings, visited, None if as_json else paper)
    if as_json:
        (file or sys.stdout).write(json.dumps(msgspec.to_builtins(found), indent=2) + "\n")
    else:
        _tell(paper, settings, found)
    return 0 if is_well(found) else 1


def proxy_to(url: str) -> str | None:
    """Returns the environment's proxy between this machine and a server, without its user."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        setting = Proxies().proxy_for(parts.scheme, parts.hostname or "", port)
        return setting and plain(urlsplit(setting.url).netloc.rpartition("@")[2])
    except ValueError:  # neither URL is checked here
        return None


def _examine(settings: Settings, visited: str | None, paper: Paper | None) -> list[Finding]:
    flow = examine(settings, visited=visited, proxy=proxy_to(settings.issuer))
    try:
        if paper is None:
            return drive.run(flow)
        with paper.waiting("Checking the server and the website …"):
            return drive.run(flow)
    finally:
        drive.close()


def _tell(paper: Paper, settings: Settings | None, found: Sequence[Finding]) -> None:
    title = "With these settings the website does not start."
    if settings is not None:
        title = f"{settings.base_url}, a website of {settings.issuer}"
    _print(paper, "", title, "bold")
    for area, findings in groupby(found, key=lambda finding: finding.check.partition(".")[0]):
        paper.line()
        _print(paper, "", area.capitalize(), "bold")
        for finding in findings:
            mark, style = _MARKS[finding.level]
            _print(paper, f"  {mark} ", finding.message, mark_style=style)
            _print(paper, "    → ", finding.remedy, "" if _is_bad(finding) else "dim")
    paper.line()
    paper.line(*_summary(found))


def _print(paper: Paper, mark: str, text: str, style: str = "", *, mark_style: str = "dim") -> None:
    """Prints a finding; wraps between words alone, so that copied values stay whole."""
    width = max(paper.width - len(mark), 20)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        margin = " " * len(mark) if number else mark
        paper.line((margin, mark_style), (line, style))


def _is_bad(finding: Finding) -> bool:
    return finding.level in ("warning", "failure")


def _summary(found: Sequence[Finding]) -> Sequence[tuple[str, str]]:
    counts = {level: sum(finding.level == level for finding in found) for level in LEVELS}
    many = {
        level: f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}"
        for level in ("failure", "warning", "note")
        if counts[level]
    }
    listed = ", ".join(many.values())
    if counts["failure"]:
        return ("Something is wrong:", "bold red"), (f" {listed}.", "")
    if counts["warning"]:
        return ("Nothing is broken,", "bold yellow"), (f" but look at {listed}.", "")
    return ("All is well.", "bold green"), (f" {listed}." if listed else "", "")
