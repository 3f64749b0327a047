"""Mistakes of a beginner: each is provoked by a test that sees cause and remedy.

A row without a place is provoked here; the other rows name the test that does it.
"""

from __future__ import annotations

import ast
import logging
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import httpx2
import pytest

from auth_agent import Requirement, TokenRefused
from auth_agent.protocol.jose.jws import check_times
from auth_agent.server.security.guessing.limits import Limits
from auth_agent.server.settings import ServerSettings
from tests.services import free_port
from tests.website.browser import entry
from tests.world import serve_auth_server

ROOT = Path(__file__).parent.parent

MISTAKES = {
    1: (
        "a stranger's package is installed",
        "test_distribution:test_the_name_stands_once_and_the_documents_agree",
    ),
    2: (
        "a command without the extra server",
        "test_distribution:test_a_command_that_needs_an_extra_names_it_in_one_line",
    ),
    3: (
        "the server's Redis without the extra",
        "test_messages:test_a_missing_extra_is_one_line",
    ),
    4: (
        "PostgreSQL without the extra",
        "test_messages:test_a_missing_extra_is_one_line",
    ),
    5: (
        "a website's store without the extra",
        "test_messages:test_a_website_s_store_without_its_extra",
    ),
    6: (
        "a framework is missing",
        "test_messages:test_a_framework_that_is_missing",
    ),
    7: (
        "no variables",
        "website/test_settings:test_an_empty_environment_names_them_all",
    ),
    8: (
        "a misspelt variable of a website",
        "website/test_settings:test_each_mistake_is_named_with_its_remedy",
    ),
    9: (
        "a misspelt variable of the server",
        "test_environment:test_a_misspelt_setting_of_the_server_stops_it",
    ),
    10: (
        "a short secret",
        "website/test_settings:test_each_mistake_is_named_with_its_remedy",
    ),
    11: (
        "a public address on http",
        "website/test_settings:test_each_mistake_is_named_with_its_remedy",
    ),
    12: (
        "a wrong redirect URI",
        "test_messages:test_a_wrong_redirect_uri_is_shown",
    ),
    13: (
        "a wrong client secret",
        "doctor/test_command:test_a_wrong_secret",
    ),
    14: (
        "a wrong client id",
        "test_messages:test_a_wrong_client_id_is_shown",
    ),
    15: (
        "localhost and 127.0.0.1",
        "website/test_sign_in:test_another_host_names_both",
    ),
    16: (
        "two secrets behind one address",
        "doctor/test_workers:test_workers_with_different_secrets_are_found",
    ),
    17: (
        "cookies are blocked",
        "browser/test_sign_in:test_a_browser_that_keeps_no_cookies_is_told_so",
    ),
    18: (
        "the website's clock is wrong",
        "test_messages:test_a_wrong_clock_names_its_seconds",
    ),
    19: (
        "the agent's clock is wrong",
        "sdk/test_entry_points:test_a_wrong_clock_is_told_with_its_seconds",
    ),
    20: (
        "a wrong agent id or secret",
        "sdk/test_sign_in:test_wrong_credentials",
    ),
    21: (
        "a path that the proxy does not pass on",
        "doctor/test_command:test_the_middleware_is_missing",
    ),
    22: (
        "the port is taken",
        "cli/server/test_server_commands:test_a_taken_port_is_found_before_anything_is_promised",
    ),
    23: (
        "an old Python",
        "test_messages:test_an_old_python_is_named_before_anything_is_installed",
    ),
    24: (
        "a database that cannot be used",
        "test_messages:test_a_database_that_cannot_be_used",
    ),
    25: (
        "the server's Redis is away",
        "test_messages:test_a_redis_that_is_away_is_logged",
    ),
    26: (
        "the website's Redis is away",
        "doctor/test_command:test_no_store_is_there",
    ),
    27: (
        "the database is not migrated",
        "cli/server/test_server_commands:test_only_migrate_changes_the_schema_under_a_server",
    ),
    28: (
        "the server or its database is down",
        "sdk/test_entry_points:test_a_server_that_fails_and_one_that_is_not_there",
    ),
    29: (
        "no model",
        "sdk/test_entry_points:test_a_model_that_is_nowhere",
    ),
    30: (
        "a scope that was not granted",
        "test_messages:test_a_scope_that_was_not_granted_says_who_grants_it",
    ),
    31: (
        "a guard above its route",
        "adapters/test_starlette:test_a_guard_above_the_route_is_told_before_anybody_is_let_in",
    ),
    32: (
        "a URL without its scheme",
        "sdk/test_entry_points:test_a_url_without_its_scheme",
    ),
    33: (
        "a key that is none",
        "cli/agent/test_login:test_a_key_that_is_none",
    ),
    34: (
        "a test's request without the middleware",
        "adapters/test_django:test_without_the_middleware_the_error_says_what_to_do",
    ),
    35: (
        "a socket without an origin",
        "adapters/test_sockets:test_a_page_of_another_origin_brings_no_agent",
    ),
    36: (
        "a command in another folder",
        "cli/server/test_server_commands:test_no_database_is_made_by_accident",
    ),
    37: (
        "an untrusted certificate",
        "sdk/test_unreachable:test_a_certificate_that_nobody_trusts",
    ),
}


# What the other tests see of the cause, and of the remedy.
SEEN = {
    2: ("extra", "pip install '"),
    7: (" is missing", "auth-agent client add"),
    8: ("PROTCT", "did you mean AUTH_AGENT_PROTECT"),
    9: (" is not a setting: ", "did you mean AUTH_AGENT_SERVER_"),
    10: ("32 characters", "hint"),
    11: ("http://shop.example", "https"),
    13: ("knows the client client_", "client rotate-secret ID"),
    15: ("host", "AUTH_AGENT_BASE_URL"),
    16: ("different secrets", "the same AUTH_AGENT_SECRET in every worker"),
    17: ("Cookies are blocked", "Go back to Example shop"),
    19: ("3,600 seconds ahead", "Set the clock"),
    20: ("unknown agent ID", "auth-agent agent rotate-secret ID"),
    21: ("answers 404", "middleware installed"),
    22: (" is taken", "--port"),
    26: ("nothing listens there", "Start Redis"),
    27: ("0010", "auth-agent migrate"),
    28: ("server_unavailable", "--issuer"),
    29: ("model_missing", "--model"),
    31: ("is open", "the view"),
    32: ("insecure_url", "write "),
    33: ("public key", "AUTH_AGENT_AGENT_PRIVATE_KEY"),
    34: ("MIDDLEWARE lacks", "call auth_agent_django.testing.with_agent"),
    35: ("https://evil.example", "`Origin: "),
    36: ("elsewhere.db", "auth-agent migrate"),
    37: ("not trusted", "SSL_CERT_FILE"),
}


@cache
def _functions_in(module):
    """Maps names to the text in function and decorators, except docstrings and comments."""
    tree = ast.parse((ROOT / "tests" / f"{module}.py").read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name: "\n".join(_texts(node)) for node in found}


def _texts(function):
    described = ast.get_docstring(function, clean=False)
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value != described:
                yield node.value
        elif isinstance(node, ast.arg):
            yield node.arg


@pytest.mark.parametrize("number", MISTAKES)
def test_each_mistake_is_provoked_and_its_cause_and_remedy_are_seen(number):
    module, _, name = MISTAKES[number][1].partition(":")
    seen = _functions_in(module)[name]
    if module not in ("test_messages", "test_distribution") or number in SEEN:
        for words in SEEN[number]:
            assert words in seen


def run(*words, without=(), cwd, **environ):
    hidden = "".join(f"sys.modules[{name!r}] = None; " for name in without)
    code = f"import sys; {hidden}from auth_agent.cli import main; main()"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT")}
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=cwd, env={**clean, **environ},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


POSTGRES = "postgresql://auth@127.0.0.1:1/auth"


@pytest.mark.parametrize(
    ("words", "without", "environ", "extra"),
    [
        (("serve",), "redis", {"AUTH_AGENT_SERVER_REDIS": "redis://127.0.0.1:1/0"}, "redis"),
        (("serve", "--database", POSTGRES), "psycopg", {}, "postgres"),
        (("agent", "list", "--database", POSTGRES), "psycopg", {}, "postgres"),
    ],
)
def test_a_missing_extra_is_one_line(tmp_path, words, without, environ, extra):
    environ = {"AUTH_AGENT_SERVER_SECRET": "s" * 40, **environ}
    port = ("--port", str(free_port())) if words[0] == "serve" else ()
    ended = run(*words, *port, without=[without], cwd=tmp_path, **environ)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert f"needs the package {without}" in ended.stderr.splitlines()[-1]
    assert f"[{extra}]'" in ended.stderr.splitlines()[-1]


def load(code, without, cwd, **environ):
    code = f"import sys; sys.modules[{without!r}] = None; {code}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT")}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env={**clean, **environ},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    return ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("framework", ["flask", "django", "starlette"])
def test_a_framework_that_is_missing(tmp_path, framework):
    told = load(f"import auth_agent_{framework}", framework, tmp_path)
    assert "needs the package" in told
    assert f"[{framework}]'" in told


def test_a_website_s_store_without_its_extra(tmp_path):
    environ = {
        "AUTH_AGENT_ISSUER": "http://127.0.0.1:8420",
        "AUTH_AGENT_CLIENT_ID": "client",
        "AUTH_AGENT_CLIENT_SECRET": "secret",
        "AUTH_AGENT_SECRET": "s" * 40,
        "AUTH_AGENT_BASE_URL": "http://127.0.0.1:8600",
        "AUTH_AGENT_SESSION_STORE": "redis://127.0.0.1:1/0",
    }
    code = "from auth_agent import RelyingParty; RelyingParty()"
    told = load(code, "redis", tmp_path, **environ)
    assert "AUTH_AGENT_SESSION_STORE" in told
    assert "needs the package redis" in told
    assert "[redis]'" in told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://auth@127.0.0.1/auth", ["mysql", "SQLite", "PostgreSQL"]),
        ("sqlite:///{folder}/nowhere/auth.db", ["{folder}/nowhere", "make it"]),
        (POSTGRES, ["atabase", "connection failed", "127.0.0.1", "refused"]),
    ],
)
@pytest.mark.parametrize("command", [("serve",), ("agent", "list")])
def test_a_database_that_cannot_be_used(tmp_path, command, url, told):
    words = [*command, "--database", url.format(folder=tmp_path)]
    if command == ("serve",):
        words += ["--port", str(free_port())]
    ended = run(*words, cwd=tmp_path, AUTH_AGENT_SERVER_SECRET="s" * 40)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    for words in told:
        assert words.format(folder=tmp_path) in ended.stderr


@pytest.fixture(scope="module")
def auth_server(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def refused(auth_server, client_id, redirect_uri):
    answer = httpx2.get(
        f"{auth_server.issuer}/authorize",
        params={"client_id": client_id, "redirect_uri": redirect_uri, "response_type": "code"},
    )
    assert answer.status_code == 400
    return answer.text


def test_a_wrong_redirect_uri_is_shown(auth_server):
    environ = auth_server.register("http://127.0.0.1:8600")
    client = environ["AUTH_AGENT_CLIENT_ID"]
    local = refused(auth_server, client, "http://localhost:8600/auth-agent/callback")
    assert "http://localhost:8600/auth-agent/callback" in local
    assert "http://127.0.0.1:8600/auth-agent/callback" in local
    assert "auth-agent client update" in local
    public = refused(auth_server, client, "https://evil.example/;rm -rf ~")
    assert "127.0.0.1:8600/auth-agent" not in public, "what is registered is shown to no stranger"
    assert "https://evil.example/;rm?-rf?~" in public
    assert "client update CLIENT_ID" in public, "nothing foreign is in the command to paste"


def test_a_wrong_client_id_is_shown(auth_server):
    shown = refused(auth_server, "client_<b>nobody", "http://127.0.0.1:8600/auth-agent/callback")
    assert "nobody" in shown
    assert "<b>nobody" not in shown
    assert "AUTH_AGENT_CLIENT_ID" in shown
    assert "auth-agent client add" in shown


@pytest.mark.parametrize(
    ("claims", "code", "words"),
    [
        ({"iat": 13_600, "exp": 20_000}, "iat_ahead", "3,600 seconds ahead of this machine"),
        ({"iat": 5_000, "exp": 6_400}, "token_expired", "3,600 seconds ago"),
        ({"iat": 5_000, "exp": 20_000, "nbf": 10_090}, "nbf_ahead", "90 seconds from now"),
    ],
)
def test_a_wrong_clock_names_its_seconds(claims, code, words):
    with pytest.raises(TokenRefused, match=words) as caught:
        check_times(claims, now=10_000)
    assert caught.value.code == code
    assert "set both by NTP" in caught.value.description


def test_a_redis_that_is_away_is_logged(caplog):
    address = f"redis://127.0.0.1:{free_port()}/0"
    settings = ServerSettings.from_env(
        {"AUTH_AGENT_SERVER_ISSUER": "http://127.0.0.1:8420", "AUTH_AGENT_SERVER_REDIS": address}
    )
    with caplog.at_level(logging.WARNING, "auth_agent.server"):
        assert Limits(settings).count("calls", "client")
    assert "AUTH_AGENT_SERVER_REDIS does not answer" in caplog.text
    assert "Start Redis, or correct the address" in caplog.text


def test_an_old_python_is_named_before_anything_is_installed(tmp_path):
    old = tmp_path / "python3.9"
    pretend = "import sys; sys.version_info = (3, 9, 18, 'final', 0); exec(sys.argv.pop(1))"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{pretend}" "$2"\n')
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    ended = subprocess.run(
        ["make", "demo", f"PYTHON={old}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "needs Python 3.10 or newer; this is 3.9." in ended.stderr
    assert "make demo PYTHON=python3.13" in ended.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_scope_that_was_not_granted_says_who_grants_it(make_site, server):
    site = make_site(protect="/private")
    site.sign_in()
    passed = site.request("/private")
    reply = entry(site, passed).require(Requirement(scopes=["reports:read"]))
    assert reply.status == 403
    told = reply.body.decode()
    assert "needs the scope reports:read, which was not granted" in told
    for remedy in ("AUTH_AGENT_SCOPE", "the website's client", "to the agent"):
        assert remedy in told


def test_a_page_of_a_refusal_names_the_site(make_site):
    site = make_site()
    page = site.request("/auth-agent/callback?state=unknown").body.decode()
    assert "<title>The sign-in did not work - shop.example</title>" in page
    assert '<p class="site">shop.example</p>' in page
    assert site.request("/auth-agent/logout").body.count(b"shop.example") == 2


@pytest.mark.parametrize("module", ["missing_state", "transaction"])
def test_every_code_of_a_missing_sign_in_is_explained(module):
    source = (ROOT / f"src/auth_agent/website/sign_in/{module}.py").read_text()
    document = (ROOT / "docs/errors.md").read_text()
    codes = re.findall(r'code="([a-z_]+)"', source)
    assert codes
    for code in codes:
        _, _, text = document.partition(f"\n### {code}\n")
        assert re.match(r"\nCause: .+ Remedy: .+", text), code
