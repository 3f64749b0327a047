"""The console's first page: charts, what needs attention, links, and lists as files."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update

from auth_agent.server.bounds import DAY, HOUR
from auth_agent.server.console import exports, grants, log, queries
from auth_agent.server.console.administrators.overview import attention, statistics
from auth_agent.server.console.administrators.overview.chart import drawn
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.registry import agents, clients
from auth_agent.server.registry.people import admin_tokens
from auth_agent.server.storage.audit import record
from auth_agent.server.storage.tables import parties, records, tokens
from auth_agent.server.storage.tables.approvals import owner_question
from tests.server.conftest import Build
from tests.server.people import Person, administrator, signed_in
from tests.server.world import NOW, REDIRECT, World

HREF = re.compile(r'href="(/console[^"]*)"')


@pytest.fixture
def ada(own_world: World) -> Person:
    administrator(own_world)
    return signed_in(own_world)


def happened(world: World, *lines: tuple[int, str, str], **whom: Any) -> None:
    """Writes lines of the audit: (at, kind, outcome)."""
    with world.database.begin() as connection:
        for at, kind, outcome in lines:
            record(connection, at=at, kind=kind, outcome=outcome, **whom)


def read(world: World, query: Callable[..., Any], *arguments: Any) -> Any:
    with world.database.read() as connection:
        return query(connection, *arguments)


def matters(world: World) -> dict[str, attention.Matter]:
    """What needs attention, under the page that it leads to."""
    found = read(world, attention.read_attention, world.context.now())
    return {matter.path: matter for matter in found}


# The chart


def test_each_outcome_is_counted_in_its_bar_under_its_reason(own_world: World) -> None:
    hour = NOW // HOUR * HOUR
    happened(
        own_world,
        (hour, "approval", "approved"),
        (hour - 1, "approval", "approved"),
        (hour - HOUR, "approval", "invalid_credentials"),
        (hour, "agent sign-in", "invalid_credentials"),
        (hour, "approval", "invalid_code"),
        (hour, "approval", "denied"),
        (hour, "owner question", "denied"),
        (hour, "owner question", "expired"),
        (hour, "owner question", "asked"),
        (hour, "token", "refused"),
        (hour, "token", "issued"),
        (hour - 23 * HOUR, "approval", "approved"),
        (hour - 23 * HOUR - 1, "approval", "approved"),
    )
    chart = read(own_world, statistics.read_chart, "24h", NOW)
    assert [bar.start for bar in chart.bars] == [hour - HOUR * n for n in range(23, -1, -1)]
    none = dict.fromkeys(statistics.REASONS, 0)
    assert chart.bars[-1].counts == {
        **none,
        **{"approved": 1, "credentials": 1, "code": 1, "owner": 2, "cancelled": 1, "website": 1},
    }
    assert chart.bars[-2].counts == {**none, "approved": 1, "credentials": 1}
    assert chart.bars[0].counts == {**none, "approved": 1}
    assert chart.highest == 7
    month = read(own_world, statistics.read_chart, "30d", NOW)
    assert month.totals["approved"] == 4
    assert month.bars[-1].end == (NOW // DAY + 1) * DAY
    week = read(own_world, statistics.read_chart, "7d", NOW)
    assert (len(week.bars), week.bars[0].start % DAY) == (28, 0)


def test_a_bar_is_drawn_to_scale_and_one_of_many_is_seen() -> None:
    counts = {**dict.fromkeys(statistics.REASONS, 0), "approved": 999, "website": 1}
    none = dict.fromkeys(statistics.REASONS, 0)
    bars = tuple(
        statistics.Bar(n * DAY, (n + 1) * DAY, counts if n == 29 else none) for n in range(30)
    )
    totals = dict(counts)
    drawing = drawn(statistics.Chart("30d", statistics.PERIODS["30d"], bars, totals))
    assert [column.parts for column in drawing.columns[:29]] == [[]] * 29
    assert [(p.reason, p.y, p.height) for p in drawing.columns[29].parts] == [
        ("approved", 0.1, 99.9),
        ("website", 0.0, 1.0),
    ]
    assert drawing.columns[29].title == "1970-01-30: 999 signed in, 1 website refused"
    assert [(key.text, key.total) for key in drawing.legend] == [
        ("Signed in", 999),
        ("Website refused", 1),
    ]
    assert [line.counts for line in drawing.lines] == [[999, 1]]


def test_the_page_shows_the_period_that_is_asked_for(ada: Person) -> None:
    ada.world.tokens()
    for period, bars in (("", 24), ("24h", 24), ("7d", 28), ("30d", 30), ("1y", 24)):
        page = ada.get("/console", period=period).text
        assert page.count('class="ground"') == bars, period
        assert page.count('aria-current="true"') == 1
    assert "1 signed in</title>" in page
    assert page.count('<ol class="top">') == 3
    assert re.search(r"model=claude-test\D*claude-test", page)


# What needs attention


def test_nothing_needs_attention_where_all_is_well(own_world: World) -> None:
    with own_world.database.begin() as connection:
        agent = parties.agent
        connection.execute(update(agent).values(jwks='{"keys": []}', email_verified=True))
    own_world.tokens()
    assert matters(own_world) == {}


def test_refused_agents_and_websites_are_named_from_the_fifth_refusal_on(ada: Person) -> None:
    world, now = ada.world, ada.world.context.now()
    who, where = world.agent.agent_id, world.shop.client_id
    wrong = (now, "approval", "invalid_credentials")
    happened(world, *[wrong] * 4, (now - DAY, *wrong[1:]), agent_id=who)
    happened(world, *[(now, "token", "refused")] * 4, client_id=where)
    agents_path = f"/sign-ins?agent={who}&outcome=invalid_credentials"
    website_path = f"/audit?website={where}&outcome=refused"
    assert not {agents_path, website_path} & set(matters(world))
    happened(world, wrong, agent_id=who)
    happened(world, (now, "introspection", "refused"), client_id=where)
    happened(world, *[wrong] * 6, agent_id="=<b>nobody")
    found = matters(world)
    assert found[agents_path].text.startswith("refused 5 times")
    assert found[agents_path].is_urgent
    assert found[website_path].about == "The Shop"
    unknown = found["/sign-ins?outcome=invalid_credentials"]
    assert unknown.text.startswith("6 times")
    page = ada.get("/console").text
    assert html.escape(f"/console{agents_path}") in page
    assert "<b>nobody" not in page, "and the audit below escapes it"
    assert page.index("Urgent") < page.index("not registered here")


def test_everything_else_that_needs_attention_is_told(ada: Person) -> None:
    world, now = ada.world, ada.world.context.now()
    admin_tokens.add_admin(world.database, "nightly", now, lifetime=3 * DAY)
    admin_tokens.add_admin(world.database, "yearly", now, lifetime=300 * DAY)
    clients.add_client(world.database, "Old", [REDIRECT], now=now, upstream_compat=True)
    happened(world, (now, "reuse", "revoked"), (now, "mail", "not delivered"))
    happened(world, (now, "back-channel logout", "failed"), client_id=world.shop.client_id)
    happened(world, *[(now, "console sign-in", "refused")] * 10, (now, "refusals", "and 7 more"))
    question = {
        **{"id": "q", "kind": "sign-in", "request_id": "r", "agent_id": world.agent.agent_id},
        **{"owner": "ann@owner.example", "model": "", "amr": "", "scope": "", "client_id": "c"},
        **{"website": "", "origin": "", "asked_at": now, "expires_at": now + 60},
    }
    with world.database.begin() as connection:
        connection.execute(insert(owner_question), question)
        old = update(tokens.signing_key).values(created_at=now - 400 * DAY)
        connection.execute(old)
    found = matters(world)
    for path, words in {
        "/audit?kind=reuse": "a second time",
        "/audit?kind=mail": "1 mail in 24 hours could not be sent",
        f"/audit?website={world.shop.client_id}&kind=back-channel+logout": "has ended",
        "/audit?kind=console+sign-in&outcome=refused": "10 times",
        "/audit?kind=refusals": "not in the audit log",
        "/keys": "400 days old",
        "/keys#tokens": "expires in 3 days",
        "/audit?kind=owner+question&outcome=asked": "1 question",
        "/agents?state=unconfirmed": "1 agent without a confirmed owner",
        "/websites?state=compat": "1 website in compatibility mode",
        "/agents?state=secret": "agents without a key",
    }.items():
        assert words in found.pop(path).text, path
    assert found == {}
    listed = ada.get("/console/keys").text
    assert "nightly" in listed
    assert "yearly" in listed


def test_mail_that_does_not_leave_is_written_down(build: Build) -> None:
    told: list[str] = []
    world = build()
    outbox = world.context.outbox
    outbox._deliver = lambda mail: told.append(mail.to) or _fail()
    outbox._retry_after = ()
    outbox.post(Mail("ann@owner.example", "Hello", "A secret code"))
    outbox.close()
    assert told == ["ann@owner.example"]
    with world.database.read() as connection:
        rows = connection.execute(select(records.audit).where(records.audit.c.kind == "mail")).all()
    assert [(row.outcome, row.agent_id, row.actor) for row in rows] == [
        ("not delivered", None, None)
    ]
    assert "/audit?kind=mail" in matters(world)


def _fail() -> bool:
    raise ConnectionRefusedError


# First steps and links


def test_an_empty_server_leads_to_its_first_sign_in(ada: Person) -> None:
    world = ada.world
    with world.database.begin() as connection:
        connection.execute(update(parties.agent).values(disabled_at=1))
        connection.execute(update(parties.client).values(removed_at=1))
    page = ada.get("/console").text
    for path in ("/console/websites/new", "/console/agents/new", "/console/sign-ins"):
        assert f'href="{path}"' in page
    assert "Add the first website" in ada.get("/console/websites").text
    agents.add_agent(world.database, "new@owner.example", now=world.context.now())
    assert ada.get("/console").text.count('<li class="done">') == 1
    with world.database.begin() as connection:
        connection.execute(update(parties.agent).values(disabled_at=None))
        connection.execute(update(parties.client).values(removed_at=None))
    world.tokens()
    assert "Start here" not in ada.get("/console").text


def test_every_link_of_the_overview_and_of_the_lists_leads_somewhere(ada: Person) -> None:
    world = ada.world
    world.tokens()
    world.answer(world.open(world.browser()), agent_secret="wrong")
    happened(
        world, *[(world.context.now(), "token", "refused")] * 5, client_id=world.shop.client_id
    )
    pages = ("/console", "/console/agents", "/console/sign-ins", "/console/audit", "/console/keys")
    found = {html.unescape(path) for page in pages for path in HREF.findall(ada.get(page).text)}
    about = f"/console/agent?id={world.agent.agent_id}"
    assert {about, f"/console/website?id={world.shop.client_id}"} <= found
    assert f"/console/sign-ins?agent={world.agent.agent_id}" in found
    for path in sorted(found):
        assert ada.http.get(path).status_code == 200, path


def test_a_line_links_only_to_what_is_still_there(ada: Person) -> None:
    world = ada.world
    happened(world, (NOW, "approval", "invalid_credentials"), agent_id="<i>ghost", client_id="gone")
    page = ada.get("/console/audit").text
    assert "<code>&lt;i&gt;ghost</code>" in page
    assert "<code>gone</code>" in page
    assert "id=gone" not in page
    assert "<i>ghost" not in page


def test_lists_are_filtered_by_address_and_name(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ada.world
    world.tokens()
    agents.change_agent(world.database, world.agent.agent_id, NOW, display_name="Shopping agent")
    for page in ("/console/sign-ins", "/console/audit", "/console/grants"):
        all_of = {"kind": "approval"} if page.endswith("audit") else {}
        for words in ("ann@owner", "SHOPPING", world.agent.agent_id):
            assert ada.get(page, agent=words, **all_of).text.count("<tr>") == 2, (page, words)
        assert ada.get(page, agent="nobody", **all_of).text.count("<tr>") == 0, page
        for words in ("the shop", "shop.example", world.shop.client_id):
            assert ada.get(page, website=words, **all_of).text.count("<tr>") == 2, (page, words)
        assert ada.get(page, website="sho_", **all_of).text.count("<tr>") == 0, page
    # More ids than a statement should list.
    monkeypatch.setattr(log, "_FEW", 0)
    assert ada.get("/console/sign-ins", agent="owner.example").text.count("<tr>") == 2


def test_agents_by_state_and_when_each_was_last_used(own_world: World) -> None:
    world = own_world
    counts = {
        state: len(read(world, queries.list_agents, {"state": state}, 1))
        for state in ("", "active", "disabled", "unconfirmed", "secret", "key", "nonsense")
    }
    assert counts == {
        **{"": 3, "active": 3, "disabled": 0, "unconfirmed": 1},
        **{"secret": 3, "key": 0, "nonsense": 3},
    }
    world.tokens()
    found = {row.id: row.seen_at for row in read(world, queries.list_agents, {}, 1)}
    assert found[world.agent.agent_id] == world.context.now()
    assert found[world.rival.agent_id] is None
    found = {row.id: row.seen_at for row in read(world, queries.list_websites, {}, 1)}
    assert found[world.shop.client_id] == world.context.now()


def test_tokens_and_administrators_are_listed_and_a_token_is_revoked(ada: Person) -> None:
    world = ada.world
    token = admin_tokens.add_admin(world.database, "Terraform", world.context.now())
    (row,) = read(world, admin_tokens.list_admin_tokens, world.context.now())
    fields = {"id": row["id"]}
    assert ada.send("/console/keys", "/console/keys/revoke-token", **fields).status_code == 303
    now = world.context.now()
    assert admin_tokens.find_admin(world.database, token.reveal(), now) is None
    assert ada.send("/console/keys", "/console/keys/revoke-token", **fields).status_code == 404
    administrator(world, "grace")
    page = ada.get("/console/account").text
    assert 'href="/console/audit?actor=administrator%20grace"' in page


# Files


def test_sign_ins_are_exported_with_names(ada: Person) -> None:
    world = ada.world
    world.tokens()
    world.answer(world.open(world.browser()), agent_secret="wrong")
    answer = ada.get("/console/sign-ins/export.csv", outcome="approved")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    (line,) = csv.DictReader(io.StringIO(answer.text))
    assert line["agent_id"] == world.agent.agent_id
    assert line["owner"] == "ann@owner.example"
    assert (line["website"], line["time"]) == ("The Shop", "2027-01-15T08:00:00Z")
    found = ada.get("/console/sign-ins/export.json").json()
    assert [row["outcome"] for row in found] == ["invalid_credentials", "approved"]
    assert ada.get("/console/sign-ins/export.xml").status_code == 404
    written = ada.get("/console/audit", kind="audit").text
    assert "exported csv of sign-ins" in written


def test_every_list_is_exported_as_its_page_shows_it(
    ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ada.world
    world.tokens()
    agents.change_agent(world.database, world.agent.agent_id, NOW, display_name="=Ann's agent")
    monkeypatch.setattr(queries, "BATCH", 1)  # one made after the other in the same second

    def rows(page: str, **filters: str) -> list[dict[str, str]]:
        answer = ada.get(f"/console/{page}/export.csv", **filters)
        assert "secret_hash" not in answer.text
        return list(csv.DictReader(io.StringIO(answer.text)))

    shown = re.findall(r"agent\?id=([\w-]+)", ada.get("/console/agents").text)
    assert [row["id"] for row in rows("agents")] == shown
    (found,) = rows("agents", q="ANN@", state="active")
    assert (found["id"], found["display_name"]) == (world.agent.agent_id, "'=Ann's agent")
    assert (found["email"], found["credential"]) == ("ann@owner.example", "secret")
    assert (found["last_sign_in"], found["disabled"]) == ("2027-01-15T08:00:00Z", "")
    assert rows("agents", state="disabled") == []
    shown = re.findall(r"website\?id=([\w-]+)", ada.get("/console/websites").text)
    assert [row["id"] for row in rows("websites")] == shown
    (found,) = rows("websites", q="the shop")
    assert (found["id"], found["last_sign_in"]) == (world.shop.client_id, "2027-01-15T08:00:00Z")
    (found,) = rows("grants", agent="ann@", website="shop")
    assert (found["website"], found["since"]) == ("The Shop", "2027-01-15T08:00:00Z")
    assert rows("grants", agent="nobody") == []
    monkeypatch.setattr(queries, "MOST_EXPORTED", 2)
    assert len(ada.get("/console/agents/export.json").json()) == 2
    written = ada.get("/console/audit", kind="audit").text
    assert "exported csv of active-sign-ins" in written


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("  =1", "'  =1"),
        ("a;=1", "a;'=1"),
        ("a, -1", "a,' -1"),
        ('x"=1', "x\"'=1"),
        ("a\n@x", "a\n'@x"),
        ("\tx", "'\tx"),
        ("\uff1dHYPERLINK()", "'\uff1dHYPERLINK()"),
        ("ann@owner.example", "ann@owner.example"),
        ("2026-11-26T10:00:00Z", "2026-11-26T10:00:00Z"),
        ("Foo - Bar", "Foo - Bar"),
        (7, "7"),
        (None, ""),
    ],
)
def test_no_part_of_a_cell_is_a_formula(text: Any, cell: str) -> None:
    assert exports._cell(text) == cell


# With many rows: by an index, and without reading more rows than a page has


def test_the_lists_and_the_chart_use_an_index(world: World) -> None:
    """A table of a few rows is read whole and sorted, unless PostgreSQL is kept from it."""
    is_sqlite = world.database.is_sqlite
    with world.database.engine.connect() as connection:
        if not is_sqlite:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
        for filters in ({}, {"kind": "token"}, {"kind": "approval", "outcome": "denied"}):
            newest = log._newest(log._matches(connection, filters)).limit(51)
            (plan,) = _plans(connection, lambda c, found=newest: c.execute(found))
            assert "Sort" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan
        (_, plan) = _plans(connection, log.list_history, {"agent": world.agent.agent_id}, 1)
        assert "ix_audit_agent_id" in plan, plan
        (plan,) = _plans(connection, statistics.read_chart, "30d", NOW)
        assert plan.count("ix_audit_counted") == len(statistics._REASON_OF)
        assert is_sqlite is ("USING COVERING INDEX ix_audit_counted" in plan)
        plans = _plans(connection, statistics.read_top, "30d", NOW)
        assert [plan for plan in plans if "audit" in plan and "ix_audit_counted" not in plan] == []
        assert "ix_token_family_valid" in plans[-1]
        for plan in _plans(connection, attention.read_attention, NOW):
            assert not re.search(r"SCAN audit(?! USING)|Seq Scan on audit", plan), plan
        for query, index in (
            (queries.list_agents, "ix_audit_agent_id"),
            (queries.list_websites, "ix_audit_client_id"),
        ):
            (plan,) = _plans(connection, query, {}, 1)
            lines = plan[plan.index("lines") :]  # the newest first, judged one by one
            assert index in lines, plan
            assert "Sort" not in lines, plan
        (plan,) = _plans(connection, grants.list_grants, NOW, {}, 1)
        assert "ix_token_family_created_at" in plan


def _plans(connection: Any, query: Callable[..., Any], *arguments: Any) -> list[str]:
    """The plan of each statement of a query, as the database tells it."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    query(connection, *arguments)
    event.remove(connection, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return [
        "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + text, values).all())
        for text, values in asked
    ]
