"""How long the console's pages take with 100,000 sign-ins and 10,000 agents.

`python -m benchmarks.console_pages [DATABASE_URL]`: an SQLite file of its own, or an empty database
whose schema `auth-agent migrate` has made.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import insert

from auth_agent.server.bounds import DAY
from auth_agent.server.console import grants, log, queries
from auth_agent.server.console.administrators.overview import attention, statistics
from auth_agent.server.storage.database import Database
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family

AGENTS, WEBSITES, SIGN_INS = 10_000, 200, 100_000
PERIOD = 30 * DAY
_MODELS = [f"model-{number}" for number in range(12)]
_REFUSALS = (
    ("approval", "invalid_credentials"),
    ("approval", "denied"),
    ("approval", "invalid_code"),
    ("token", "refused"),
    ("owner question", "expired"),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder)}/console.db"
        database = Database.open(url)
        database.migrate()
        now = int(time.time())
        _fill(database, now)
        for name, query in _queries(now).items():
            print(f"{name:42}{_milliseconds(database, query):8.1f} ms")
        database.close()


def _queries(now: int) -> dict[str, Callable[[Any], Any]]:
    some_agent, some_site = "agent_000017", "client_0007"
    pages = {
        f"sign-ins, {name}": (lambda c, f=filters, p=page: log.list_history(c, f, p))
        for name, filters, page in (
            ("first page", {}, 1),
            ("page 2,000", {}, 2_000),
            ("one agent", {"agent": some_agent}, 1),
            ("owner's address", {"agent": "owner17@"}, 1),
            ("many agents", {"agent": "owner"}, 1),
            ("one website", {"website": some_site}, 1),
            ("rare outcome", {"outcome": "invalid_code"}, 1),
            ("no such outcome", {"outcome": "nothing"}, 1),
            ("no such address", {"address": "192.0.2.250"}, 1),
            ("one day", {"from": _day(now - 9 * DAY), "to": _day(now - 9 * DAY)}, 1),
        )
    }
    audits = {
        f"audit, {name}": (lambda c, f=filters, p=page: log.list_audit(c, f, p))
        for name, filters, page in (
            ("first page", {}, 1),
            ("page 2,000", {}, 2_000),
            ("one agent", {"agent": some_agent}, 1),
            ("one website", {"website": some_site}, 1),
            ("rare kind", {"kind": "key"}, 1),
            ("no such actor", {"actor": "nobody"}, 1),
        )
    }
    return {
        "overview, numbers": lambda c: queries.counts(c, now),
        **{
            f"overview, chart of {name}": (lambda c, n=name: statistics.read_chart(c, n, now))
            for name in statistics.PERIODS
        },
        **{
            f"overview, top lists of {name}": (lambda c, n=name: statistics.read_top(c, n, now))
            for name in statistics.PERIODS
        },
        "overview, what needs attention": lambda c: attention.read_attention(c, now),
        **pages,
        **audits,
        "audit, words": log.audit_words,
        "agents, first page": lambda c: queries.list_agents(c, {}, 1),
        "agents, page 200": lambda c: queries.list_agents(c, {}, 200),
        "agents, search": lambda c: queries.list_agents(c, {"q": "owner9999"}, 1),
        "websites": lambda c: queries.list_websites(c, {}, 1),
        "active sign-ins, first page": lambda c: grants.list_grants(c, now, {}, 1),
        "active sign-ins, page 1,000": lambda c: grants.list_grants(c, now, {}, 1_000),
        "active sign-ins, one website": lambda c: grants.list_grants(
            c, now, {"website": some_site}, 1
        ),
        "an owner's agents": lambda c: queries.agents_of(c, "owner17@example.com"),
    }


def _milliseconds(database: Database, query: Callable[[Any], Any]) -> float:
    clock = time.process_time if database.is_sqlite else time.perf_counter
    took = []
    for _ in range(5):
        start = clock()
        with database.read() as connection:
            query(connection)
        took.append(clock() - start)
    return 1_000 * median(took)


def _fill(database: Database, now: int) -> None:
    chance = random.Random(7)  # noqa: S311  # no secret
    agents = [_agent(number, now) for number in range(AGENTS)]
    sites = [_client(f"client_{number:04}", now) for number in range(WEBSITES)]
    sites += [_client(row["id"], now, row["id"]) for row in agents]
    with database.begin() as connection:
        for table, rows in ((agent, agents), (client, sites)):
            connection.execute(insert(table), rows)
        for lines, families in _batches(chance, now):
            connection.execute(insert(audit), lines)
            connection.execute(insert(token_family), families)
    if database.is_sqlite:
        return  # nothing gathers statistics there
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def _batches(chance: random.Random, now: int) -> Iterator[tuple[list[Any], list[Any]]]:
    for first in range(0, SIGN_INS, 5_000):
        lines, families = [], []
        for number in range(first, first + 5_000):
            at = now - PERIOD + PERIOD * number // SIGN_INS
            who = f"agent_{int(AGENTS * chance.random() ** 2):06}"
            where = f"client_{int(WEBSITES * chance.random() ** 2):04}"
            if chance.random() < 0.1:
                lines.append(_line(at, chance.choice(_REFUSALS), who, where, number))
            lines.append(_line(at, ("approval", "approved"), who, where, number))
            lines.append(_line(at, ("token", "issued"), who, where, number))
            if chance.random() < 0.5:
                lines.append(_line(at, ("refresh", "issued"), who, where, number))
            families.append({**_family(number, at, now), "agent_id": who, "client_id": where})
        yield lines, families


def _agent(number: int, now: int) -> dict[str, Any]:
    return {
        "id": f"agent_{number:06}",
        "email": f"owner{number}@example.com",
        "email_verified": number % 50 != 0,
        "name": f"Owner {number}",
        "display_name": f"Agent {number}",
        "model": _MODELS[number % len(_MODELS)],
        "scopes": None,
        "permissions": "",
        "secret_hash": "x" * 60 if number % 3 else None,
        "jwks": None if number % 3 else '{"keys": []}',
        "require_origin": False,
        "created_at": now - PERIOD - number,
        "updated_at": now,
    }


def _client(client_id: str, now: int, agent_id: str | None = None) -> dict[str, Any]:
    return {
        "id": client_id,
        "name": f"Shop {client_id}",
        "auth_method": "agent" if agent_id else "client_secret",
        "redirect_uris": f"https://{client_id}.example/auth-agent/callback",
        "scopes": "openid profile email",
        "resources": "",
        "upstream_compat": False,
        "created_at": now - PERIOD,
        "agent_id": agent_id,
    }


def _line(
    at: int, what: tuple[str, str], agent_id: str, client_id: str, number: int
) -> dict[str, Any]:
    return {
        "at": at,
        "kind": what[0],
        "outcome": what[1],
        "agent_id": agent_id,
        "client_id": client_id,
        "request_id": f"req_{number:032}",
        "address": f"198.51.100.{number % 200}",
        "actor": None,
    }


def _family(number: int, at: int, now: int) -> dict[str, Any]:
    return {
        "id": f"fam_{number:040}",
        "scope": "openid profile email",
        "audience": "https://shop.example",
        "model": _MODELS[number * number % len(_MODELS)],
        "amr": "pwd",
        "auth_time": at,
        "refresh_hash": f"{number:064}",
        "refresh_issued_at": at,
        "refresh_expires_at": now + DAY,
        "access_expires_at": at + 300,
        "created_at": at,
        "expires_at": now + PERIOD,
        "revoked_at": at + 60 if number % 3 == 0 else None,
    }


def _day(at: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


if __name__ == "__main__":
    main()
