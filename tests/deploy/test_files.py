"""The files of deploy/: what they name exists, and nginx accepts its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from auth_agent.server.api import routes as api
from auth_agent.server.settings import VARIABLES, ServerSettings
from auth_agent.server.storage.audit import KINDS
from auth_agent.server.web.counters import families
from tests.services import free_port
from tests.tls import make_certificate

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
METRIC = re.compile(r"\b(auth_agent_\w+?)(?:_bucket|_count|_sum)?(?=[{\[\s)]|$)")


def expressions() -> list[str]:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
    return [*asked, *(rule["expr"] for rule in rules)]


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_and_every_word_of_a_query_is_the_servers(expression: str) -> None:
    known = {name: set(labels) for name, labels, _ in families()}
    named = METRIC.findall(expression)
    assert named or expression.startswith("up{")
    assert set(named) <= set(known)
    labels = known["auth_agent_events_total"] | known["auth_agent_request_seconds"]
    for label, words in re.findall(r'(\w+)=~?"([^"]+)"', expression):
        assert label in {*labels, "job"}
        if label == "kind":
            assert set(words.split("|")) <= set(KINDS)
        if label == "outcome":
            assert all(f'"{word}"' in server_code() for word in words.split("|"))


def server_code() -> str:
    room = ROOT / "src/auth_agent/server"
    return "".join(path.read_text() for path in room.rglob("*.py"))


def test_a_query_with_a_metric_that_does_not_exist_would_be_found() -> None:
    assert METRIC.findall("rate(auth_agent_logins_total[5m])") == ["auth_agent_logins_total"]
    assert "auth_agent_logins_total" not in {name for name, _, _ in families()}


def test_every_alert_says_what_to_do_and_is_on_the_page() -> None:
    page = (ROOT / "docs/server/monitoring.md").read_text()
    for rule in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]:
        assert set(rule["annotations"]) == {"summary", "remedy"}
        assert f"| `{rule['alert']}` |" in page


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_exists(path: Path) -> None:
    assert set(re.findall(r"AUTH_AGENT_SERVER_[A-Z_]+(?<!_)", path.read_text())) <= set(VARIABLES)


def test_the_server_accepts_the_settings_of_compose_and_kubernetes() -> None:
    offered = (DEPLOY / "compose.env.example").read_text()
    compose = dict(re.findall(r"^(\w+)=(.*)", offered, re.MULTILINE))
    server = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["server"]
    secrets = {
        "AUTH_AGENT_SERVER_SECRET": "s" * 43,
        "AUTH_AGENT_SERVER_METRICS_TOKEN": "t" * 32,
        "AUTH_AGENT_SERVER_DATABASE": "postgresql://a:b@database/auth-agent",
    }
    for variables in ({**compose, **server["environment"]}, kubernetes()["ConfigMap"]["data"]):
        own = {**variables, **secrets, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
        assert ServerSettings.from_env(own).issuer == "https://id.example"


def kubernetes() -> dict[str, Any]:
    texts = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {each["kind"]: each for each in texts}


def test_kubernetes_asks_the_right_addresses_and_gives_no_rights() -> None:
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    served = {route.path for route in api.ROUTES if route.method == "GET"}
    for probe, path in {"liveness": "/health", "startup": "/health", "readiness": "/ready"}.items():
        assert server[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "http"}
        assert path in served
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["volumes"][0]["secret"]["defaultMode"] == 0o400
    for container in (*pod["initContainers"], server):
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}
    assert [each["args"][0] for each in pod["initContainers"]] == ["migrate"]


def test_secret_settings_reach_the_process_of_a_pod(tmp_path: Path) -> None:
    """Runs the container's own script, with `env` in place of the server."""
    (server,) = kubernetes()["Deployment"]["spec"]["template"]["spec"]["containers"]
    *shell, script, name = server["command"]
    value = "postgresql://a:b@c/d?e=f $HOME 'quoted'"
    (tmp_path / "AUTH_AGENT_SERVER_DATABASE").write_text(value + "\n")
    script = script.replace("/run/secrets/auth-agent", str(tmp_path)).replace(
        'auth-agent "$@"', "printenv AUTH_AGENT_SERVER_DATABASE"
    )
    done = subprocess.run([*shell, script, name], capture_output=True, text=True, check=True)
    assert done.stdout == value + "\n"


def test_compose_migrates_before_it_serves_and_publishes_the_proxy_alone() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    wanted = services["server"]["depends_on"]["migrate"]
    assert wanted == {"condition": "service_completed_successfully"}
    assert [name for name, each in services.items() if "ports" in each] == ["proxy"]
    assert services["redis"]["command"][1:3] == ["--maxmemory-policy", "noeviction"]
    needed = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    offered = re.findall(r"^(\w+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE)
    assert needed <= set(offered)


@pytest.mark.parametrize("name", ["server", "website"])
def test_nginx_accepts_its_file(name: str, tmp_path: Path) -> None:
    nginx = shutil.which("nginx")
    if nginx is None:
        pytest.fail("nginx is missing") if os.environ.get("CI") else pytest.skip("nginx is missing")
    certificate, key = make_certificate(tmp_path)
    text = (DEPLOY / "nginx" / f"{name}.conf").read_text()
    text = re.sub(r"/etc/letsencrypt/live/[\w.]+/fullchain.pem", str(certificate), text)
    text = re.sub(r"/etc/letsencrypt/live/[\w.]+/privkey.pem", str(key), text)
    text = text.replace("/var/log/nginx", str(tmp_path))
    for port in ("80", "443"):
        text = re.sub(rf"(listen (?:\[::\]:)?){port}\b", rf"\g<1>{free_port()}", text)
    text = re.sub(r"listen \[::\].*\n", "", text)  # not every machine of tests has IPv6
    (tmp_path / "site.conf").write_text(text)
    whole = f"pid {tmp_path}/pid; events {{}} http {{ include {tmp_path}/site.conf; }}"
    (tmp_path / "nginx.conf").write_text(whole)
    done = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_file_that_the_documentation_names_exists() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    named = set(re.findall(r"`((?:deploy|packaging)/[\w./-]+)`", pages))
    assert len(named) > 6
    assert [name for name in named if not (ROOT / name).exists()] == []
