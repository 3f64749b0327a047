from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from playwright.sync_api import sync_playwright

from tests.world import run_site, serve_auth_server

CHROMIUM = shutil.which("chromium")
# Each window would otherwise run the pages of its address bar, too: most of its time.
_OWN_PAGES = "WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup,HttpsUpgrades"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    f"--disable-features={_OWN_PAGES}",
]

# Each example site under a server that it is usually run with.
EXAMPLES = {
    "starlette": ("examples.starlette_site:app", "uvicorn"),
    "fastapi": ("examples.fastapi_site:app", "uvicorn"),
    "flask": ("examples.flask_site:app", "waitress"),
    "django": ("examples.django_site.wsgi:application", "gunicorn"),
}


class World(NamedTuple):
    """A real server, a real example site, and the credentials of an agent."""

    site: str
    issuer: str
    agent_id: str
    agent_secret: str


@pytest.fixture(scope="module")
def chromium():
    """Closes Chromium after each module: while it is open, the main thread runs an event loop."""
    if CHROMIUM is None:
        reason = "chromium is not installed: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def auth_server(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("browser")) as server:
        yield server


@pytest.fixture(scope="session")
def world(auth_server):
    with run_example("starlette", auth_server) as world:
        yield world


@contextmanager
def run_example(name, auth_server):
    target, server = EXAMPLES[name]
    with run_site(auth_server, target, server) as site:
        yield World(site, auth_server.issuer, auth_server.agent_id, auth_server.agent_secret)
