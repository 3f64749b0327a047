"""`flask auth-agent doctor` and `manage.py auth_agent_doctor`: with the website's own settings."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from flask import Flask
from flask.cli import ScriptInfo

from auth_agent_flask import AuthAgent
from auth_agent_flask.commands import group
from tests.adapters import django_site
from tests.adapters.network import free_port, serve_wsgi
from tests.world import serve_auth_server


@pytest.fixture(scope="module")
def auth_server(tmp_path_factory):
    with serve_auth_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def registered(auth_server):
    """Returns the settings of a website that is not running yet, as environment variables."""
    return auth_server.register(f"http://127.0.0.1:{free_port()}")


def port_of(registered):
    return int(registered["AUTH_AGENT_BASE_URL"].rpartition(":")[2])


def info_of(app):
    return ScriptInfo(create_app=lambda: app)


def by_check(text):
    return {finding["check"]: finding for finding in json.loads(text)}


class TestFlask:
    @pytest.fixture
    def make_app(self, registered):
        def make(**changes):
            app = Flask(__name__)
            app.config.update(registered, **changes)
            AuthAgent(app)
            return app

        return make

    def test_a_healthy_application(self, make_app, registered):
        app = make_app()
        with serve_wsgi(app, port_of(registered)):
            result = app.test_cli_runner().invoke(args=["auth-agent", "doctor", "--json"])
        assert result.exit_code == 0, result.output
        assert by_check(result.stdout)["website.answers"]["level"] == "ok"

    def test_what_is_wrong_in_app_config(self, make_app):
        runner = make_app(AUTH_AGENT_CLIENT_SECRET="cs_wrong").test_cli_runner()
        told = runner.invoke(args=["auth-agent", "doctor"])
        assert told.exit_code == 1
        assert "✗ The server knows the client" in told.stdout
        assert "→ Correct AUTH_AGENT_CLIENT_SECRET" in told.stdout
        assert "cs_wrong" not in told.output

    def test_an_application_that_its_settings_keep_from_starting(self, tmp_path):
        (tmp_path / "shop.py").write_text(
            "from flask import Flask\nfrom auth_agent_flask import AuthAgent\n"
            "app = Flask(__name__)\napp.config['AUTH_AGENT_ISSUER'] = 'ftp://x.example'\n"
            "AuthAgent(app)\n"
        )
        command = [sys.executable, "-m", "flask", "--app", "shop", "auth-agent", "doctor"]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT_")}
        told = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert told.returncode == 1
        assert "the website does not start" in told.stdout
        assert "AUTH_AGENT_ISSUER" in told.stdout
        assert "AUTH_AGENT_SECRET" in told.stdout
        assert "Traceback" not in told.stderr

    def test_an_application_without_the_extension(self):
        told = Flask(__name__).test_cli_runner().invoke(group, ["doctor"], obj=info_of(Flask("x")))
        assert told.exit_code == 1
        assert "Call AuthAgent(app)" in told.stdout

    def test_help_and_wrong_usage(self, make_app):
        runner = make_app().test_cli_runner()
        told = runner.invoke(args=["auth-agent", "doctor", "--help"]).stdout
        assert "Exit codes: 0 all is well" in " ".join(told.split())
        wrong = runner.invoke(args=["auth-agent", "doctor", "--site", "shop"])
        assert (wrong.exit_code, "--site" in wrong.output) == (2, True)


class TestDjango:
    @pytest.fixture
    def doctor(self, registered, monkeypatch):
        """Its exit code, and what it says; `overrides` are settings of Django."""

        def run(*words, auth_agent=None, **overrides):
            names = {name.removeprefix("AUTH_AGENT_"): v for name, v in registered.items()}
            settings = {"AUTH_AGENT": {**names, **(auth_agent or {})}, **overrides}
            said = io.StringIO()
            with override_settings(**settings):
                try:
                    call_command("auth_agent_doctor", *words, stdout=said)
                except SystemExit as end:
                    return end.code, said.getvalue()
            return 0, said.getvalue()

        return run

    def test_a_healthy_website(self, doctor, registered):
        names = {name.removeprefix("AUTH_AGENT_"): v for name, v in registered.items()}
        with override_settings(AUTH_AGENT=names, ROOT_URLCONF=django_site.__name__):
            site = django_site.WSGIHandler()
        with serve_wsgi(site, port_of(registered)):
            code, said = doctor("--json")
        assert (code, by_check(said)["website.answers"]["level"]) == (0, "ok")

    def test_what_is_wrong_in_the_settings(self, doctor):
        code, said = doctor(auth_agent={"CLIENT_SECRET": "cs_wrong"})
        assert code == 1
        assert "→ Correct AUTH_AGENT_CLIENT_SECRET" in said
        assert "cs_wrong" not in said

    def test_settings_with_which_the_website_would_not_start(self, doctor):
        code, said = doctor("--json", auth_agent={"SECRET": "short", "SQUIRREL": 1})
        assert code == 1
        told = [(f["check"], f["message"]) for f in json.loads(said) if f["level"] == "failure"]
        assert told == [
            ("settings.wrong", 'AUTH_AGENT["SQUIRREL"] is not a setting.'),
            (
                "settings.wrong",
                "AUTH_AGENT_SECRET contains a secret of fewer than 32 characters "
                "(commas separate secrets).",
            ),
        ]

    def test_they_do_not_stop_the_doctor(self, registered):
        """As they stop every other command of manage.py."""
        done = subprocess.run(
            [sys.executable, "-m", "examples.django_site.manage", "auth_agent_doctor"],
            env={**os.environ, **registered, "AUTH_AGENT_SECRET": "short"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, "")
        assert "→ Make one with: python -c" in done.stdout

    def test_what_djangos_own_checks_find(self, doctor):
        code, said = doctor("--json", MIDDLEWARE=[])
        missing = by_check(said)["django.W001"]
        assert (code, missing["level"]) == (0, "warning")
        assert "auth_agent_django.AuthAgentMiddleware" in missing["remedy"]

    def test_wrong_usage(self, doctor):
        with pytest.raises(CommandError, match="--site") as caught:
            doctor("--site", "shop")
        assert caught.value.returncode == 2
