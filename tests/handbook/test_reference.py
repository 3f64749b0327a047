"""The generated reference is complete: what the code has is on its page, with a meaning."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from handbook import claims, commands, errors, events, settings
from handbook.contents import ROOT
from handbook.python_api import MODULES, python_api
from handbook.reading import field_docs, sources
from handbook.remedies import REMEDIES

from auth_agent.cli.agent import options
from auth_agent.cli.agent.options import VARIABLES as AGENT_VARIABLES
from auth_agent.server.bounds import NUMBERS
from auth_agent.server.config.fields import Fields as ServerFields
from auth_agent.server.settings import VARIABLES
from auth_agent.server.storage.audit import KINDS
from auth_agent.server.web import counters
from auth_agent.website.config.fields import Fields as WebsiteFields
from auth_agent.website.config.settings import ENV_PREFIX
from auth_agent.website.events import EVENTS
from tests.test_package import PUBLIC

_LITERAL = re.compile(r"[\"'](AUTH_AGENT_(?:AGENT_[A-Z_]+|ADMIN_[A-Z_]+))[\"']")


@pytest.mark.parametrize("kind", [WebsiteFields, ServerFields])
def test_every_setting_says_what_it_means(kind: Any) -> None:
    docs = field_docs(kind)
    assert list(docs) == list(kind.__struct_fields__)
    assert [name for name, text in docs.items() if not text.endswith(".")] == []


def test_a_setting_is_shown_with_its_default_and_its_bounds() -> None:
    low, high = NUMBERS["code_lifetime"]
    entry = settings.server().partition("### `AUTH_AGENT_SERVER_CODE_LIFETIME`")[2]
    assert entry.split("\n\n")[2].strip() == f"Default: `60`. From {low} to {high}."
    entry = settings.website().partition("### `AUTH_AGENT_PREFIX`")[2]
    assert entry.split("\n\n")[2].strip() == "Default: `/auth-agent`."


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (settings.website, {ENV_PREFIX + name.upper() for name in WebsiteFields.__struct_fields__}),
        (settings.server, set(VARIABLES)),
    ],
)
def test_every_setting_is_on_its_page(page: Any, names: set[str]) -> None:
    assert set(re.findall(r"^### `(AUTH_AGENT_\w+)`", page(), re.MULTILINE)) == names


@pytest.mark.parametrize("room", ["cli", "sdk"])
def test_every_variable_that_tools_read_is_named(room: str) -> None:
    read = set()
    for path in (ROOT / "src/auth_agent" / room).rglob("*.py"):
        read |= set(_LITERAL.findall(path.read_text()))
    assert read
    assert read <= {*AGENT_VARIABLES, "AUTH_AGENT_ADMIN_PASSWORD"}
    assert "AUTH_AGENT_ADMIN_PASSWORD" in settings.server()


def test_no_variable_of_an_agents_tools_is_invented() -> None:
    paths = set((ROOT / "src/auth_agent").rglob("*.py")) - {Path(options.__file__)}
    texts = "".join(path.read_text() for path in paths)
    assert all(name in texts or f'"{name[17:]}"' in texts for name in AGENT_VARIABLES)


def test_every_command_and_every_option_is_described() -> None:
    page = commands.commands()
    for words, command in commands.tree():
        assert f"\n## auth-agent {words}\n" in page
        assert command.help, words
        for each in command.params:
            assert each.help or each.name == "help", (words, each.name)
            assert f"`{each.opts[0]}`" in page or f"`{each.opts[0].upper()}`" in page


def test_every_public_module_is_described_or_needs_no_page() -> None:
    without = {
        *("auth_agent.cli", "auth_agent.errors", "auth_agent.secret", "auth_agent.url"),
        *("auth_agent.sdk.browser_use", "auth_agent_django.testing"),
        *("auth_agent_django.accounts", "auth_agent_django.accounts.models"),
    }
    assert set(MODULES) == PUBLIC - without
    assert "### `RelyingParty`" in python_api()


def test_the_python_page_shows_no_address_of_memory() -> None:
    assert not re.search(r"0x[0-9a-f]{6}", python_api())


def test_every_event_of_a_website_is_described_and_written_somewhere() -> None:
    assert set(events.website_events(ROOT)) == set(EVENTS)


def test_every_kind_in_the_audit_is_described_and_written_somewhere() -> None:
    room = ROOT / "src/auth_agent/server"
    recorded = {
        word
        for tree in sources(room).values()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "kind"
        for word in events.texts(node.value)
    }
    assert {"approval", "agent", "revocation"} <= recorded
    everything = recorded | set(events.server_events(ROOT))
    assert everything - set(KINDS) == set(), "add it to KINDS, with its meaning"
    text = "".join(path.read_text() for path in room.rglob("*.py"))
    assert [kind for kind in KINDS if text.count(f'"{kind}"') < 2] == []


def test_the_metrics_are_those_that_are_exposed() -> None:
    counters.count_event("token", "issued")
    counters.observe_request("/token", 200, 0.1)
    exposed = counters.exposition().decode()
    for name, labels, _ in counters.families():
        assert name in exposed
        assert labels


def test_every_claim_of_a_token_has_a_meaning() -> None:
    for issued in claims.issued():
        assert set(issued) <= set(claims.MEANING)
        assert {"iss", "sub", "aud", "exp", "email", "permissions", "acr"} <= set(issued)


def test_every_error_code_has_a_cause_and_a_remedy() -> None:
    found = errors.codes(ROOT)
    assert len(found) > 100
    assert set(found) == set(REMEDIES)
    page = errors.error_codes(ROOT)
    for code in found:
        entry = page.partition(f"\n### {code}\n")[2].partition("\n### ")[0]
        assert re.match(r"\nCause: .+\. Remedy: .+\. `\w+`, \d{3}( or \d{3})*\.\n", entry), code


def test_every_answer_of_a_website_has_its_code_on_the_page() -> None:
    found = errors.replied(ROOT)
    assert {"login_required", "token_required", "not_a_navigation"} <= found
    assert found - set(errors.codes(ROOT)) == set(), "add it to REPLIES and to REMEDIES"
    page = errors.error_codes(ROOT)
    assert "`Refusal`, 401.\n" in page.partition("\n### login_required\n")[2].partition("###")[0]


def test_a_code_without_a_text_stops_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(REMEDIES, "state_unknown")
    with pytest.raises(KeyError, match="state_unknown"):
        errors.error_codes(ROOT)
    monkeypatch.setitem(REMEDIES, "state_unknown", ("a", "b"))
    monkeypatch.setitem(REMEDIES, "no_such_code", ("a", "b"))
    with pytest.raises(KeyError, match="no_such_code"):
        errors.error_codes(ROOT)


def test_a_status_is_the_one_that_is_sent() -> None:
    page = errors.error_codes(ROOT)
    refused = page.partition("\n### agent_refused\n")[2].partition("\n### ")[0]
    assert refused.endswith("`SignInRefused`, 403.\n")
