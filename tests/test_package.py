"""The package itself: what it offers, and what it does not drag in."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import auth_agent

ROOT = Path(__file__).parent.parent

# What users type; every other module may move.
PUBLIC = {
    "auth_agent",
    "auth_agent.asgi",
    "auth_agent.cli",
    "auth_agent.errors",
    "auth_agent.sdk",
    "auth_agent.sdk.browser_use",
    "auth_agent.secret",
    "auth_agent.server",
    "auth_agent.testing",
    "auth_agent.url",
    "auth_agent.wsgi",
    "auth_agent_django",
    "auth_agent_django.accounts",
    "auth_agent_django.accounts.models",
    "auth_agent_django.rest_framework",
    "auth_agent_django.testing",
    "auth_agent_flask",
    "auth_agent_mcpserver",
    "auth_agent_starlette",
    "auth_agent_starlette.fastapi",
}
FACES = {
    "auth_agent",
    "auth_agent.doctor",
    "auth_agent.sdk",
    "auth_agent.server",
    "auth_agent.testing",
}
IMPORT = re.compile(r"^\s*(?:from|import)\s+(auth_agent[\w.]*)", re.MULTILINE)

HEAVY = (
    "asyncio",
    "anyio",
    "httpx2",
    "starlette",
    "jwt",
    "authlib",
    "rich",
    "typer",
    "sqlalchemy",
    "http_sf",
)


def test_offers_what_it_promises():
    for name in auth_agent.__all__:
        assert getattr(auth_agent, name).__module__.startswith("auth_agent")
    promised = {"Agent", "AuthError", "RelyingParty", "Requirement", "Settings"}
    assert promised <= set(auth_agent.__all__)


def test_importing_it_loads_no_framework_no_event_loop_and_no_http_client():
    code = f"import sys, auth_agent; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.strip() == "[]"


def test_every_error_is_an_auth_error_with_a_code_and_a_status():
    for name in auth_agent.__all__:
        value = getattr(auth_agent, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, auth_agent.AuthError)
            assert value.default_code
            assert 400 <= value.default_status < 600


def test_nothing_secret_has_a_repr(browser, server):
    from auth_agent.flow.exchange import HttpRequest
    from auth_agent.protocol.token import parse_tokens
    from auth_agent.website.recognition.cookie_sessions import CookieSessions
    from auth_agent.website.sign_in.queries import read_callback
    from tests.website.browser import ValueVisit

    url = browser.begin()
    browser.end(url)
    token = next(r for r in server.requests if r.url.endswith("/token"))
    assert "code" not in repr(token)
    visit = ValueVisit("GET", "/auth-agent/callback?code=ac_secret&state=s", {})
    assert "ac_secret" not in repr(read_callback(visit))
    assert "q=secret" not in repr(HttpRequest("GET", "https://x.example/?q=secret"))
    ((name, value),) = browser.cookies.items()
    cookie = f"{name}={value}"
    site = browser.relying_party._site
    known = CookieSessions(site).read(ValueVisit("GET", "/", {"cookie": cookie}), site.clock())
    session = known.session
    assert session.refresh_token not in repr(session)
    assert session.refresh_token not in repr(known)
    from auth_agent.testing.provider import json_response

    answer = json_response(
        200, {"access_token": "at_secret", "token_type": "Bearer", "id_token": "x"}
    )
    assert "at_secret" not in repr(parse_tokens(answer))
    assert "at_secret" not in repr(answer)
    for value in (
        token,
        answer,
        parse_tokens(answer),
        session,
        known,
        read_callback(visit),
    ):
        shown = "".join(str(part) for part in value.__rich_repr__())
        assert shown == repr(value), "Rich shows no more than repr does"


def _documents():
    for folder in ("examples", "docs"):
        for suffix in ("*.py", "*.md"):
            yield from (ROOT / folder).rglob(suffix)
    yield ROOT / "README.md"


def test_documents_and_examples_import_nothing_but_public_modules():
    found = {
        (str(path.relative_to(ROOT)), module)
        for path in _documents()
        for module in IMPORT.findall(path.read_text())
    }
    assert {entry for entry in found if entry[1] not in PUBLIC} == set()
    assert len(found) > 20


@pytest.mark.parametrize("module", sorted(PUBLIC - {"auth_agent_django.accounts.models"}))
def test_a_public_module_keeps_its_path_and_its_names(module):
    loaded = importlib.import_module(module)
    for name in getattr(loaded, "__all__", ()):
        assert hasattr(loaded, name)


def test_names_that_users_type_stay_where_they_are():
    from auth_agent import asgi, may_link, testing, wsgi  # noqa: F401

    assert {"AuthAgentMiddleware", "Entry", "Reply", "agent_of"} <= set(asgi.__all__)
    assert {"AuthAgentMiddleware", "Entry", "Reply", "agent_of"} <= set(wsgi.__all__)
    assert {"ABSENT", "FakeServer", "json_response"} <= set(testing.__all__)


def test_a_room_has_one_sentence_on_its_door_and_imports_nothing():
    source = ROOT / "src"
    for path in (source / "auth_agent").rglob("__init__.py"):
        module = ".".join(path.parent.relative_to(source).parts)
        tree = ast.parse(path.read_text())
        sentence = ast.get_docstring(tree)
        assert sentence, f"{module} has no sentence"
        if module not in FACES and module != "auth_agent.cli":
            assert len(tree.body) == 1, f"{module} does more than name itself"
            assert "\n" not in sentence
