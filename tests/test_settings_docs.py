"""docs/reference/settings.md names every setting, with the default that the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from auth_agent.secret import Secret
from auth_agent.server.settings import VARIABLES, ServerSettings
from auth_agent.website.config.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/reference/settings.md").read_text()
_ROW = re.compile(r"^\| `(AUTH_AGENT_\w+)` \| (?:`([^`]*)` )?\| (\S.*) \|$", re.MULTILINE)
_LITERAL = re.compile(r"[\"'](AUTH_AGENT_(?:AGENT_[A-Z_]+|ADMIN_[A-Z_]+))[\"']")


def _table(heading: str) -> dict[str, str]:
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = _ROW.findall(section)
    assert len(rows) == section.count("\n| `"), "a row is not written like the others"
    return {variable: default for variable, default, _ in rows}


def _shown(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else str(value)


def _defaults(kind: Any) -> dict[str, str]:
    return {
        field.name: "" if field.required else _shown(field.default)
        for field in msgspec.structs.fields(kind)
    }


def test_every_setting_of_a_website_is_in_the_table() -> None:
    named = {ENV_PREFIX + name.upper(): value for name, value in _defaults(Settings).items()}
    assert _table("A website") == named


def test_every_setting_of_the_server_is_in_the_table() -> None:
    defaults = _defaults(ServerSettings)
    assert _table("The server") == {name: defaults[field] for name, field in VARIABLES.items()}


@pytest.mark.parametrize("room", ["cli", "sdk"])
def test_every_variable_that_tools_read_is_named(room: str) -> None:
    read = set()
    for path in (ROOT / "src/auth_agent" / room).rglob("*.py"):
        read |= set(_LITERAL.findall(path.read_text()))
    assert read
    assert read <= set(re.findall(r"`(AUTH_AGENT_\w+)`", TEXT))


def test_no_variable_of_an_agents_tools_is_invented() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src/auth_agent").rglob("*.py"))
    assert all(name in sources for name in _table("An agent's tools"))
