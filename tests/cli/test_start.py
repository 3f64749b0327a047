"""`auth-agent` by itself, and what every command prints."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from auth_agent.cli.output import literal, print_values
from auth_agent.cli.program import app
from auth_agent.server import Database
from auth_agent.server.registry import clients


def run(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "auth_agent", *words],
        env={**os.environ, **environment}, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def test_without_arguments_it_asks_what_you_want_to_do():
    done = run()
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "What do you want to do?"
    assert len(lines) < 15
    assert done.stderr == b""
    for line in lines[2:-2]:  # each leads to a command that exists
        command = line.split("auth-agent ")[1].split()[0]
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command


def test_the_version():
    done = run("--version")
    assert (done.returncode, done.stdout.decode().split()) == (
        0, ["auth-agent", version("auth-agent-kit")],
    )  # fmt: skip


def test_a_mistake_is_usage():
    assert run("lgoin").returncode == 2
    assert run("--frobnicate").returncode == 2


NASTY = ["[/nothing]", "[link=https://evil.example]shop[/link]", "[bold]x", "Caf\u00e9 \u2615",
         "\x1b[2J", "a\u202eb"]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_names_are_printed_literally(tmp_path, encoding):
    given = {
        "AUTH_AGENT_SERVER_DATABASE": f"sqlite:///{tmp_path}/auth-agent.db",
        "AUTH_AGENT_SERVER_ISSUER": "http://127.0.0.1:8420",
        "PYTHONIOENCODING": encoding,
        "PYTHONUTF8": "0",
        "NO_COLOR": "1",
    }
    database = Database.open(given["AUTH_AGENT_SERVER_DATABASE"])
    database.migrate()
    for name in NASTY[:4]:
        clients.add_client(database, name, ["http://127.0.0.1:8000/auth-agent/callback"], now=0)
    database.close()
    done = run("client", "list", **given)
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode(encoding)
    for name in NASTY[:3]:
        assert name in told
    assert ("Caf\u00e9 \u2615" if encoding == "utf-8" else "Caf\u00e9 ?") in told


def test_tables_hold_text_alone_on_a_terminal():
    program = (
        "import sys; from rich import console; from auth_agent.cli import output; "
        "real = console.Console; "
        "output.Console = lambda **k: real(force_terminal=True, width=200, **k); "
        f"output.print_table(('a', 'b'), [(text, 'x') for text in {NASTY!r}]); "
        f"output.print_values({{'name': {NASTY[1]!r}}}, {NASTY[0]!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False,
                          env={**os.environ, "PYTHONIOENCODING": "utf-8"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode()
    for text in NASTY[:4]:
        assert text in told
    assert "\x1b]8" not in told
    assert "\x1b[2J" not in told
    assert "\u202e" not in told
    assert literal("a\x1b\u202e\n") == "a" + "\ufffd" * 3


def test_an_address_keeps_its_brackets(capsys):
    print_values({"link": "https://[fd00::1]/console/start?code=x"})
    assert "https://[fd00::1]/console/start?code=x" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("login", "http://127.0.0.1:1/"), 2),  # no secret, and nobody to ask for one
        (("ask-owner", "http://127.0.0.1:1/", "--details", "-"), 2),
        (("sign", "http://127.0.0.1:1/", "--body", "-"), 1),
        (("doctor", "--json"), 1),
    ],
)
def test_closed_streams_are_none_of_a_commands_business(words, code):
    given = {"AUTH_AGENT_AGENT_ID": "a", "AUTH_AGENT_AGENT_ISSUER": "http://127.0.0.1:1"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT")}
    start = [sys.executable, "-m", "auth_agent", *words]
    closed = 'exec <&- >&-; exec "$@"'
    done = subprocess.run(["sh", "-c", closed, "sh", *start], env={**kept, **given},
                          stderr=subprocess.PIPE, check=False, timeout=60)  # fmt: skip
    assert b"Traceback" not in done.stderr
    assert done.returncode == code, done.stderr


def test_a_full_disk_is_told_in_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "auth_agent"], stdout=full,
                              stderr=subprocess.PIPE, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"auth-agent: No space left on device\n")


def test_a_pipe_is_no_screen_in_whatever_colour(tmp_path):
    given = {"AUTH_AGENT_SERVER_DATABASE": f"sqlite:///{tmp_path}/auth-agent.db"}
    Database.open(given["AUTH_AGENT_SERVER_DATABASE"]).close()
    done = run("client", "list", FORCE_COLOR="1", **given)
    assert done.stdout == b"client_id\tname\tredirect URIs\tscopes\n"
