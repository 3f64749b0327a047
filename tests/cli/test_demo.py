"""`auth-agent demo`, as people start and end it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx2
import pytest
from typer.testing import CliRunner

from auth_agent.cli.program import app

DEMO = [sys.executable, "-c", "from auth_agent.cli import main; main()", "demo"]
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}


def environment(folder):
    """What a user's shell may hold must not disturb the demo."""
    return {
        **os.environ,
        "TMPDIR": str(folder),
        "AUTH_AGENT_PROTECTT": "a mistake of the user's own",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
    }


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_once_tells_the_story_and_ends(tmp_path, encoding):
    done = subprocess.run(
        [*DEMO, "--once"],
        env={**environment(tmp_path), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        encoding=encoding,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        *("refused: nobody is signed in", "/api/agent/authenticate  200", "/token  200"),
        *("it is the agent that signed in", "the server was not asked", "the session is over"),
        *("ada@example.com", "All of it worked."),
    ):
        assert part in done.stdout
    assert not re.search(r"(?<![\w-])(ags|cs|rt|ac)_\w", done.stdout)
    assert "\x1b" not in done.stdout
    assert os.listdir(tmp_path) == []


@contextmanager
def running(folder):
    with subprocess.Popen(
        DEMO,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        told = []
        for line in process.stdout:
            told.append(line)
            if "Ctrl-C" in line:
                break
        try:
            yield process, "".join(told)
        finally:
            process.kill()


def address(told, name):
    return re.search(rf"{name} +(http://127\.0\.0\.1:\d+)", told)[1]


def is_free(url):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


def becomes_free(url):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if is_free(url):
            return True
        time.sleep(0.02)
    return False


def test_it_stays_until_it_is_interrupted(tmp_path):
    with running(tmp_path) as (process, told):
        website, server = address(told, "website"), address(told, "server")
        with httpx2.Client(trust_env=False) as client:
            page = client.get(website)
            assert "Sign in with Auth Agent" in page.text
            assert "script" not in page.headers["content-security-policy"]
            assert client.get(f"{server}/health").status_code == 200
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
    assert "nothing is left behind" in rest
    assert is_free(website)
    assert is_free(server)
    assert os.listdir(tmp_path) == []


def test_its_last_words_can_be_pasted_and_a_browser_is_answered(tmp_path):
    with running(tmp_path) as (process, told):
        website = address(told, "website")
        secret = re.search(r"export AUTH_AGENT_AGENT_SECRET=(\S+)", told)[1]
        line = re.search(r"auth-agent (login .*)", told)[1].split()
        pasted = CliRunner().invoke(app, line, env={"AUTH_AGENT_AGENT_SECRET": secret})
        assert pasted.exit_code == 0, pasted.output
        with httpx2.Client(headers=NAVIGATION, trust_env=False) as browser:
            page = browser.get(f"{website}/auth-agent/login?next=/", follow_redirects=True)
            request_id = re.search(r"request_id: '(req_[\w-]+)'", page.text)[1]
            status = page.url.join(f"/api/check-status?request_id={request_id}")
            until = time.monotonic() + 10
            while (answer := browser.get(status).json())["status"] == "pending":
                assert time.monotonic() < until
                time.sleep(0.05)
            home = browser.get(answer["location"], follow_redirects=True)
        assert "Signed-in agent" in home.text
        assert "ada@example.com" in home.text
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert os.listdir(tmp_path) == []


def test_a_violent_end_leaves_no_process(tmp_path):
    with running(tmp_path) as (process, told):
        process.kill()
        process.wait(10)
        assert becomes_free(address(told, "website"))
        assert is_free(address(told, "server"))
