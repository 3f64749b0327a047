"""The example shops' own tests, and Django's commands, where nothing is configured."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.testing.test_documents import ROOT, run_pytest, without_settings


def manage(*arguments, **environ):
    return subprocess.run(
        (sys.executable, "-m", "examples.django_site.manage", *arguments), cwd=ROOT,
        env={**without_settings(), **environ}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def test_the_shops_pass_their_own_tests():
    done = run_pytest(ROOT, "examples/tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "17 passed" in done.stdout


def test_the_django_shop_passes_its_own(tmp_path):
    done = manage("test", "examples.django_site", SHOP_DATABASE=str(tmp_path / "shop.db"))
    assert done.returncode == 0, done.stderr
    assert "Ran 7 tests" in done.stderr
    assert done.stderr.count("this test run uses auth_agent.testing.test_settings()") == 1


@pytest.mark.parametrize(
    "command", [("makemigrations", "--check"), ("collectstatic", "--dry-run", "--no-input")]
)
def test_a_command_that_serves_nothing_needs_no_settings(tmp_path, command):
    done = manage(*command, SHOP_DATABASE=str(tmp_path / "shop.db"))
    said = done.stdout + done.stderr
    if command[0] == "makemigrations":
        assert done.returncode == 0, said
        assert "auth_agent.W003" in said
    assert "E001" not in said
    assert "AUTH_AGENT_ISSUER" not in said  # collectstatic asks for STATIC_ROOT, and for no more


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_everything_else_says_what_is_missing(tmp_path, command):
    done = manage(command, SHOP_DATABASE=str(tmp_path / "shop.db"))
    said = done.stdout + done.stderr
    if command == "check":
        assert done.returncode == 1
        assert said.count("auth_agent.E001") == 5


def test_half_of_the_settings_are_a_mistake_in_a_test_run_too(tmp_path):
    done = manage(
        "test", "examples.django_site", SHOP_DATABASE=str(tmp_path / "shop.db"),
        AUTH_AGENT_ISSUER="https://auth.example",
    )  # fmt: skip
    assert done.returncode == 1
    assert "AUTH_AGENT_CLIENT_ID is missing" in done.stdout + done.stderr


@pytest.mark.parametrize("argv", ["['manage.py', 'test']", "['manage.py', 'makemigrations']"])
def test_a_site_that_serves_does_not_start_without(argv):
    """Decides by the handler and not by the command line: a handler means that the site serves."""
    program = f"""
import sys
sys.argv = {argv}
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "examples.django_site.settings"
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
"""
    done = subprocess.run(
        (sys.executable, "-c", program), cwd=ROOT, env=without_settings(), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "AUTH_AGENT_ISSUER is missing" in done.stderr


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import {package}
"""


@pytest.mark.parametrize(
    ("package", "modules", "extra"),
    [
        ("auth_agent_starlette", ("starlette",), "starlette"),
        ("auth_agent_starlette.fastapi", ("fastapi",), "fastapi"),
        ("auth_agent_flask", ("flask", "werkzeug"), "flask"),
        ("auth_agent_django", ("django", "asgiref"), "django"),
        ("auth_agent_django.rest_framework", ("rest_framework",), "drf"),
    ],
)
def test_a_missing_framework_is_told_with_the_command_that_brings_it(package, modules, extra):
    program = WITHOUT.format(modules=modules, package=package)
    done = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, timeout=60, check=False
    )
    assert f"pip install 'auth-agent-kit[{extra}]'" in done.stderr.splitlines()[-1]
