"""`auth-agent sign`: what it prints makes curl's request a signed one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from auth_agent.cli.program import app
from tests.sdk.witness import pem_of

runner = CliRunner()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("AUTH_AGENT"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def environment(signing):
    return {
        "AUTH_AGENT_AGENT_ID": signing.agent_id,
        "AUTH_AGENT_AGENT_ISSUER": signing.name.partition("/agents/")[0],
        "AUTH_AGENT_AGENT_SIGNING_KEY": str(signing.path),
    }


def run(*words, code=0, **env):
    result = runner.invoke(app, ["sign", *words], env=env)
    assert result.exit_code == code, result.output
    return result


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_sends_what_is_printed(signing, witness, tmp_path):
    url = f"{witness.origin}/orders?draft=1"
    (tmp_path / "order.json").write_text('{"loaves": 2}')
    for more, curl in (
        ((), ()),
        (("--body", "order.json"), ("--data-binary", "@order.json")),
        (("--method", "DELETE"), ("-X", "DELETE")),
    ):
        made = subprocess.run(
            [sys.executable, "-m", "auth_agent", "sign", url, *more],
            env={**os.environ, **environment(signing)}, capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        told = subprocess.run(
            ["curl", "-s", "--noproxy", "*", "-H", "@-", *curl, url],
            input=made.stdout, capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        assert json.loads(told.stdout) == {"agent": signing.name, "problem": ""}
    assert [one.method for one in witness.seen] == ["GET", "POST", "DELETE"]
    assert '"content-digest"' in witness.seen[1].covered


def test_one_json_object(signing):
    given = environment(signing)
    found = json.loads(run("https://shop.example/x", "--json", **given).stdout)
    assert set(found["headers"]) == {"Signature-Agent", "Signature-Input", "Signature"}
    older = run("https://shop.example/x", "--string-form", **given).stdout
    assert f'Signature-Agent: "{signing.name}"' in older
    named = ("--signature-agent", "https://id.example/x", "--signing-key", str(signing.path))
    assert 'sig1="https://id.example/x"' in run("https://shop.example/x", *named).stdout
    inline = {**given, "AUTH_AGENT_AGENT_SIGNING_KEY": pem_of(signing.key)}
    assert "Signature: " in run("https://shop.example/x", **inline).stdout


def test_refusals_name_the_remedy(signing, tmp_path):
    given = environment(signing)
    for words, changes, text in (
        (("http://shop.example/",), {}, "use https"),
        (("https://shop.example/",), {"AUTH_AGENT_AGENT_ID": ""}, "name the signer"),
        (("https://shop.example/",), {"AUTH_AGENT_AGENT_SIGNING_KEY": ""}, "no signing key"),
        (("https://shop.example/", "--body", "none.txt"), {}, "cannot be read"),
        (("https://shop.example/", "--method", "GET\nX: y"), {}, "not an HTTP method"),
        (("https://shop.example/",), {"AUTH_AGENT_AGENT_ISSUER": "http://id.example"}, "use https"),
    ):
        result = run(*words, code=1, **{**given, **changes})
        assert text in result.stderr, words
        assert "PRIVATE" not in result.output
    signing.path.chmod(0o644)
    assert "chmod 600" in run("https://shop.example/", code=1, **given).stderr
