"""`auth-agent login`, against a real server and a real website."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
from http.cookiejar import MozillaCookieJar

import httpx2
import pytest
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from typer.testing import CliRunner

from auth_agent.cli.program import app
from auth_agent.server.registry.agents import add_agent
from tests.adapters.network import free_port
from tests.sdk.conftest import World, _world, agent_key, world  # noqa: F401  # fixtures

MAIN = "from auth_agent.cli import main; main()"


@pytest.fixture
def login(world, monkeypatch):  # noqa: F811
    for name in list(os.environ):
        if name.startswith("AUTH_AGENT"):
            monkeypatch.delenv(name)

    def run(*words, code=0, url="/me", **environment):
        variables = {
            "AUTH_AGENT_AGENT_ID": world.agent_id,
            "AUTH_AGENT_AGENT_MODEL": "claude-sonnet-4",
            "AUTH_AGENT_AGENT_ISSUER": world.issuer,
            "AUTH_AGENT_AGENT_SECRET": world.secret,
            **environment,
        }
        url = url if "://" in url else f"{world.website}{url}"
        result = CliRunner().invoke(app, ["login", url, *words], env=variables)
        assert result.exit_code == code, result.output
        assert world.secret not in result.output
        return result

    return run


def test_the_story_is_told(login, world):  # noqa: F811
    told = login().stdout
    for part in ("pinned issuer", "waits for the agent", "proved itself", "Signed in."):
        assert part in told
    assert "claude-sonnet-4" in told
    assert "\x1b" not in told


def test_json_is_one_object(login, world):  # noqa: F811
    result = login("--json")
    answer = json.loads(result.stdout)
    assert (answer["ok"], answer["status"], answer["agent_id"]) == (True, 200, world.agent_id)
    assert answer["url"] == f"{world.website}/me"
    assert answer["body"] == {"agent_id": world.agent_id, "model": "claude-sonnet-4"}
    assert answer["steps"][-1]["action"] == "signed_in"
    assert result.stderr == ""


def test_the_secret_may_lie_in_a_private_file(login, world, tmp_path):  # noqa: F811
    path = tmp_path / "secret"
    path.write_text(world.secret)
    path.chmod(0o600)
    given = {"AUTH_AGENT_AGENT_SECRET": "", "AUTH_AGENT_AGENT_SECRET_FILE": str(path)}
    assert json.loads(login("--json", **given).stdout)["ok"] is True
    if os.name == "posix":
        path.chmod(0o604)
        assert "chmod 600" in login(code=2, **given).stderr


def test_a_key_instead_of_a_secret(login, world, agent_key, tmp_path):  # noqa: F811
    agent = add_agent(
        world.database, "ada@example.com", public_key=agent_key.public_pem, now=int(time.time())
    )
    path = tmp_path / "agent.pem"
    path.write_text(agent_key.pem.reveal())
    path.chmod(0o600)
    given = {"AUTH_AGENT_AGENT_SECRET": "", "AUTH_AGENT_AGENT_PRIVATE_KEY": str(path)}
    answer = json.loads(login("--json", "--agent-id", agent.agent_id, **given).stdout)
    assert answer["body"]["agent_id"] == agent.agent_id


def test_blanks_around_a_variable_do_not_count(login, world):  # noqa: F811
    given = {
        "AUTH_AGENT_AGENT_ID": f" {world.agent_id}\n",
        "AUTH_AGENT_AGENT_ISSUER": f"{world.issuer}\r\n",
        "AUTH_AGENT_AGENT_SECRET": f"{world.secret}\n",
        "AUTH_AGENT_AGENT_MODEL": "claude-sonnet-4\n",
    }
    assert json.loads(login("--json", **given).stdout)["ok"] is True


def test_options_win_over_the_environment(login, world):  # noqa: F811
    answer = json.loads(login("--json", "--model", "gpt-x").stdout)
    assert answer["body"]["model"] == "gpt-x"


def test_a_refusal(login, world):  # noqa: F811
    result = login(code=1, AUTH_AGENT_AGENT_SECRET="ags_wrong")
    assert "invalid_credentials" in result.stderr
    assert f"{world.agent_id} at {world.issuer}" in result.stderr
    assert "ags_wrong" not in result.output
    answer = json.loads(login("--json", code=1, url="/").stdout)
    assert (answer["ok"], answer["error"], answer["steps"]) == (False, "not_a_sign_in", [])
    assert answer["error_description"]


def test_nobody_can_be_reached(login):
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert "server_unavailable" in login("--issuer", nowhere, code=3).stderr
    assert "website_unavailable" in login(url=nowhere, code=3).stderr


def test_wrong_usage(login):
    assert "--issuer" in login(code=2, AUTH_AGENT_AGENT_ISSUER="").stderr
    assert "AUTH_AGENT_AGENT_SECRET" in login(code=2, AUTH_AGENT_AGENT_SECRET="").stderr
    assert "http" in login("--issuer", "http://id.example", code=2).stderr


def test_the_session_is_left_for_curl(login, world, tmp_path):  # noqa: F811
    path = tmp_path / "cookies.txt"
    path.write_text("old")
    path.chmod(0o644)
    told = login("--cookies", str(path)).stdout
    assert f"curl -b {path}" in told
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    jar = MozillaCookieJar(path)
    jar.load(ignore_discard=True, ignore_expires=True)
    seen = httpx2.get(f"{world.website}/me", cookies=jar, trust_env=False)
    assert seen.json()["agent_id"] == world.agent_id
    if shutil.which("curl"):  # it drops lines that the standard library still reads
        curl = ["curl", "-sS", "--noproxy", "*", "-b", str(path), f"{world.website}/me"]
        answer = subprocess.run(curl, capture_output=True, check=True)
        assert json.loads(answer.stdout)["agent_id"] == world.agent_id
    assert json.loads(login("--json", "--cookies", str(path)).stdout)["cookies"] == str(path)


def test_what_people_paste_runs_nothing_of_a_website(login, world, tmp_path):  # noqa: F811
    world.shop.instead["/me"] = RedirectResponse("/x;touch%20$(evil)&'")
    world.shop.instead["/x;touch $(evil)&'"] = HTMLResponse("hello")
    told = login("--cookies", str(tmp_path / "a b"), url="/auth-agent/login?next=/me").stdout
    command = next(line for line in told.splitlines() if "curl" in line).partition(": ")[2]
    words = shlex.split(command)
    assert words[:3] == ["curl", "-b", str(tmp_path / "a b")]
    assert len(words) == 4
    assert words[3].startswith(f"{world.website}/x;touch")


@pytest.mark.parametrize(
    "body",
    [
        '{"a": NaN}', "[Infinity]", '{"a": [-Infinity]}', '"\\ud800"', "9" * 5_000, "{",
        *("[" * depth + "]" * depth for depth in (900, 960, 980, 990, 2_000)),
    ],
)  # fmt: skip
def test_whatever_a_website_answers_json_is_one_object(login, world, body):  # noqa: F811
    world.shop.instead["/me"] = RedirectResponse("/odd")
    world.shop.instead["/odd"] = Response(body, media_type="application/json")
    told = login("--json", url="/auth-agent/login?next=/me").stdout
    found = json.loads(told, parse_constant=pytest.fail)
    assert (found["ok"], bool(found["body"])) == (True, True)


def test_a_place_that_takes_no_cookies_is_told_before_the_sign_in(login, world, tmp_path):  # noqa: F811
    (tmp_path / "stream").symlink_to("/proc/self/fd/1")
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path,
        tmp_path / "none" / "cookies.txt",
        tmp_path / "stream",
        tmp_path / "pipe",
    ):
        assert "--cookies" in login("--cookies", str(path), code=2).stderr
    assert world.shop.asked == []


def test_quiet_prints_errors_only(login):
    assert login("-q").output == ""
    result = login("-q", code=1, AUTH_AGENT_AGENT_SECRET="ags_wrong")
    assert result.stdout == ""
    assert "invalid_credentials" in result.stderr


def test_a_public_page_that_offers_the_sign_in(login, world):  # noqa: F811
    button = '<a href="/auth-agent/login?next=/me">Sign in with Auth Agent</a>'
    world.shop.instead["/home"] = HTMLResponse(button)
    assert json.loads(login("--json", url="/home").stdout)["body"]["agent_id"] == world.agent_id


def test_a_form_is_sent_on_demand(login, world):  # noqa: F811
    form = '<form method=post action="/start"><button>Continue</button></form>'
    world.shop.instead["/form"] = HTMLResponse(form)
    world.shop.instead["/start"] = RedirectResponse("/auth-agent/login?next=/me", 303)
    assert "--follow-form" in login(code=1, url="/form").stderr
    answer = json.loads(login("--json", "--follow-form", url="/form").stdout)
    assert answer["body"]["agent_id"] == world.agent_id


def test_an_authorization_request_in_hand(login, world):  # noqa: F811
    begun = httpx2.get(f"{world.website}/auth-agent/login").headers["location"]
    error = json.loads(login("--json", url=begun, code=1).stdout)
    # The website knows another browser's cookie; the server has approved.
    assert error["error"] == "sign_in_failed"
    assert world.website in error["error_description"]
    assert ("POST", "/api/agent/authenticate") in world.server.asked


def test_bounds_of_the_operator(login, world):  # noqa: F811
    result = login(code=1, AUTH_AGENT_AGENT_WEBSITES="https://other.example")
    assert "website_not_allowed" in result.stderr
    assert world.shop.asked == []
    result = login(code=1, AUTH_AGENT_AGENT_SCOPES="openid")
    assert "scope_not_allowed" in result.stderr
    assert "AUTH_AGENT_AGENT_SCOPES" in result.stderr


def test_a_url_without_its_scheme(login, world):  # noqa: F811
    bare = world.website.removeprefix("http://")
    result = CliRunner().invoke(
        app, ["login", f"{bare}/me", "--agent-id", "a", "--issuer", world.issuer],
        env={"AUTH_AGENT_AGENT_SECRET": "ags_1"},
    )  # fmt: skip
    assert result.exit_code == 1
    assert f"write {world.website}/me" in result.stderr


def test_without_a_model(login):
    told = login(code=1, AUTH_AGENT_AGENT_MODEL="").stderr
    assert "model_missing" in told
    assert "--model NAME" in told


def test_a_server_that_fails_is_not_a_server_that_is_missing(login, world):  # noqa: F811
    bad = Response("<h1>502 Bad Gateway</h1>", 502, media_type="text/html")
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        world.server.instead[path] = bad
    told = login(code=3).stderr
    assert "server_unavailable" in told
    assert "502" in told
    told = login("--issuer", world.website, code=1).stderr
    assert "metadata_missing" in told
    assert "--issuer" in told


def test_a_key_that_is_none(login, agent_key, tmp_path):  # noqa: F811
    path = tmp_path / "agent.pem"
    given = {"AUTH_AGENT_AGENT_SECRET": "", "AUTH_AGENT_AGENT_PRIVATE_KEY": str(path)}
    assert str(path) in login(code=2, **given).stderr
    path.write_text(agent_key.public_pem)
    assert "public key" in login(code=2, **given).stderr
    given["AUTH_AGENT_AGENT_PRIVATE_KEY"] = body = agent_key.pem.reveal().splitlines()[1]
    assert body not in login(code=2, **given).output


@pytest.mark.parametrize(("shift", "word"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_wrong_clock(world, agent_key, tmp_path, shift, word):  # noqa: F811
    agent = add_agent(
        world.database, "ada@example.com", public_key=agent_key.public_pem, now=int(time.time())
    )
    path = tmp_path / "agent.pem"
    path.write_text(agent_key.pem.reveal())
    path.chmod(0o600)
    words = ["login", f"{world.website}/me", "--agent-id", agent.agent_id, "--model", "m"]
    elsewhen = f"import time; now = time.time; time.time = lambda: now() + {shift}; "
    done = subprocess.run(
        [sys.executable, "-c", elsewhen + MAIN, *words, "--issuer", world.issuer],
        env={**os.environ, "AUTH_AGENT_AGENT_PRIVATE_KEY": str(path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "clock_wrong" in done.stderr
    assert re.search(rf"3,(59|60)\d seconds {word}", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080", "proxy_failed"),  # as GNOME writes it
        ("HTTPS_PROXY", "http://user:p#w@proxy.example:3128", "proxy_failed"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem", "tls_failed"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used(world, variable, value, code):  # noqa: F811
    words = ["login", "https://shop.example/me", "--agent-id", "a", "--issuer", world.issuer]
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-m", "auth_agent", *words, "--json"],
        env={**kept, variable: value, "AUTH_AGENT_AGENT_SECRET": "ags_1"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "")
    told = json.loads(done.stdout)
    assert told["error"] == code
    assert variable in told["error_description"]
    assert "p#w" not in done.stdout


EVIL = {"login_url": "/login", "issuer": "\x1b]0;owned\x07\x1b[2J\n" + "x" * 300_000}


def test_no_terminal_obeys_a_website(login, world):  # noqa: F811
    world.shop.instead["/evil"] = JSONResponse(EVIL, 401)
    told = login(code=1, url="/evil").stderr
    assert "issuer_not_allowed" in told
    assert len(told) < 800
    world.shop.instead["/words"] = HTMLResponse("<p>a\x1b[2J\u202eb", 403)
    told += login(code=1, url="/words").output
    world.shop.instead["/me"] = HTMLResponse("<p>welcome \x1b[31m\u202e \x9b2J")
    told += login(url="/auth-agent/login?next=/me").output
    assert all(letter.isprintable() or letter == "\n" for letter in told)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_stream_that_cannot_hold_every_character(world, encoding):  # noqa: F811
    """As in a pipe on Windows, or with LC_ALL=C."""
    world.shop.instead["/me"] = HTMLResponse("<p>Caf\u00e9 \u2615 \u4f60")
    words = ["login", f"{world.website}/auth-agent/login?next=/me", "--agent-id", world.agent_id]
    done = subprocess.run(
        [sys.executable, "-m", "auth_agent", *words, "--model", "m", "--issuer", world.issuer],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0",
             "AUTH_AGENT_AGENT_SECRET": world.secret},
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Signed in." in done.stdout
    assert b"Caf" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("no_color", [False, True])
def test_lines_wrap_at_the_terminals_width(world, no_color):  # noqa: F811
    terminal, theirs = os.openpty()
    words = ["login", f"{world.website}/me", "--agent-id", world.agent_id, "--model", "m"]
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"COLUMNS": "50", "TERM": "xterm", "AUTH_AGENT_AGENT_SECRET": world.secret}
    environment |= {"NO_COLOR": "1"} if no_color else {}
    with subprocess.Popen(
        [sys.executable, "-m", "auth_agent", *words, "--issuer", world.issuer],
        env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(terminal, 65_536):
                shown += chunk
        except OSError:  # the other end is closed: Linux says so with EIO
            pass
        assert process.wait(30) == 0, shown
    os.close(terminal)
    text = shown.decode()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    verdict = next(line for line in text.splitlines() if "Signed in." in line)
    assert ("\x1b[1;32m" in verdict) is not no_color
    for line in plain.splitlines():
        longest = max(map(len, line.split() or [""]))
        assert len(line) <= max(50, longest + 4), line


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_secret_may_be_typed_and_is_not_shown(world):  # noqa: F811
    terminal, theirs = os.openpty()
    words = ["login", f"{world.website}/me", "--agent-id", world.agent_id, "--json", "--model", "m"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *words, "--issuer", world.issuer],
        env={k: v for k, v in os.environ.items() if not k.startswith("AUTH_AGENT")},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while not shown.endswith(b": "):  # by now nothing that is typed is shown
            shown += os.read(terminal, 1_024)
        os.write(terminal, world.secret.encode() + b"\n")
        answer = json.loads(process.communicate(timeout=30)[0])
    os.close(terminal)
    assert answer["ok"] is True
    assert world.secret.encode() not in shown


def test_help_names_the_exit_codes():
    told = CliRunner().invoke(app, ["login", "--help"], env={"COLUMNS": "200"}).stdout
    for word in ("Exit codes", "AUTH_AGENT_AGENT_SECRET", "--json"):
        assert word in told
