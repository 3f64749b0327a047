"""The guides for websites are true: their blocks, pasted one after the other, make a site."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx2
import pytest

from auth_agent.testing import (
    approved,
    bearer_headers,
    make_agent,
    sign_in,
    test_environ,
    test_settings,
)

MANY_LINES = re.DOTALL | re.MULTILINE
WEBSITES = Path(__file__).parents[2] / "docs" / "websites"
READER = {
    "id": "agent_1",
    "scopes": ["openid", "reports:read", "orders:write"],
    "model": "claude-9",
}


@pytest.fixture
def paste(monkeypatch, request):
    """Runs the blocks of a page in one module, with the environment of a configured website."""
    for name, value in test_environ().items():
        monkeypatch.setenv(name, value)

    def run(page, site):
        text = (WEBSITES / f"{page}.md").read_text()
        found = rf"^( *)<!-- site: {site} -->\n *```python\n(.*?)^ *```"
        blocks = [textwrap.dedent(block) for _, block in re.findall(found, text, MANY_LINES)]
        assert blocks
        namespace = {"__name__": f"guide_{site}"}
        for block in blocks:
            exec(block, namespace)  # noqa: S102  # our own guide
        return namespace

    return run


def starlette_client(app):
    from starlette.testclient import TestClient

    return TestClient(app, follow_redirects=False)


def refuses_and_admits(client, path, **agent):
    assert client.get(path, headers={"accept": "application/json"}).status_code == 401
    sign_in(client, make_agent(**{**READER, **agent}))
    return client.get(path)


def test_starlette(paste):
    client = starlette_client(paste("starlette", "starlette")["app"])
    assert "/auth-agent/login?next=/me" in client.get("/").text
    answer = refuses_and_admits(client, "/me")
    assert answer.json() == {"agent": "agent_1", "model": "claude-9"}
    assert "Hello, agent_1" in client.get("/").text
    assert client.get("/reports").json() == {"reports": []}
    with client.websocket_connect("/chat", headers={"origin": test_settings().base_url}) as chat:
        assert chat.receive_text() == "Hello, agent_1"


def test_starlette_refuses_another_model(paste):
    client = starlette_client(paste("starlette", "starlette")["app"])
    sign_in(client, make_agent(**{**READER, "model": "gpt-9"}))
    assert client.get("/reports").status_code == 403


def test_fastapi(paste):
    client = starlette_client(paste("fastapi", "fastapi")["app"])
    assert client.get("/").json() == {"greeting": "Hello, stranger"}
    assert client.get("/private/orders").status_code == 401
    assert refuses_and_admits(client, "/me").json()["agent"] == "agent_1"
    assert client.get("/").json() == {"greeting": "Hello, agent_1"}
    assert client.get("/reports").json() == {"reader": "agent_1"}
    assert client.get("/private/orders").json() == {"orders_of": "agent_1"}
    with client.websocket_connect("/chat", headers={"origin": test_settings().base_url}) as chat:
        assert chat.receive_text() == "Hello, agent_1"


def test_approvals(paste):
    client = starlette_client(paste("approvals", "approvals")["app"])
    sign_in(client, make_agent())
    refused = client.post("/orders/7/pay")
    assert (refused.status_code, refused.json()["error"]) == (401, "insufficient_authorization")
    (act,) = refused.json()["authorization_details"]
    sign_in(client, make_agent(claims=approved(act)))
    assert client.post("/orders/7/pay").json() == {"paid": "45.00"}
    assert client.post("/orders/7/pay").status_code == 401


def test_flask(paste):
    client = paste("flask", "flask")["app"].test_client()
    assert "/auth-agent/login?next=/me" in client.get("/").text
    assert refuses_and_admits(client, "/me").json == {"agent": "agent_1", "model": "claude-9"}
    assert "Hello, agent_1" in client.get("/").text
    assert client.get("/reports/").json == {"reader": "agent_1"}


def test_flask_guards_a_whole_blueprint(paste):
    client = paste("flask", "flask")["app"].test_client()
    sign_in(client, make_agent(scopes=["openid"]))
    assert client.get("/reports/").status_code == 403


@pytest.fixture
def agent_html(tmp_path, monkeypatch):
    """Writes the template of the guide to where the blocks look for it."""
    text = (WEBSITES / "look.md").read_text()
    (template,) = re.findall(r"```html\n(<!doctype.*?)```", text, re.DOTALL)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "agent.html").write_text(template)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "templates"


def test_own_templates_in_starlette(paste, agent_html):
    client = starlette_client(paste("look", "look-starlette")["app"])
    shown = client.get("/auth-agent/callback", headers={"accept": "text/html"})
    assert shown.status_code == 400
    assert '<link rel="stylesheet" href="/static/shop.css">\n<h1>The sign-in did not' in shown.text
    shown = client.get("/auth-agent/logout", headers={"accept": "text/html"})
    assert '<form method="post" action="/auth-agent/logout"><button>Sign out</but' in shown.text


def test_own_templates_in_flask(paste, agent_html):
    app = paste("look", "look-flask")["app"]
    app.jinja_loader.searchpath.append(str(agent_html))
    shown = app.test_client().get("/auth-agent/callback", headers={"accept": "text/html"})
    assert (shown.status_code, "/static/shop.css" in shown.text) == (400, True)


def test_texts_in_another_language(paste):
    from types import SimpleNamespace

    texts = paste("look", "look-translate")["texts"]
    page = SimpleNamespace(code="sign_out", title="Sign out?", message="M", language="de-CH")
    assert texts(page)[0] == "Abmelden?"
    page.code = "state_missing"
    assert texts(page) == ("Sign out?", "M")


def test_wsgi(paste):
    transport = httpx2.WSGITransport(app=paste("asgi-wsgi", "wsgi")["application"])
    with httpx2.Client(transport=transport, base_url=test_settings().base_url) as client:
        assert client.get("/").text == "Hello, stranger"
        sign_in(client, make_agent(**READER))
        assert client.get("/").text == "Hello, agent_1"


def test_asgi(paste):
    client = starlette_client(paste("asgi-wsgi", "asgi")["app"])
    assert client.get("/").text == "Hello, stranger"
    sign_in(client, make_agent(**READER))
    assert client.get("/").text == "Hello, agent_1"


def test_an_api_without_a_website(paste):
    namespace = paste("api", "api")
    client = starlette_client(namespace["app"])
    refused = client.post("/orders")
    assert refused.status_code == 401
    assert 'scope="orders:write"' in refused.headers["www-authenticate"]
    headers = bearer_headers(make_agent(**READER), namespace["settings"])
    assert client.post("/orders", headers=headers).json() == {"ordered_by": "agent_1"}
    assert client.get("/auth-agent/login").status_code == 404


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        ({"email": "ada@example.com", "email_verified": True}, 200),
        ({"email": "ada@example.com", "email_verified": False}, 0),
        ({"email": "bob@example.com", "email_verified": True}, 0),
    ],
)
def test_accounts_are_linked_by_verified_addresses_alone(paste, agent, status):
    from auth_agent import SignInRefused

    client = starlette_client(paste("accounts", "accounts")["app"])
    if not status:
        with pytest.raises(SignInRefused):
            sign_in(client, make_agent(**agent))
        return
    sign_in(client, make_agent(**agent))
    assert client.get("/me").json() == {"account": "user-1"}


def test_an_explanation_names_the_rule(paste, capsys):
    paste("policy", "policy")
    assert "AUTH_AGENT_DENY_AGENTS" in capsys.readouterr().out


def test_an_event_is_one_line_of_json(paste, capsys):
    import logging

    logger = logging.getLogger("auth_agent")
    before = list(logger.handlers), logger.level
    try:
        paste("hooks", "hooks")
        logger.info("signed_in", extra={"auth_agent": {"event": "signed_in", "agent": "agent_1"}})
    finally:
        logger.handlers[:], level = before
        logger.setLevel(level)
    last = capsys.readouterr().err.splitlines()[-1]
    assert json.loads(last) == {"event": "signed_in", "agent": "agent_1"}


DJANGO_TEST = """
from django.test import SimpleTestCase
from auth_agent.testing import make_agent, sign_in

class Guide(SimpleTestCase):
    def test_the_site(self):
        self.assertContains(self.client.get("/"), "Sign in with Auth Agent")
        self.assertEqual(self.client.get("/me", headers={"accept": "a/b"}).status_code, 401)
        sign_in(self.client, make_agent(id="agent_1", model="claude-9"))
        self.assertEqual(self.client.get("/me").json(), {"agent": "agent_1", "model": "claude-9"})
        self.assertContains(self.client.get("/"), "Hello, agent_1")
        self.assertEqual(self.client.get("/reports").status_code, 403)
        self.assertEqual(self.client.get("/api/me").json(), {"agent": "agent_1"})
        self.assertEqual(self.client.get("/api/reports").status_code, 403)
        sign_in(self.client, make_agent(id="agent_2", scopes=["reports:read"]))
        self.assertEqual(self.client.get("/reports").status_code, 200)
        self.assertEqual(self.client.get("/api/reports").json(), {"reader": "agent_2"})
"""


def test_django_and_its_rest_framework(tmp_path):
    """Starts a new project and adds the blocks of both guides to its files."""

    def manage(*words):
        done = subprocess.run(
            (sys.executable, *words), cwd=tmp_path, env=environ, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    environ = {n: v for n, v in os.environ.items() if not n.startswith(("AUTH_AGENT", "DJANGO"))}
    environ |= {"PYTHONPATH": str(tmp_path), **test_environ()}
    manage("-m", "django", "startproject", "shop", ".")
    for page in ("django", "drf"):
        text = (WEBSITES / f"{page}.md").read_text()
        for name, block in re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text((file.read_text() if file.exists() else "") + block)
    (tmp_path / "shop" / "tests.py").write_text(DJANGO_TEST)
    manage("manage.py", "check", "--fail-level", "WARNING")
    assert "OK" in manage("manage.py", "test")
