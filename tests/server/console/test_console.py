"""The console's door, and what administrators do behind it."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from sqlalchemy import select, update

from auth_agent import Settings
from auth_agent.cli.server.files import new_key_pair
from auth_agent.secret import Secret
from auth_agent.server.console import log
from auth_agent.server.console.administrators.routes import CONSOLE
from auth_agent.server.registry import agents
from auth_agent.server.registry.people import administrators as console_accounts
from auth_agent.server.storage.tables.parties import agent, client
from auth_agent.server.storage.tables.people import administrator as administrator_table
from auth_agent.server.storage.tables.people import browser_session, setup_link
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import logout_delivery
from tests.server.conftest import Build, NewDatabase
from tests.server.people import PASSWORD, Person, administrator, signed_in
from tests.server.world import REDIRECT, World, make_world

OPEN = {"/console/sign-in", "/console/sign-in/passkey", "/console/setup"}
GUARDED = [each for each in CONSOLE if each.path not in OPEN]
FOREIGN = re.compile(
    r"<script(?! nonce=.[\w-]+. src=./static/)"
    r"|\son[a-z]+=|\sstyle=|(?:src|href|action)=.(?!/|data:|#)"
)
PASTE = re.compile(r"<pre[^>]*>(.*?)</pre>", re.DOTALL)
SECRET = re.compile(r"<dd>((?:ags|cs)_[\w-]+)</dd>")


@pytest.fixture(scope="session")
def office(
    template: tuple[str, dict[str, Any]], copies: NewDatabase, portal: BlockingPortal
) -> Iterator[Person]:
    """Signs in an administrator shared by all tests that change none of what they read."""
    made = make_world(copies(), template[1], portal)
    administrator(made)
    yield signed_in(made)
    made.context.close()


@pytest.fixture
def ada(own_world: World) -> Person:
    administrator(own_world)
    return signed_in(own_world)


def rows_of(world: World, statement: Any) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(statement).all())


# The door


@pytest.mark.parametrize("each", GUARDED, ids=lambda each: f"{each.method} {each.path}")
def test_nothing_answers_without_an_administrator(world: World, each: Any) -> None:
    path = each.path.replace("{suffix}", "csv")
    stranger = Person(world)
    owners_session = {"cookie": f"auth_agent_administrator={'x' * 43}"}
    bearer = {"authorization": "Bearer adm_x", "sec-fetch-site": "same-origin"}
    for headers in ({}, owners_session, bearer):
        answer = stranger.http.request(each.method, path, headers=headers)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/console/sign-in"
        assert answer.content == b""


POSTS = [each.path for each in GUARDED if each.method == "POST"]


def test_no_form_acts_for_another_website(office: Person) -> None:
    world = office.world
    found = re.search(r'form_token" value="([0-9a-f]+)"', office.get("/console/account").text)
    assert found
    fields = {"id": world.agent.agent_id, "form_token": found[1]}
    before = rows_of(world, select(audit.c.id))
    forged = (
        ({"sec-fetch-site": "cross-site"}, fields),
        ({"sec-fetch-site": "same-site"}, fields),
        ({"sec-fetch-site": "none"}, fields),
        ({"origin": "https://evil.example"}, fields),
        ({"sec-fetch-site": "same-origin"}, {"id": world.agent.agent_id}),
        ({"sec-fetch-site": "same-origin"}, {**fields, "form_token": "0" * 64}),
        ({"sec-fetch-site": "same-origin"}, {**fields, "form_token": "é"}),
    )
    for path in POSTS:
        for headers, sent in forged:
            assert office.post(path, headers=headers, **sent).status_code == 403, (path, headers)
        assert office.http.post(path, json=fields).status_code in (403, 415)
    assert rows_of(world, select(audit.c.id)) == before
    assert office.get("/console").status_code == 200


def test_a_browser_without_fetch_metadata_may_send_a_form(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    found = re.search(r'form_token" value="([0-9a-f]+)"', ada.get("/console/keys").text)
    assert found
    for origin in ("null", "http://127.0.0.1:8420"):
        answer = ada.post("/console/keys/rotate", {"origin": origin}, form_token=found[1])
        assert answer.status_code == 303


def test_wrong_name_and_wrong_password_look_alike(
    own_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bcrypt

    administrator(own_world)
    console_accounts.create_account(own_world.database, "no-password-yet", None, 1)
    person, calls = Person(own_world), []
    real = bcrypt.checkpw
    person.get("/console/sign-in")
    monkeypatch.setattr(bcrypt, "checkpw", lambda *a: calls.append(a[1][:7]) or real(*a))
    names = ("ada", "nobody", "no-password-yet")
    answers = [
        person.send("/console/sign-in", name=name, password="wrong password") for name in names
    ]
    assert {answer.status_code for answer in answers} == {401}
    pages = {
        re.sub(f'value="{name}"|nonce="[^"]+"', "", answer.text)
        for answer, name in zip(answers, names, strict=True)
    }
    assert len(pages) == 1
    assert calls == [b"$2b$04$"] * 3
    assert person.cookie("auth_agent_administrator") is None


def test_guessing_is_limited_and_locks_nobody_out_elsewhere(own_world: World) -> None:
    administrator(own_world)
    guesser = Person(own_world, "192.0.2.1")
    for _ in range(10):
        answer = guesser.send("/console/sign-in", name="ada", password="wrong password")
        assert answer.status_code == 401
    answer = guesser.send("/console/sign-in", name="ada", password=PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 300
    elsewhere = Person(own_world, "192.0.2.2")
    answer = elsewhere.send("/console/sign-in", name="ada", password=PASSWORD)
    assert answer.status_code == 303
    own_world.clock.forward(301)
    assert guesser.send("/console/sign-in", name="ada", password=PASSWORD).status_code == 303


def test_guesses_at_the_same_moment_are_limited_as_well(own_world: World) -> None:
    administrator(own_world)

    def guess(_: int) -> int:
        guesser = Person(own_world, "192.0.2.1")
        answer = guesser.send("/console/sign-in", name="ada", password="wrong password")
        return int(answer.status_code)

    with ThreadPoolExecutor(24) as pool:
        statuses = list(pool.map(guess, range(24)))
    assert statuses.count(401) == 10, statuses
    assert statuses.count(429) == 14


def test_right_sign_ins_are_not_counted(own_world: World) -> None:
    administrator(own_world)
    for _ in range(12):
        signed_in(own_world)


def test_one_password_on_many_names_is_limited(own_world: World) -> None:
    guesser = Person(own_world, "2001:db8::1")
    neighbour = Person(own_world, "2001:db8::2")
    own_world.context.verifier.verify = lambda *_: False
    answers = [
        (guesser, neighbour)[number % 2].send(
            "/console/sign-in", name=f"name{number}", password="x"
        )
        for number in range(51)
    ]
    assert [answer.status_code for answer in answers].count(429) == 1


def test_signing_in_makes_a_new_session(own_world: World) -> None:
    administrator(own_world)
    person = Person(own_world)
    person.http.cookies.set("auth_agent_administrator", "x" * 43)
    person.send("/console/sign-in", name="ADA ", password=PASSWORD)
    first = person.http.cookies.get("auth_agent_administrator", domain="127.0.0.1")
    sessions = rows_of(own_world, select(browser_session))
    assert len(sessions) == 1
    assert first != "x" * 43
    assert first not in str(sessions)


def test_a_second_sign_in_ends_the_first_session(own_world: World) -> None:
    administrator(own_world)
    ada = signed_in(own_world)
    first = ada.cookie("auth_agent_administrator")
    ada.send("/console/sign-in", name="ada", password=PASSWORD)
    assert ada.cookie("auth_agent_administrator") != first
    other = Person(own_world)
    other.http.cookies.set("auth_agent_administrator", first or "")
    assert other.get("/console").status_code == 303


def test_a_session_ends_when_idle(ada: Person) -> None:
    for _ in range(3):
        ada.world.clock.forward(1_799)
        assert ada.get("/console").status_code == 200
    ada.world.clock.forward(1_800)
    assert ada.get("/console").status_code == 303


def test_a_session_ends_after_its_lifetime(ada: Person) -> None:
    for _ in range(29):
        ada.world.clock.forward(1_480)
        assert ada.get("/console").status_code == 200
    ada.world.clock.forward(300)
    assert ada.get("/console").status_code == 303


def test_signing_out_ends_the_session_on_the_server(ada: Person) -> None:
    kept = ada.cookie("auth_agent_administrator")
    answer = ada.send("/console", "/console/sign-out")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    ada.http.cookies.set("auth_agent_administrator", kept or "")
    assert ada.get("/console").status_code == 303


def test_a_removed_administrator_is_out_at_once(own_world: World) -> None:
    account_id = administrator(own_world)
    ada = signed_in(own_world)
    assert console_accounts.remove_account(own_world.database, account_id, 1)
    assert rows_of(own_world, select(browser_session)) == []
    assert ada.get("/console").status_code == 303
    assert ada.send("/console/sign-in", name="ada", password=PASSWORD).status_code == 401
    assert not console_accounts.remove_account(own_world.database, account_id, 1)
    administrator(own_world)


def test_a_session_without_its_administrator_opens_nothing(own_world: World) -> None:
    account_id = administrator(own_world)
    ada = signed_in(own_world)
    gone = update(administrator_table).where(administrator_table.c.id == account_id)
    with own_world.database.begin() as connection:
        connection.execute(gone.values(removed_at=1))
    assert ada.get("/console").status_code == 303


def test_cookies_on_https(build: Build) -> None:
    world = build(issuer="https://id.example", secrets=(Secret("s" * 32),))
    administrator(world)
    person = Person(world)
    person.http.base_url = "https://id.example"
    answer = person.send("/console/sign-in", name="ada", password=PASSWORD)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-auth_agent_administrator=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure")


def test_changing_the_password_signs_the_others_out(own_world: World) -> None:
    administrator(own_world)
    ada, other = signed_in(own_world), signed_in(own_world)
    new = "a brand new password"
    for fields in (
        {"old": "wrong", "password": new, "again": new},
        {"old": PASSWORD, "password": new, "again": new + "x"},
        {"old": PASSWORD, "password": "short", "again": "short"},
        {"old": PASSWORD, "password": "x" * 73, "again": "x" * 73},
        {"old": PASSWORD, "password": "é" * 37, "again": "é" * 37},
    ):
        assert ada.send("/console/account", **fields).status_code == 400
    good = {"old": PASSWORD, "password": new, "again": new}
    assert ada.send("/console/account", **good).status_code == 303
    assert ada.get("/console").status_code == 200
    assert other.get("/console").status_code == 303
    assert other.send("/console/sign-in", name="ada", password=PASSWORD).status_code == 401
    assert other.send("/console/sign-in", name="ada", password=new).status_code == 303


# The link of the first start


def link_of(world: World, account_id: str | None = None) -> str:
    token = console_accounts.make_setup_link(
        world.database, account_id, world.context.now()
    ).reveal()
    return f"/console/setup?token={token}"


def setup_fields(link: str, **changes: str) -> dict[str, str]:
    token = link.partition("=")[2]
    return {"token": token, "name": "first", "password": PASSWORD, "again": PASSWORD, **changes}


def test_the_setup_link_makes_the_first_administrator_once(own_world: World) -> None:
    assert not console_accounts.has_administrators(own_world.database)
    link, person = link_of(own_world), Person(own_world)
    for _ in range(2):
        assert person.get(link).status_code == 200
    assert link.partition("=")[2] not in str(rows_of(own_world, select(setup_link)))
    assert person.send(link, **setup_fields(link)).status_code == 303
    assert person.get("/console").status_code == 200
    assert console_accounts.has_administrators(own_world.database)
    other = Person(own_world)
    assert other.get(link).status_code == 410
    other.get("/console/sign-in")
    assert other.send("/console/sign-in", "/console/setup", **setup_fields(link)).status_code == 410


def test_a_setup_form_of_another_website_does_nothing(own_world: World) -> None:
    link, person = link_of(own_world), Person(own_world)
    person.get(link)
    assert person.post("/console/setup", **setup_fields(link)).status_code == 403
    assert not console_accounts.has_administrators(own_world.database)


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "short", "again": "short"},
        {"again": "another password"},
        {"name": " "},
        {"name": "x" * 65},
        {"password": "x" * 73, "again": "x" * 73},
    ],
)
def test_a_refused_setup_keeps_the_link(own_world: World, changes: dict[str, str]) -> None:
    link, person = link_of(own_world), Person(own_world)
    assert person.send(link, **setup_fields(link, **changes)).status_code == 400
    assert person.send(link, **setup_fields(link)).status_code == 303


def test_a_setup_link_expires(own_world: World) -> None:
    link, person = link_of(own_world), Person(own_world)
    own_world.clock.forward(3_600)
    assert person.get(link).status_code == 410


def test_a_newer_link_and_a_first_administrator_void_a_link(own_world: World) -> None:
    first, person = link_of(own_world), Person(own_world)
    second = link_of(own_world)
    assert person.get(first).status_code == 410
    administrator(own_world)
    assert person.get(second).status_code == 410


def test_a_link_for_an_administrator_keeps_the_name(own_world: World) -> None:
    account_id = administrator(own_world)
    before = signed_in(own_world)
    link, person = link_of(own_world, account_id), Person(own_world)
    new = "another password then"
    fields = setup_fields(link, name="somebody else", password=new, again=new)
    assert person.send(link, **fields).status_code == 303
    assert ">ada</a>" in person.get("/console").text
    assert before.get("/console").status_code == 303


# Behind the door


def test_every_page_has_a_strict_policy_and_a_heading(office: Person) -> None:
    world = office.world
    world.tokens()
    for path in (
        *(each.path for each in CONSOLE if each.method == "GET" and "{" not in each.path),
        f"/console/agent?id={world.agent.agent_id}",
        f"/console/website?id={world.shop.client_id}",
    ):
        answer = office.get(path) if "?" not in path else office.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.text.count("<h1") == 1, path
        assert not FOREIGN.search(answer.text), path


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/consol", 404), ("GET", "/console/agent/disable", 405), ("POST", "/", 405)],
)
def test_a_wrong_address_is_a_page_for_people_and_json_for_programs(
    world: World, method: str, path: str, status: int
) -> None:
    person = Person(world)
    page = person.http.request(method, path, headers={"accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.text.count("<h1>")) == (status, 1)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    answer = person.http.request(method, path, headers={"accept": "*/*"})
    assert answer.status_code == status
    assert answer.json()["error"] in ("not_found", "method_not_allowed")
    for each in (page, answer):
        assert each.headers["x-content-type-options"] == "nosniff"
        assert each.headers["referrer-policy"] == "no-referrer"


def test_our_own_mistake_is_a_page_without_its_cause(
    ada: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("canary")

    monkeypatch.setattr("auth_agent.server.console.queries.list_agents", broken)
    answer = ada.get("/console/agents")
    assert answer.status_code == 500
    assert "<h1>" in answer.text
    assert "canary" not in answer.text
    assert "canary" in caplog.text


def test_a_page_that_says_no_leads_on(office: Person) -> None:
    answer = office.get("/console/agent", id="x")
    assert answer.status_code == 404
    assert 'href="/console">Back to the console' in answer.text
    assert "/console/sign-in" in Person(office.world).get("/console/setup", token="x").text


def test_a_refused_form_keeps_what_was_typed_and_marks_it(own_world: World) -> None:
    name = '"><b>ada'
    page = Person(own_world).send("/console/sign-in", name=name, password="canary password").text
    assert 'value="&#34;&gt;&lt;b&gt;ada"' in page
    assert "canary" not in page
    assert page.count('aria-invalid="true"') == 2
    assert 'aria-describedby="problem"' in page
    assert 'role="alert" id="problem"' in page
    assert "<title>Problem: " in page


def test_an_agent_from_adding_to_disabling(office: Person) -> None:
    world = office.world
    fields = {"email": "new@owner.example", "name": "New", "model": "m", "verified": "yes"}
    page = office.send("/console/agents/new", **fields)
    secret = SECRET.search(page.text)
    assert secret
    agent_id = re.search(r"agent_[\w-]+", page.text)[0]  # type: ignore[index]
    answer = world.answer(
        world.open(world.browser()), agent_id=agent_id, agent_secret=secret[1], model="m"
    )
    assert answer.status_code == 200
    where = f"/console/agent?id={agent_id}"
    assert secret[1] not in office.http.get(where).text
    assert "new@owner.example" in office.get("/console/agents", q="NEW@own").text
    assert "new@owner.example" not in office.get("/console/agents", q="n_w@own").text
    assert "new@owner.example" not in office.get("/console/agents", state="disabled").text

    page = office.send(where, "/console/agent/rotate-secret", id=agent_id)
    assert SECRET.search(page.text)[1] != secret[1]  # type: ignore[index]
    request_id = world.open(world.browser())
    old = {"agent_id": agent_id, "agent_secret": secret[1], "model": "m"}
    assert world.answer(request_id, **old).status_code == 401

    answer = office.send(where, "/console/agent/disable", id=agent_id)
    assert answer.headers["location"] == f"/console/agent?id={agent_id}&done=disabled"
    assert "The agent is disabled" in office.http.get(answer.headers["location"]).text
    assert "new@owner.example" in office.get("/console/agents", state="disabled").text
    assert office.send(where, "/console/agent/rotate-secret", id=agent_id).status_code == 409
    office.send(where, "/console/agent/enable", id=agent_id)
    outcomes = rows_of(
        world,
        select(audit.c.outcome, audit.c.actor)
        .where(audit.c.agent_id == agent_id, audit.c.kind == "agent")
        .order_by(audit.c.id),
    )
    assert [row.outcome for row in outcomes] == ["added", "secret rotated", "disabled", "enabled"]
    assert {row.actor for row in outcomes} == {"administrator ada"}


def test_disabling_an_agent_revokes_its_tokens(ada: Person) -> None:
    world = ada.world
    tokens = world.tokens()
    where = f"/console/agent?id={world.agent.agent_id}"
    ada.send(where, "/console/agent/disable", id=world.agent.agent_id)
    assert world.introspect(tokens["access_token"]) == {"active": False}
    assert world.refresh(tokens["refresh_token"]).status_code == 400


@pytest.mark.parametrize("email", ["", "no address", "a@b@c"])
def test_a_wrong_agent_is_refused_and_the_form_keeps_its_values(office: Person, email: str) -> None:
    page = office.send("/console/agents/new", email=email, name='Ann "<b>"')
    assert page.status_code == 400
    assert 'role="alert"' in page.text
    assert "Ann &#34;&lt;b&gt;&#34;" in page.text


def test_vouching_puts_the_address_into_tokens(ada: Person) -> None:
    world = ada.world
    where = f"/console/agent?id={world.rival.agent_id}"
    assert "not verified" in ada.http.get(where).text
    ada.send(where, "/console/agent/vouch", id=world.rival.agent_id)
    found = rows_of(world, select(agent).where(agent.c.id == world.rival.agent_id))
    assert found[0].email_verified


def test_a_website_from_adding_to_removing(office: Person) -> None:
    world = office.world
    fields = {"name": "<i>New</i>", "redirect_uris": "https://new.example/cb", "scopes": "openid"}
    page = office.send("/console/websites/new", **fields)
    secret, client_id = SECRET.search(page.text), re.search(r"client_[\w-]+", page.text)
    assert secret
    assert client_id
    where = f"/console/website?id={client_id[0]}"
    page = office.http.get(where)
    assert "&lt;i&gt;New&lt;/i&gt;" in page.text
    assert secret[1] not in page.text
    uris = "https://new.example/cb\r\nhttps://new.example/other"
    office.send(where, **{**fields, "id": client_id[0], "redirect_uris": uris})
    asked = {"client_id": client_id[0], "scope": "openid"}
    for uri, status in (("https://new.example/other", 200), ("https://new.example/x", 400)):
        params = world.request(**asked, redirect_uri=uri)
        assert world.browser().get("/authorize", params=params).status_code == status
    page = office.send(where, "/console/website/rotate-secret", id=client_id[0])
    assert SECRET.search(page.text)[1] != secret[1]  # type: ignore[index]
    office.send(where, "/console/website/remove", id=client_id[0])
    assert office.http.get(where).status_code == 404
    assert client_id[0] not in office.get("/console/websites").text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("redirect_uris", "http://evil.example/cb"),
        ("redirect_uris", "https://x.example/#f"),
        ("redirect_uris", ""),
        ("scopes", "openid unheard-of"),
        ("name", " "),
        ("resources", "nonsense"),
        ("backchannel_logout_uri", "http://n.example/logout"),
        ("id_token_alg", "none"),
        ("jwks", "no key"),
        ("jwks_uri", "http://n.example/keys"),
    ],
)
@pytest.mark.parametrize("page", ["/console/websites/new", "/console/website"])
def test_a_wrong_website_is_refused(office: Person, page: str, field: str, value: str) -> None:
    client_id = office.world.shop.client_id
    fields = {"name": "N", "redirect_uris": "https://n.example/cb", "scopes": "openid"}
    answer = office.send(
        f"{page}?id={client_id}", page, **{**fields, "id": client_id, field: value}
    )
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "The Shop" in office.get("/console/websites").text


def test_a_website_without_a_secret(office: Person) -> None:
    fields = {"name": "App", "redirect_uris": "http://127.0.0.1/cb", "public": "yes"}
    answer = office.send("/console/websites/new", **fields, scopes="openid")
    assert answer.status_code == 303
    client_id = re.search(r"client_[\w-]+", answer.headers["location"])[0]  # type: ignore[index]
    where = f"/console/website?id={client_id}"
    assert "Replace the secret" not in office.http.get(where).text
    assert office.send(where, "/console/website/rotate-secret", id=client_id).status_code == 409


def test_one_sign_in_is_ended_at_once(ada: Person) -> None:
    world = ada.world
    one, other = world.tokens(), world.tokens()
    page = ada.get("/console/grants").text
    assert page.count(">The Shop</a>") == 2
    family = world.introspect(one["access_token"])["sid"]
    answer = ada.send("/console/grants", "/console/grants/end", id=family)
    assert answer.headers["location"] == "/console/grants?done=ended"
    assert world.introspect(one["access_token"]) == {"active": False}
    assert world.introspect(other["access_token"])["active"] is True
    assert ada.get("/console/grants").text.count(">The Shop</a>") == 1
    where = f"/console/agent?id={world.agent.agent_id}"
    ada.send(where, "/console/agent/end-all", id=world.agent.agent_id)
    assert world.introspect(other["access_token"]) == {"active": False}


def test_the_website_is_told_when_a_sign_in_is_ended(ada: Person) -> None:
    world = ada.world
    where = f"/console/website?id={world.shop.client_id}"
    page = ada.http.get(where).text
    assert "Back-channel logout" in page
    fields = {"name": "The Shop", "redirect_uris": REDIRECT, "scopes": "openid profile email agent"}
    fields |= {"id": world.shop.client_id, "backchannel_logout_uri": "https://shop.example/logout"}
    assert ada.send(where, **fields).status_code == 303
    assert "https://shop.example/logout" in ada.http.get(where).text
    agent_page = f"/console/agent?id={world.agent.agent_id}"
    for path, left in (("/console/grants/end", 1), ("/console/agent/end-all", 2)):
        family = world.introspect(world.tokens()["access_token"])["sid"]
        owner = path.endswith("all")
        ada.send(agent_page, path, id=world.agent.agent_id if owner else family)
        assert len(rows_of(world, select(logout_delivery))) == left
    world.tokens()
    ada.send(agent_page, "/console/agent/disable", id=world.agent.agent_id)
    told = rows_of(world, select(logout_delivery))
    assert [row.uri for row in told] == ["https://shop.example/logout"] * 3


def test_sign_ins_are_filtered(ada: Person) -> None:
    world = ada.world
    world.tokens()
    world.answer(world.open(world.browser()), agent_secret="wrong")
    page = ada.get("/console/sign-ins").text
    assert page.count("<tr>") == 3
    assert ada.get("/console/sign-ins", outcome="approved").text.count("<tr>") == 2
    assert ada.get("/console/sign-ins", agent=world.rival.agent_id).text.count("<tr>") == 0
    assert ada.get("/console/sign-ins", website=world.shop.client_id).text.count("<tr>") == 3
    assert ada.get("/console/sign-ins", to="2020-01-01").text.count("<tr>") == 0
    assert ada.get("/console/sign-ins", **{"from": "2020-01-01"}).text.count("<tr>") == 3
    assert ada.get("/console/sign-ins", **{"from": "nonsense"}).text.count("<tr>") == 3


def test_keys_are_listed_and_replaced(office: Person) -> None:
    before = office.get("/console/keys").text
    kid = re.search(r"<code>(\w{16})</code>", before)[1]  # type: ignore[index]
    office.send("/console/keys", "/console/keys/rotate")
    after = office.get("/console/keys").text
    assert kid in after
    for algorithm in ("ES256", "RS256"):
        assert after.count(algorithm) == before.count(algorithm) + 1
    assert "PRIVATE" not in after
    assert "rotated" in office.get("/console/audit", kind="key").text


def test_lists_have_pages(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("visit", "queries", "log"):
        monkeypatch.setattr(f"auth_agent.server.console.{module}.PAGE_SIZE", 2)
    first = ada.get("/console/agents").text
    assert first.count("<tr>") == 3
    assert 'href="/console/agents?page=2" rel="next"' in first
    second = ada.get("/console/agents", page="2").text
    assert second.count("<tr>") == 2
    assert 'rel="next"' not in second
    for wrong in ("0", "x", "-1", "²"):
        assert ada.get("/console/agents", page=wrong).text.count("<tr>") == 3
    for far in ("9" * 30, "9" * 5_000):
        assert "No agent" in ada.get("/console/agents", page=far).text
    assert ada.get("/console/agents", page="0" * 5_000 + "2").text.count("<tr>") == 2


def test_the_audit_is_filtered_and_exported(ada: Person) -> None:
    world = ada.world
    world.tokens()
    assert ada.get("/console/audit", kind="approval").text.count("<tr>") == 2
    answer = ada.get("/console/audit/export.csv", kind="approval")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [line["agent_id"] for line in lines] == [world.agent.agent_id]
    found = ada.get("/console/audit/export.json", kind="approval").json()
    assert [each["outcome"] for each in found] == ["approved"]
    assert ada.get("/console/audit/export.json", kind="nothing").json() == []
    assert ada.get("/console/audit/export.xml").status_code == 404
    exports = ada.get("/console/audit/export.json", kind="audit").json()
    assert {each["actor"] for each in exports} == {"administrator ada"}


@pytest.mark.parametrize("bad", ["=1+1", "+1", "-1", "@x", "\tx", " =1", "\uff1d1"])
def test_a_cell_never_becomes_a_formula(office: Person, bad: str) -> None:
    world = office.world
    world.answer(world.open(world.browser()), agent_id=bad)
    lines = csv.DictReader(io.StringIO(office.get("/console/audit/export.csv").text))
    cells = [line["agent_id"] for line in lines if line["outcome"] == "invalid_credentials"]
    assert cells[0] == "'" + bad


def test_an_export_is_streamed_and_bounded(office: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "BATCH", 2)
    monkeypatch.setattr(log, "MOST_EXPORTED", 5)
    batches = log.audit_batches(office.world.database, {})
    assert [len(batch) for batch in batches] == [2, 2, 1]
    answer = office.get("/console/audit/export.json")
    assert "content-length" not in answer.headers
    ids = [each["id"] for each in answer.json()]
    assert len(ids) == 5
    assert ids == sorted(ids, reverse=True)


def test_every_refusal_and_every_act_is_written_down(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from auth_agent.cli.program import app as command_line

    secrets = (Secret("s" * 32),)
    token = Secret("a token to register")
    world = build(secrets=secrets, agent_registration="token", registration_token=token)
    person = Person(world, "192.0.2.7")
    start = max(rows_of(world, select(audit.c.id)), default=(0,))[0]

    wrong = {"authorization": "Bearer adm_wrong"}
    assert person.http.get("/api/admin/agents", headers=wrong).status_code == 401
    wrong = {"authorization": "Bearer wrong"}
    assert person.http.post("/register", json={}, headers=wrong).status_code == 401
    body = {
        "agent_id": "agent_by_request",
        "agent_secret": "x" * 20,
        "owner_email": "x@owner.example",
    }
    right = {"authorization": f"Bearer {token.reveal()}"}
    assert person.http.post("/api/register-agent", json=body, headers=right).status_code == 201
    page = "/console/sign-in"
    fields = {"name": "eve", "password": "p" * 12, "again": "p" * 12, "token": "wrong"}
    assert person.send(page, "/console/setup", **fields).status_code == 410
    assert person.send(page, "/owner/code", id="proof_none", code="12345678").status_code == 410
    assert person.send(page, "/owner/link", token="wrong").status_code == 410
    request_id = world.open(person.http)
    denied = person.http.post("/authorize/cancel", data={"request_id": request_id})
    assert denied.status_code == 303
    monkeypatch.setenv("AUTH_AGENT_SERVER_SECRET", secrets[0].reveal())
    url = world.context.settings.database
    rotated = CliRunner().invoke(command_line, ["keys", "rotate", "--database", url])
    assert rotated.exit_code == 0, rotated.output

    told = select(audit.c.kind, audit.c.outcome, audit.c.actor, audit.c.address)
    assert rows_of(world, told.where(audit.c.id > start).order_by(audit.c.id)) == [
        ("administration", "refused", None, "192.0.2.7"),
        ("registration", "refused", None, "192.0.2.7"),
        ("agent", "added", "registration", "192.0.2.7"),
        ("setup link", "refused", None, "192.0.2.7"),
        ("owner sign-in", "refused", None, "192.0.2.7"),
        ("owner sign-in", "refused", None, "192.0.2.7"),
        ("approval", "denied", None, "192.0.2.7"),
        ("key", "rotated", "command line", None),
    ]


def test_what_the_command_line_does_is_under_its_name(own_world: World) -> None:
    from auth_agent.server.storage.audit import acting

    with acting("command line"):
        agents.rotate_agent_secret(
            own_world.database, own_world.agent.agent_id, own_world.context.now()
        )
    row = rows_of(own_world, select(audit).order_by(audit.c.id.desc()).limit(1))[0]
    assert (row.kind, row.actor) == ("agent", "command line")


def test_an_agent_is_edited_and_its_secret_gives_way_to_a_key(ada: Person, tmp_path: Path) -> None:
    agent_id = ada.world.agent.agent_id
    where = f"/console/agent/edit?id={agent_id}"
    values = {"id": agent_id, "email": "ann@owner.example", "display_name": "Shopping agent"}
    values |= {"model": "m2", "dpop_bound": "yes"}
    _, public = new_key_pair(tmp_path / "unused.pem")
    wrong = ada.send(where, "/console/agent/edit", **values, public_key="no key")
    assert wrong.status_code == 400
    assert "neither PEM nor JSON" in wrong.text
    assert "Shopping agent" in wrong.text
    saved = ada.send(where, "/console/agent/edit", **values, public_key=public)
    assert saved.headers["location"] == f"/console/agent?id={agent_id}&done=saved"
    shown = ada.get("/console/agent", id=agent_id).text
    assert "<h1>Shopping agent</h1>" in shown
    assert "rotate-secret" not in shown, "its secret is gone"
    assert "<dt>DPoP</dt><dd>required</dd>" in shown
    assert "ann@owner.example: verified" in shown
    ada.send(where, "/console/agent/edit", **{**values, "email": "eve@owner.example"})
    shown = ada.get("/console/agent", id=agent_id).text
    assert "eve@owner.example: not verified" in shown
    assert agent_id in ada.get("/console/agents", q="shopping").text


def test_a_website_is_edited_and_its_secret_gives_way_to_a_key(ada: Person, tmp_path: Path) -> None:
    world = ada.world
    client_id, where = world.shop.client_id, f"/console/website?id={world.shop.client_id}"
    _, public = new_key_pair(tmp_path / "unused.pem")
    values = {"id": client_id, "name": "The Shop", "redirect_uris": REDIRECT, "scopes": "openid"}
    values |= {"id_token_alg": "RS256", "dpop_bound": "yes", "strict_audience": "yes"}
    both = {**values, "jwks": public, "jwks_uri": "https://shop.example/keys"}
    assert ada.send(where, "/console/website", **both).status_code == 400
    assert "Replace the secret" in ada.http.get(where).text
    assert ada.send(where, "/console/website", **values, jwks=public).status_code == 303
    page = ada.http.get(where).text
    assert "Replace the secret" not in page
    assert '<option value="RS256" selected>' in page
    assert len(re.findall(r'type="checkbox" value="yes" checked', page)) == 2
    row = rows_of(world, select(client).where(client.c.id == client_id))[0]
    assert (row.auth_method, row.id_token_alg, row.dpop_bound) == ("private_key_jwt", "RS256", True)
    # An empty field keeps the key, an empty box takes the demand back.
    values = {**values, "id_token_alg": "", "dpop_bound": ""}
    assert ada.send(where, "/console/website", **values).status_code == 303
    after = rows_of(world, select(client).where(client.c.id == client_id))[0]
    assert (after.jwks, after.id_token_alg, after.dpop_bound) == (row.jwks, None, False)
    phone = {**values, "id": world.phone.client_id, "jwks": public}
    assert ada.send(where, "/console/website", **phone).status_code == 400, "a public client"


def test_what_is_added_can_be_pasted_whole(ada: Person) -> None:
    redirect = "https://new.example/auth-agent/callback"
    fields = {"name": "New", "redirect_uris": redirect, "scopes": "openid profile email"}
    (lines,) = _pasted(ada.send("/console/websites/new", **fields))
    found = dict(line.split("=", 1) for line in lines.split())
    assert Settings.from_env(found).redirect_uri == redirect
    fields = {"email": "ann@owner.example", "model": "m", "verified": "yes"}
    lines, login, server = _pasted(ada.send("/console/agents/new", **fields))
    found = dict(line.split("=", 1) for line in lines.split())
    assert found["AUTH_AGENT_AGENT_SECRET"].startswith("ags_")
    assert login == "auth-agent login URL\n"
    assert json.loads(server)["mcpServers"]["auth-agent"]["env"] == found


def _pasted(page: Any) -> list[str]:
    return [html.unescape(block) for block in PASTE.findall(page.text)]
