"""Metrics, logs, readiness, sweeping, the first start, and a stop that finishes its work."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import DBAPIError

from auth_agent.secret import Secret
from auth_agent.server import Database
from auth_agent.server.registry import clients
from auth_agent.server.registry.people import administrators as console_accounts
from auth_agent.server.storage.tables import people
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.tokens import endings
from auth_agent.server.web.logs import JsonFormatter, log_config
from tests.server.conftest import Build
from tests.server.people import Person, administrator, signed_in
from tests.server.world import NOW, World
from tests.services import free_port

ROOT = Path(__file__).parents[2]


def sample(text: str, name: str, **labels: str) -> float:
    return sum(
        each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == name and labels.items() <= each.labels.items()
    )


def test_metrics_count_what_happens(world: World) -> None:
    person = Person(world)
    before = person.get("/metrics").text
    world.tokens()
    world.answer(world.open(world.browser()), agent_secret="wrong")
    answer = person.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    for labels in (
        {"kind": "token", "outcome": "issued"},
        {"kind": "approval", "outcome": "approved"},
        {"kind": "approval", "outcome": "invalid_credentials"},
    ):
        name = "auth_agent_events_total"
        assert sample(answer.text, name, **labels) == sample(before, name, **labels) + 1
    name = "auth_agent_request_seconds_count"
    for labels in ({"endpoint": "token", "status": "2xx"},):
        assert sample(answer.text, name, **labels) == sample(before, name, **labels) + 1


def test_the_waiting_page_says_what_published_agents_look_for(world: World) -> None:
    page = world.browser().get("/authorize", params=world.request()).text
    assert "authenticating AI agent" in re.sub(r"<title>.*?</title>", "", page)


def test_metrics_tell_nobody_else(build: Build) -> None:
    secrets = (Secret("s" * 32),)
    world = build(secrets=secrets)
    assert Person(world, "192.0.2.1").get("/metrics").status_code == 404
    public = build(issuer="https://id.example", secrets=secrets)
    assert Person(public).get("/metrics").status_code == 404
    guarded = build(metrics_token=Secret("a token for metrics"), secrets=secrets)
    person = Person(guarded, "192.0.2.1")
    for wrong in ("", "Bearer x", "Basic a token for metrics", "Bearer é"):
        headers = {"authorization": wrong.encode()} if wrong else {}
        answer = person.http.get("/metrics", headers=headers)
        assert answer.status_code == 401
        assert "auth_agent" not in answer.text
    headers = {"authorization": "Bearer a token for metrics"}
    assert person.http.get("/metrics", headers=headers).status_code == 200


def test_metrics_hold_nothing_that_came_in(world: World) -> None:
    world.answer(world.open(world.browser()), agent_id="agent_canary", agent_secret="wrong")
    world.browser().get("/canary/path")
    assert "canary" not in Person(world).get("/metrics").text


def test_ready_tells_of_database_and_keys(build: Build) -> None:
    world = build()
    assert world.browser().get("/ready").json() == {"status": "ready"}
    for key in world.context.keyring.current().keys:
        assert key
    other = build()
    other.context.keyring._snapshot = None
    other.context.keyring._sealing = []
    answer = other.browser().get("/ready")
    assert (answer.status_code, answer.json()["error"]) == (503, "signing key")


def test_without_its_database_the_server_says_so_and_comes_back(own_world: World) -> None:
    """Programs get JSON, people a page; neither learns more than that."""
    if not own_world.database.is_sqlite:
        return
    administrator(own_world)
    ada = signed_in(own_world)
    assert ada.get("/health").status_code == 200
    path = Path(own_world.context.settings.database.removeprefix("sqlite:///"))
    own_world.database.close()  # what it has open would still be read after the file has gone
    away = path.rename(path.with_suffix(".away"))
    path.mkdir()
    answer = ada.get("/ready")
    assert (answer.status_code, answer.json()["error"]) == (503, "database")
    assert ada.get("/health").status_code == 200
    ada.http.cookies.set("auth_agent_owner", "x" * 43)
    pages = ("/console", "/console/audit", "/console/setup?token=x", "/owner")
    for page in (*pages, "/authorize/continue?request_id=x"):
        answer = ada.http.get(page)
        assert answer.status_code == 503, page
        assert "<h1>Not at present</h1>" in answer.text
        assert "sqlite" not in answer.text
        assert answer.headers["retry-after"] == "5"
    path.rmdir()
    away.rename(path)
    assert ada.get("/ready").json() == {"status": "ready"}
    assert ada.get("/console").status_code == 200


def test_a_database_that_was_never_opened_is_told_of_as_well(build: Build) -> None:
    """Covers the first request that would be served on the event loop's thread."""
    world = build()
    if not world.database.is_sqlite:
        return
    path = Path(world.context.settings.database.removeprefix("sqlite:///"))
    world.database.engine.dispose()
    away = path.rename(path.with_suffix(".away"))
    path.mkdir()
    answer = world.browser().get("/authorize", params=world.request())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "<h1>Not at present</h1>" in answer.text
    path.rmdir()
    away.rename(path)
    assert world.tokens()


def test_a_json_line_for_each_event(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "auth_agent.server.audit")
    secret = world.agent.agent_secret.reveal()
    tokens = world.tokens()
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    found = [line for line in lines if line["logger"] == "auth_agent.server.audit"]
    assert [(line["kind"], line["outcome"]) for line in found] == [
        ("approval", "approved"),
        ("token", "issued"),
    ]
    assert all(line["agent_id"] == world.agent.agent_id for line in found)
    assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{3}Z", line["time"]) for line in found)
    shown = json.dumps(lines)
    assert not any(each in shown for each in (secret, *tokens.values()) if isinstance(each, str)
                   and each not in ("Bearer", tokens["scope"]))  # fmt: skip


def test_a_json_line_is_bounded_and_safe_on_a_terminal(
    own_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "auth_agent.server.audit")
    claimed = "x\x9b2J\u202e" + "y" * 8_000
    answer = own_world.browser().post("/token", data={"grant_type": "x", "client_id": claimed})
    assert answer.status_code == 400
    (line,) = (JsonFormatter().format(record) for record in caplog.records)
    assert (line.isascii(), line.isprintable(), len(line) < 1_000) == (True, True, True)
    assert json.loads(line)["client_id"] == claimed[:255]


def test_a_json_line_holds_the_exception_and_stays_one_line() -> None:
    try:
        int("two\nlines")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "bad\nthing", (), sys.exc_info()
        )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["exception"]
    assert log_config("text")["loggers"]["auth_agent"]["level"] == "WARNING"


def test_what_people_left_behind_is_swept(own_world: World) -> None:
    administrator(own_world)
    signed_in(own_world)
    console_accounts.make_setup_link(own_world.database, None, own_world.context.now())
    Person(own_world).send("/console/sign-in", name="ada", password="wrong password")
    Person(own_world).send("/owner/sign-in", email="nobody@nowhere.example")
    with own_world.database.begin() as connection:
        row = {"request_id": "r", "agent_id": "a", "model": "m", "code_hash": "h", "guesses": 0}
        row |= {"mails": 1, "created_at": 1, "expires_at": own_world.context.now()}
        connection.execute(insert(people.second_step), row)
    tables = ("browser_session", "setup_link", "failed_attempt", "mailed_proof", "second_step")
    assert all(count(own_world, name) for name in tables)
    own_world.context.sweeper.sweep(own_world.context.now())
    assert all(count(own_world, name) for name in tables)
    own_world.clock.forward(2 * 86_400)
    own_world.context.sweeper.sweep(own_world.context.now())
    assert [name for name in tables if count(own_world, name)] == []


def _refused(world: World, statement: str) -> None:
    with (
        pytest.raises(DBAPIError, match="the audit is append only"),
        world.database.begin() as connection,
    ):
        connection.exec_driver_sql(statement)


def test_the_database_refuses_to_rewrite_the_audit(own_world: World) -> None:
    own_world.tokens()
    _refused(own_world, "UPDATE audit SET outcome = 'refused'")
    _refused(own_world, "UPDATE audit SET at = 0 WHERE id = 1")
    _refused(own_world, "DELETE FROM audit WHERE id = 1")
    _refused(own_world, "DELETE FROM audit")
    line = "INTO audit (id, at, kind, outcome) VALUES (1, 0, 'agent', 'added')"
    _refused(own_world, f"INSERT {line} ON CONFLICT (id) DO UPDATE SET at = 0")
    if own_world.database.is_sqlite:
        for verb in ("INSERT OR REPLACE", "REPLACE", "INSERT"):
            _refused(own_world, f"{verb} {line}")
    else:
        _refused(own_world, "TRUNCATE audit")


def test_audit_lines_are_kept_for_the_shortest_retention_and_swept_after_the_longest(
    own_world: World,
) -> None:
    """Counts by the database's clock: a server's clock that is ahead makes no line old."""
    now, day = int(time.time()), 86_400
    rows = [
        {"at": now - age * day, "kind": "agent", "outcome": outcome}
        for age in (0, 2, 29, 31, 731)
        for outcome in ("added", "refused")
    ]
    with own_world.database.begin() as connection:
        connection.execute(insert(audit), rows)
    for outcome, age in (("refused", 0), ("added", 2), ("added", 29)):
        fresh = (audit.c.outcome == outcome, audit.c.at == now - age * day)
        with (
            pytest.raises(DBAPIError, match="the audit is append only"),
            own_world.database.begin() as connection,
        ):
            connection.execute(delete(audit).where(*fresh))
    own_world.context.sweeper.sweep(now)
    with own_world.database.read() as connection:
        old = select(audit.c.outcome, audit.c.at).where(audit.c.at <= now)
        kept = {(row.outcome, (now - row.at) // day) for row in connection.execute(old)}
    assert kept >= {("added", age) for age in (0, 2, 29, 31)} | {("refused", 0), ("refused", 2)}
    assert not kept & {("refused", 31), ("refused", 731), ("added", 731)}


def count(world: World, name: str) -> int:
    table = getattr(people, name)
    with world.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


# Real servers


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/auth-agent.db"


@contextmanager
def serving(url: str, *options: str, **environ: str) -> Iterator[Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from auth_agent.cli import main; main()", "serve"]
    command += ["--database", url, "--port", str(port), *options]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AUTH_AGENT", "PROMETHEUS"))}
    with subprocess.Popen(
        command, cwd=ROOT, env={**kept, **environ}, stderr=subprocess.PIPE, text=True
    ) as server:
        server.base, server.port = f"http://127.0.0.1:{port}", port
        server.told = []
        assert server.stderr
        reader = threading.Thread(target=lambda: server.told.extend(server.stderr), daemon=True)
        reader.start()
        try:
            _wait_for(server)
            yield server
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
            server.wait(30)
            reader.join(5)


def _wait_for(server: Any) -> None:
    end = time.monotonic() + 120  # a busy machine starts slowly
    while True:
        try:
            httpx2.get(server.base + "/health")
        except httpx2.TransportError:
            assert time.monotonic() < end
            assert server.poll() is None, server.told
            time.sleep(0.05)
        else:
            return


def test_a_stop_finishes_the_request_in_flight_and_the_first_start_prints_a_link(url: str) -> None:
    database = Database.open(url)
    client = clients.add_client(database, "Shop", ["https://shop.example/cb"], now=NOW)
    database.close()
    assert client.client_secret
    body = f"token=x&client_id={client.client_id}&client_secret={client.client_secret.reveal()}"
    head = (
        "POST /introspect HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with serving(url, AUTH_AGENT_SERVER_LOG_FORMAT="json") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall((head + body[:5]).encode())
            time.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(httpx2.TransportError):
                httpx2.get(server.base + "/health")
            connection.sendall(body[5:].encode())
            answer = connection.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 200")
        assert answer.endswith('{"active":false}')
        assert server.wait(20) in (0, -signal.SIGTERM)
    told = "".join(server.told)
    link = re.search(r"http://127\.0\.0\.1:\d+/console/setup\?token=([\w-]{43})", told)
    assert link, told
    assert "insecure" in told
    assert client.client_secret.reveal() not in told
    database = Database.open(url)
    with database.read() as connection:
        assert console_accounts.find_setup_link(connection, link[1], int(time.time()))
    console_accounts.create_account(database, "ada", None, 1)
    database.close()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_database_that_will_not_do_stops_the_start_with_its_remedy(
    backend: Any, is_there: bool
) -> None:
    if backend is None:
        return  # SQLite makes what is missing
    url = backend.create() if is_there else "postgresql://auth@127.0.0.1:1/nowhere"
    command = [sys.executable, "-c", "from auth_agent.cli import main; main()", "serve"]
    environ = {**os.environ, "AUTH_AGENT_SERVER_SECRET": "s" * 32}
    ended = subprocess.run(
        [*command, "--database", url, "--port", str(free_port())], cwd=ROOT, env=environ,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ("auth-agent migrate" if is_there else "cannot be opened") in ended.stderr


def test_two_workers_tell_one_truth_and_log_events_as_json(url: str) -> None:
    database = Database.open(url)
    console_accounts.create_account(database, "ada", Secret("a long password"), 1)
    database.close()
    environ = {
        "AUTH_AGENT_SERVER_LOG_FORMAT": "json",
        "AUTH_AGENT_SERVER_METRICS_TOKEN": "a token for metrics",
    }
    with serving(url, "--workers", "2", **environ) as server:
        for _ in range(20):
            form = {"grant_type": "x", "client_id": "nobody"}
            assert httpx2.post(server.base + "/token", data=form).status_code in (400, 401)
        headers = {"authorization": "Bearer a token for metrics"}
        counts = [
            sample(
                httpx2.get(server.base + "/metrics", headers=headers).text,
                "auth_agent_request_seconds_count",
                endpoint="token",
            )
            for _ in range(5)
        ]
        assert counts == [20.0] * 5
    told = "".join(server.told)
    assert "console/setup" not in told
    assert "without Redis" in told
    events = [json.loads(line) for line in server.told if line.startswith("{")]
    assert {event["outcome"] for event in events} >= {"refused"}
    assert "a token for metrics" not in told


# Backup and restore, with the very commands of the documentation


def pages_of_the_server() -> str:
    return "".join(page.read_text() for page in sorted((ROOT / "docs" / "server").glob("*.md")))


def documented(name: str) -> str:
    text = pages_of_the_server()
    found = re.search(rf"<!-- test: {name} -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found, name
    return found[1]


def run_documented(name: str, **environ: str) -> None:
    if shutil.which(documented(name).split()[0]) is None:
        reason = f"{documented(name).split()[0]} is not installed"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    subprocess.run(
        ["sh", "-euc", documented(name)], env={**os.environ, **environ}, check=True, timeout=60
    )


def test_a_backup_made_while_the_server_runs_is_restored(
    build: Build, backend: Any, tmp_path: Path
) -> None:
    kind = "sqlite" if backend is None else "postgresql"
    world = build(secrets=(Secret("s" * 32),))
    url = world.context.settings.database
    environ = {"BACKUP_FILE": str(tmp_path / "backup")}
    environ |= {"DATABASE_FILE": url.removeprefix("sqlite:///"), "DATABASE_URL": url}
    tokens = world.tokens()
    run_documented(f"{kind} backup", **environ)
    endings.disable_agent(world.database, world.agent.agent_id, world.context.now())
    assert world.introspect(tokens["access_token"]) == {"active": False}
    world.context.close()
    run_documented(f"{kind} restore", **environ)
    restored = build(secrets=(Secret("s" * 32),))
    restored.clock.now = world.clock.now
    assert restored.introspect(tokens["access_token"])["active"] is True
    assert restored.verified(tokens["id_token"], restored.shop.client_id)
    assert restored.refresh(tokens["refresh_token"]).status_code == 200
    assert restored.tokens()


def test_the_documentation_names_commands_and_settings_that_exist() -> None:
    from typer.main import get_command

    from auth_agent.cli.program import app
    from auth_agent.server import ServerSettings

    text = pages_of_the_server()
    known = {"SECRET", *(name.upper() for name in ServerSettings.__struct_fields__)}
    assert set(re.findall(r"AUTH_AGENT_SERVER_([A-Z_]*[A-Z])\b", text)) <= known
    lines = re.findall(r"^auth-agent (.+)|`auth-agent ([^`]+)`", text, re.MULTILINE)
    assert len(lines) > 10
    for words in ((first or second).split() for first, second in lines):
        command: Any = get_command(app)
        for word in words:
            if not hasattr(command, "commands"):
                break
            command = command.commands[word]
        assert not hasattr(command, "commands") or not command.no_args_is_help, words
        options = {name for each in command.params for name in each.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_a_primary_that_became_a_standby_is_left_for_the_new_one(build: Build) -> None:
    """The connections of the pool go on to answer, but take no writes."""
    world = build()
    if world.database.is_sqlite:
        return
    url = world.context.settings.database
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        world.database.engine.dispose()
        answer = world.browser().get("/authorize", params=world.request())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    assert world.tokens()
