"""docs/websites/testing.md is true: each example is run by pytest, as a reader would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "websites" / "testing.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- test: ([a-z0-9-]+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))

DJANGO = """
import django
from django.conf import settings
from django.http import JsonResponse
from django.test.utils import setup_test_environment
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__, SECRET_KEY="x" * 50, DATABASES={}, INSTALLED_APPS=["auth_agent_django"],
    MIDDLEWARE=["auth_agent_django.AuthAgentMiddleware"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": ["auth_agent_django.rest_framework.AgentAuthentication"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()
setup_test_environment()

import sys
from auth_agent_django import requires_agent
from auth_agent_django.rest_framework import HasAgent
from rest_framework.decorators import api_view, permission_classes
from rest_framework.response import Response

@requires_agent
def me(request):
    return JsonResponse({"agent_id": request.agent.id})

@api_view(["GET"])
@permission_classes([HasAgent])
def api_me(request):
    return Response({"agent": request.auth.id})

urlpatterns = [path("me", me), path("api/me", api_me)]
sys.modules[settings.ROOT_URLCONF] = sys.modules[__name__]
"""
CLIENT = """
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from auth_agent_starlette import AuthAgentMiddleware

@pytest.fixture
def client(auth_agent_server):
    app = AuthAgentMiddleware(Starlette(), auth_agent_server.settings(protect="/*"))
    return TestClient(app)
"""
BEFORE = {"django": DJANGO, "drf": DJANGO, "pytest": CLIENT}


def without_settings():
    """Clears the environment of every setting."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("AUTH_AGENT_", "DJANGO_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"}


def run_pytest(folder, *arguments):
    """Runs it with the plugins that a reader needs; others of this project load slowly."""
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
    plugins = ("-p", "auth_agent.testing.plugin", "-p", "anyio")
    return subprocess.run(
        (*command, *plugins), cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env={**without_settings(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_runs_where_nothing_is_configured(tmp_path, name):
    (tmp_path / "test_site.py").write_text(BEFORE.get(name, "") + EXAMPLES[name])
    done = run_pytest(tmp_path, "-W", "error", "test_site.py")
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = len(re.findall(r"^ *(?:async )?def test_", EXAMPLES[name], re.MULTILINE))
    assert f"{wanted} passed" in done.stdout


def test_every_framework_has_an_example():
    frameworks = {"starlette", "fastapi", "flask", "django", "drf", "httpx2"}
    promised = frameworks | {"keys", "server", "pytest"}
    assert set(EXAMPLES) == promised
