"""`auth-agent demo`, as people start and end it."""

from __future__ import annotations

import html
import io
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import httpx2
import pytest
from rich.console import Console
from typer.testing import CliRunner

from auth_agent.cli.demo import tools
from auth_agent.cli.demo.calls import call_tools
from auth_agent.cli.demo.narrator import Narrator
from auth_agent.cli.program import app

DEMO = [sys.executable, "-c", "from auth_agent.cli import main; main()", "demo"]
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}


def environment(folder):
    """Sets variables that a user's shell may hold; none may disturb the demo."""
    return {
        **os.environ,
        "TMPDIR": str(folder),
        "AUTH_AGENT_PROTECTT": "a mistake of the user's own",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
    }


def test_once_tells_the_story_and_ends(tmp_path):
    encoding = "cp1252"  # which lacks some of the signs; the other tests read UTF-8
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
        *("refused: no agent is signed in", "/api/agent/authenticate  200", "/token  200"),
        *("it is the agent that signed in", "the server was not asked", "the session is over"),
        *("the owner has to approve", "mail │ ".encode(encoding, "replace").decode(encoding)),
        *("The demo answers in the owner's place now", "field by field", "valid for one payment"),
        *("/mcp  401", "find_goods", "insufficient_scope, it needs orders:write"),
        *("the tool ran", "no token contains it", "ada@example.com", "All of it worked."),
    ):
        assert part in done.stdout
    assert not re.search(r"(?<![\w-])(ags|cs|rt|ac)_\w", done.stdout)
    assert "\x1b" not in done.stdout
    assert os.listdir(tmp_path) == []


def test_without_the_package_mcp_one_sentence_says_so(monkeypatch):
    monkeypatch.setattr(tools, "version", _missing)
    assert not tools.has_mcp()
    console = Console(file=io.StringIO(), width=200)
    call_tools(SimpleNamespace(tools=None), None, Narrator(console))
    told = console.file.getvalue()
    assert "Skipped: it needs the package mcp. pip install 'auth-agent-kit[mcp]'" in told


@pytest.mark.parametrize(("found", "is_there"), [("2.3.0", True), ("1.27.0", False)])
def test_an_older_mcp_is_none(monkeypatch, found, is_there):
    monkeypatch.setattr(tools, "version", lambda _name: found)
    assert tools.has_mcp() is is_there


def _missing(name):
    raise PackageNotFoundError(name)


class Owner:
    """A person at the demo's terminal, who opens the link that stands there."""

    def __init__(self, decision):
        self.decision = decision

    def answer(self, link, lines, _keyboard):
        with httpx2.Client(follow_redirects=True, trust_env=False) as browser:
            page = self.fill(browser, browser.get(link), email="ada@example.com")
            code = next(
                found[1] for line in lines if (found := re.search(r"code is (\d{8})", line))
            )
            page = self.fill(browser, page, code=code)
            assert "Pay 24.30 EUR to Corner Shop" in page.text
            assert "3 jars of wild honey" in page.text
            action = f"/owner/question/{self.decision}"
            answer = self.fill(browser, page, action, decision="approve")
            assert answer.status_code == 200

    def fill(self, browser, page, action="", **typed):
        """Sends the page's form, to its own address unless another action is named."""
        wanted = action or '[^"]+'
        form = re.search(rf'<form method="post" action="({wanted})"(.*?)</form>', page.text, re.S)
        hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form[2])
        fields = {**{name: html.unescape(value) for name, value in hidden}, **typed}
        return browser.post(
            page.url.join(form[1]), data=fields, headers={"Sec-Fetch-Site": "same-origin"}
        )


class PressesEnter:
    def answer(self, _link, _lines, keyboard):
        os.write(keyboard, b"\n")


@contextmanager
def running(folder, person=None):
    """Starts the demo at a terminal if a person is there to answer, else with an empty input."""
    keyboard, terminal = pty.openpty() if person else (None, subprocess.DEVNULL)
    with subprocess.Popen(
        DEMO,
        env=environment(folder),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        told = []
        try:
            for line in process.stdout:
                told.append(line)
                if found := re.search(r"OPEN (\S+)", line):
                    person.answer(found[1], process.stdout, keyboard)
                if "Ctrl-C" in line:
                    break
            yield process, "".join(told)
        finally:
            process.kill()
            if person:
                os.close(keyboard)
                os.close(terminal)


def address(told, name):
    return re.search(rf"{name} +(http://127\.0\.0\.1:\d+)", told)[1]


def is_free(url):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


def becomes_free(url):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if is_free(url):
            return True
        time.sleep(0.02)
    return False


def test_a_person_approves_and_it_stays_until_it_is_interrupted(tmp_path):
    with running(tmp_path, Owner("approve")) as (process, told):
        assert "You have answered." in told
        assert "in the owner's place" not in told
        assert "field by field" in told
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
    with running(tmp_path, Owner("deny")) as (process, told):
        assert "nothing was paid" in told
        website = address(told, "website")
        secret = re.search(r"export AUTH_AGENT_AGENT_SECRET=(\S+)", told)[1]
        line = re.search(r"auth-agent (login .*)", told)[1].split()
        pasted = CliRunner().invoke(app, line, env={"AUTH_AGENT_AGENT_SECRET": secret})
        assert pasted.exit_code == 0, pasted.output
        with httpx2.Client(headers=NAVIGATION, trust_env=False) as browser:
            page = browser.get(f"{website}/auth-agent/login?next=/", follow_redirects=True)
            request_id = re.search(r"request_id: '(req_[\w-]+)'", page.text)[1]
            status = page.url.join(f"/api/check-status?request_id={request_id}")
            until = time.monotonic() + 120
            while (answer := browser.get(status).json())["status"] == "pending":
                assert time.monotonic() < until
                time.sleep(0.05)
            home = browser.get(answer["location"], follow_redirects=True)
            assert "Signed-in agent" in home.text
            assert "ada@example.com" in home.text
            asks = browser.post(f"{website}/orders/1001/pay")
            to_owner = html.unescape(re.search(r'href="([^"]+/approve\?[^"]+)"', asks.text)[1])
            assert browser.get(page.url.join(to_owner), follow_redirects=True).status_code == 200
            assert any("/owner/question?id=" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert os.listdir(tmp_path) == []


def test_enter_answers_for_the_owner_and_a_violent_end_leaves_no_process(tmp_path):
    with running(tmp_path, PressesEnter()) as (process, told):
        assert "in the owner's place" in told
        process.kill()
        process.wait(10)
        assert becomes_free(address(told, "website"))
        assert is_free(address(told, "server"))
