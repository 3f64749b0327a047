"""Owners: they prove their address by mail, and end what their agents do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from auth_agent.secret import Secret
from auth_agent.server.console.owners.routes import OWNERS
from auth_agent.server.outbound.mail import Mail
from auth_agent.server.registry import agents
from auth_agent.server.storage.audit import acting
from auth_agent.server.storage.tables.parties import agent
from auth_agent.server.storage.tables.people import browser_session, mailed_proof
from auth_agent.server.storage.tables.records import audit
from auth_agent.server.storage.tables.tokens import token_family
from tests.server.conftest import Build
from tests.server.people import Person, administrator, signed_in
from tests.server.world import World

OPEN = {"/owner/sign-in", "/owner/code", "/owner/link", "/owner/sign-in/passkey", "/owner/end"}
OPEN |= {"/owner/invitation"}
OWNED = [each for each in OWNERS if each.path not in OPEN]
ANN = "ann@owner.example"
MARKS = r"proof_[\w-]{24}|[0-9a-f]{64}|nonce=\"[^\"]+\""  # that differ from page to page


class Postbox:
    """Takes the server's mail instead of delivering it."""

    can_send = True

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.takes_all, self.asked = True, 0

    def can_reach(self, address: str) -> bool:
        return self.takes_all or address.isascii()

    def tell_of_failures(self, on_failure: Callable[[], None]) -> None:
        """Does nothing, because this one delivers everything."""

    def ask_ability(self) -> None:
        self.asked += 1

    def post(self, mail: Mail) -> None:
        self.mails.append(mail)

    def close(self) -> None:
        """Does nothing, because nothing is waiting."""

    @property
    def code(self) -> str:
        """Returns the code of the latest mail that has one."""
        found = (re.search(r"\b\d{8}\b", mail.text) for mail in reversed(self.mails))
        return next(each[0] for each in found if each)

    @property
    def link(self) -> str:
        return re.search(r"/owner/link\?token=\S+", self.mails[-1].text)[0]  # type: ignore[index]


@pytest.fixture
def box() -> Postbox:
    return Postbox()


@pytest.fixture
def own_world(build: Build, box: Postbox) -> World:
    """Starts a server for this test alone, whose mail goes into the box."""
    return build(outbox=box)


def ask(person: Person, email: str = ANN) -> str:
    """Asks for a code; the page where it is typed."""
    answer = person.send("/owner/sign-in", email=email)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def type_code(person: Person, page: str, code: str) -> Any:
    return person.send(page, id=page.partition("id=")[2], code=code)


def owner(world: World, box: Postbox, email: str = ANN) -> Person:
    person = Person(world)
    page = ask(person, email)
    assert type_code(person, page, box.code).status_code == 303
    return person


def agent_row(world: World, agent_id: str) -> Any:
    with world.database.read() as connection:
        return connection.execute(select(agent).where(agent.c.id == agent_id)).one()


@pytest.mark.parametrize("each", OWNED, ids=lambda each: f"{each.method} {each.path}")
def test_nothing_answers_without_a_session(world: World, each: Any) -> None:
    stranger = Person(world)
    for headers in ({}, {"cookie": f"auth_agent_owner={'x' * 43}"}):
        answer = stranger.http.request(each.method, each.path, headers=headers)
        assert answer.status_code == 303
        assert answer.headers["location"].partition("?")[0] == "/owner/sign-in"


def test_sessions_of_one_kind_do_not_open_the_other(own_world: World, box: Postbox) -> None:
    administrator(own_world)
    ada, ann = signed_in(own_world), owner(own_world, box)
    for person, mine, path in (
        (ada, "auth_agent_administrator", "/owner"),
        (ann, "auth_agent_owner", "/console"),
    ):
        other = "auth_agent_owner" if path == "/owner" else "auth_agent_administrator"
        person.http.cookies.set(other, person.cookie(mine) or "")
        assert person.get(path).status_code == 303


def test_an_owner_signs_in_by_code(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    page = ask(person)
    assert box.mails[0].to == ANN
    assert own_world.agent.agent_id not in person.http.get(page).text
    answer = type_code(person, page, f" {box.code[:3]} {box.code[3:]} ")
    assert answer.headers["location"] == "/owner"
    assert own_world.agent.agent_id in person.get("/owner").text
    assert own_world.rival.agent_id not in person.get("/owner").text


def test_an_owner_signs_in_by_link_which_acts_on_post_only(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    ask(person)
    for _ in range(2):
        page = person.http.get(box.link)
        assert page.text.count("<button") == 1
    assert person.get("/owner").status_code == 303
    token = box.link.partition("=")[2]
    assert person.send(box.link, token=token).status_code == 303
    assert person.get("/owner").status_code == 200
    assert person.send("/owner/sign-in", "/owner/link", token=token).status_code == 410


def test_a_link_works_in_the_browser_that_asked_and_in_no_other(
    own_world: World, box: Postbox
) -> None:
    person, thief = Person(own_world), Person(own_world)
    ask(person)
    token = box.link.partition("=")[2]
    page = thief.http.get(box.link)
    assert "cannot be used here" in page.text
    assert ANN not in page.text
    assert thief.send("/owner/sign-in", "/owner/link", token=token).status_code == 410
    assert thief.cookie("auth_agent_owner") is None
    assert person.send(box.link, token=token).status_code == 303


def test_a_code_works_in_the_browser_that_asked_and_in_no_other(
    own_world: World, box: Postbox
) -> None:
    person, thief = Person(own_world), Person(own_world)
    page = ask(person)
    assert type_code(thief, page, box.code).status_code == 410
    assert type_code(person, page, box.code).status_code == 303


def test_a_code_is_good_once(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    page = ask(person)
    assert type_code(person, page, box.code).status_code == 303
    for code in (box.code, "00000000"):
        assert type_code(person, page, code).status_code == 410
    assert "cannot be used here" in person.http.get(box.link).text
    token = box.link.partition("=")[2]
    assert person.send("/owner/sign-in", "/owner/link", token=token).status_code == 410


def test_a_code_expires(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    page = ask(person)
    own_world.clock.forward(900)
    assert type_code(person, page, box.code).status_code == 410
    assert "cannot be used here" in person.http.get(box.link).text


def test_five_guesses_and_no_more(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    page = ask(person)
    wrong = f"{(int(box.code) + 1) % 100_000_000:08d}"
    for text in ("1234567", "abcdefgh", "", "123456789"):
        assert type_code(person, page, text).status_code == 400
    for left in ("4 attempts", "3 attempts", "2 attempts", "1 attempt", "ask for a new one"):
        answer = type_code(person, page, wrong)
        assert answer.status_code == 401
        assert left in answer.text
    assert type_code(person, page, box.code).status_code == 410


def test_unknown_addresses_are_answered_alike(own_world: World, box: Postbox) -> None:
    pages = []
    for email in (ANN, "stranger@nowhere.example"):
        person = Person(own_world)
        answer = person.send("/owner/sign-in", email=email)
        location = re.sub(r"proof_[\w-]{24}", "ID", answer.headers["location"])
        page = person.http.get(answer.headers["location"])
        text = re.sub(MARKS, "ID", page.text)
        guess = type_code(person, answer.headers["location"], "00000000")
        pages.append((answer.status_code, location, text, guess.status_code))
    assert pages[0] == pages[1]
    assert [mail.to for mail in box.mails] == [ANN]


def test_the_code_of_nobody_is_never_right(
    own_world: World, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth_agent.server.console.owners.asking.new_code", lambda: "12345678")
    person = Person(own_world)
    page = ask(person, "stranger@nowhere.example")
    assert type_code(person, page, "12345678").status_code == 401
    assert box.mails == []


def test_the_mail_goes_to_the_address_that_was_registered(own_world: World, box: Postbox) -> None:
    ask(Person(own_world), "ANN@Owner.Example")
    assert box.mails[-1].to == ANN
    agents.add_agent(own_world.database, "ANN@Owner.Example", now=own_world.context.now())
    ask(Person(own_world), "ANN@Owner.Example")
    assert box.mails[-1].to == "ANN@Owner.Example"


@pytest.mark.parametrize("email", ["", "x", "a@b", "a b@c.example", "a@b@c.example"])
def test_what_is_no_address_is_refused(own_world: World, box: Postbox, email: str) -> None:
    assert Person(own_world).send("/owner/sign-in", email=email).status_code == 400
    assert box.mails == []


@pytest.mark.parametrize(
    ("registered", "typed"),
    [
        ("ann@bücher.example", "ann@bücher.example"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),  # as browsers send it
        ("ann@xn--bcher-kva.example", "Ann@BÜCHER.example"),
        ("jürgen@owner.example", "jürgen@owner.example"),
        ("jürgen@owner.example", "ju\u0308rgen@owner.example"),  # two characters for one letter
    ],
)
def test_an_owner_whose_address_is_not_ascii(
    own_world: World, box: Postbox, registered: str, typed: str
) -> None:
    agent_id = agents.add_agent(
        own_world.database, registered, verified=False, now=own_world.context.now()
    ).agent_id
    person = owner(own_world, box, typed)
    assert agent_id in person.get("/owner").text
    person.send("/owner", "/owner/agent/claim", id=agent_id)
    assert agent_row(own_world, agent_id).email_verified is True
    assert box.mails[-1].to in ("ann@xn--bcher-kva.example", "jürgen@owner.example")


def test_an_address_that_looks_alike_is_another(own_world: World, box: Postbox) -> None:
    ask(Person(own_world), "\u0430nn@owner.example")  # the first letter is Cyrillic
    ask(Person(own_world), "ann@övvner.example")
    assert box.mails == []


def test_what_the_mail_server_cannot_reach_is_said_to_owners_and_strangers_alike(
    own_world: World, box: Postbox
) -> None:
    agent_id = agents.add_agent(
        own_world.database, "jürgen@owner.example", now=own_world.context.now()
    ).agent_id
    box.takes_all = False
    pages = []
    for email in ("jürgen@owner.example", "jörgen@owner.example"):
        answer = Person(own_world).send("/owner/sign-in", email=email)
        assert answer.status_code == 503
        assert "cannot reach addresses with such letters before the @" in answer.text
        assert f'value="{email}"' in answer.text
        pages.append(re.sub(f'{email}|[0-9a-f]{{64}}|nonce="[^"]+"', "", answer.text))
    assert pages[0] == pages[1]
    assert (box.mails, box.asked) == ([], 2)
    administrator(own_world)
    ada = signed_in(own_world)
    page = ada.get("/console/agent", id=agent_id).text
    assert "this server cannot send mail to it" in page
    assert "Turn on" not in page
    where = f"/console/agent?id={agent_id}"
    switched = ada.send(where, "/console/agent/second-factor", id=agent_id, needed="yes")
    assert switched.status_code == 409


def test_mail_is_limited_per_address_and_asker(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    for _ in range(5):
        ask(person)
    answer = person.send("/owner/sign-in", email=ANN.upper())
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert len(box.mails) == 5
    ask(person, "bob@owner.example")
    ask(Person(own_world, "192.0.2.7"))
    own_world.clock.forward(3_601)
    ask(person)


def attack(world: World, email: str = ANN, asked: int = 20) -> list[tuple[Person, str]]:
    """Strangers at some addresses ask for codes, five each; their browsers and their pages."""
    found = []
    for number in range(asked):
        person = Person(world, f"198.51.100.{number // 5}")
        found.append((person, ask(person, email)))
    return found


def test_a_browser_that_proved_the_address_is_counted_apart(own_world: World, box: Postbox) -> None:
    ann = owner(own_world, box)
    kept = ann.http.cookies["auth_agent_owner_mark"]
    ann.send("/owner", "/owner/sign-out")
    attack(own_world, asked=60)
    ann.http.cookies.delete("auth_agent_owner_mark")
    ann.http.cookies.set("auth_agent_owner_mark", kept)
    sent = len(box.mails)
    page = ask(ann)
    assert len(box.mails) == sent + 1
    assert type_code(ann, page, box.code).status_code == 303
    for _ in range(4):
        ask(ann)
    assert ann.send("/owner/sign-in", email=ANN).status_code == 429


def test_a_mark_is_of_one_address_and_cannot_be_made(own_world: World, box: Postbox) -> None:
    bob = owner(own_world, box, BOB)
    name, digest = bob.http.cookies["auth_agent_owner_mark"].split(".")
    attack(own_world, asked=21)  # the last is the first of those who share
    sent = len(box.mails)
    ask(bob)
    for mark in (f"{name}.{digest[:-1]}g", f"{name}.{'0' * 32}", f"{'A' * 22}.{digest}", "x"):
        bob.http.cookies.delete("auth_agent_owner_mark")
        bob.http.cookies.set("auth_agent_owner_mark", mark)
        ask(bob)
    assert len(box.mails) == sent


def test_a_browser_may_have_proved_several_addresses(own_world: World, box: Postbox) -> None:
    person = owner(own_world, box, BOB)
    for email in (ANN, ANN):
        assert type_code(person, ask(person, email), box.code).status_code == 303
    mark = person.http.cookies["auth_agent_owner_mark"]
    marks = own_world.context.owner_marks
    assert mark.count(".") == 2
    assert marks.name_of(mark, ANN.upper()) == marks.name_of(mark, BOB) == mark.split(".")[0]
    assert marks.name_of(mark, "eve@owner.example") is None


def test_past_the_limit_one_code_is_for_every_browser_that_waits(
    own_world: World, box: Postbox
) -> None:
    attack(own_world)
    assert len(box.mails) == 20
    waiting = [Person(own_world, f"203.0.113.{number}") for number in range(4)]
    pages = [ask(person) for person in waiting]
    assert len(box.mails) == 21
    other = Person(own_world, "203.0.113.9")
    assert type_code(other, pages[0], box.code).status_code == 410  # no proof of its own
    assert type_code(waiting[0], pages[1], box.code).status_code == 410
    for person, page in list(zip(waiting, pages, strict=True))[:2]:
        assert type_code(person, page, box.code).status_code == 303
        assert type_code(person, page, box.code).status_code == 410
    assert "cannot be used here" in other.http.get(box.link).text
    token = box.link.partition("=")[2]
    assert other.send("/owner/sign-in", "/owner/link", token=token).status_code == 410
    assert waiting[2].send(box.link, token=token).status_code == 303
    own_world.clock.forward(600)
    last, page = box.code, ask(waiting[3])
    assert len(box.mails) == 22
    assert box.code != last
    assert type_code(waiting[3], page, last).status_code == 401
    assert type_code(waiting[3], page, box.code).status_code == 303


def test_strangers_gain_two_hundred_guesses_an_hour_and_a_link_stays(
    own_world: World, box: Postbox
) -> None:
    """Limits the guesses: a year of guessing eight digits succeeds once in fifty."""
    codes: dict[str, str] = {}
    allowed = 0
    for person, page in attack(own_world, asked=60):
        for _ in range(6):
            code = codes.setdefault(page, f"{(int(box.code) + 1) % 100_000_000:08d}")
            allowed += type_code(person, page, code).status_code == 401
    assert allowed == 200
    ann = Person(own_world, "203.0.113.7")
    page = ask(ann)
    answer = type_code(ann, page, box.code)
    assert answer.status_code == 410
    assert "use the newest mail in this browser" in answer.text
    token = box.link.partition("=")[2]
    assert ann.send(box.link, token=token).status_code == 303


def test_asking_again_for_a_shared_code_brings_no_guess(own_world: World, box: Postbox) -> None:
    attack(own_world)
    person = Person(own_world, "203.0.113.7")
    pages = {ask(person) for _ in range(3)}
    assert len(pages) == 1
    wrong = f"{(int(box.code) + 1) % 100_000_000:08d}"
    page = pages.pop()
    assert [type_code(person, page, wrong).status_code for _ in range(6)] == [401] * 5 + [410]
    assert type_code(person, ask(person), box.code).status_code == 410


def test_past_the_limit_unknown_addresses_are_answered_alike(
    own_world: World, box: Postbox
) -> None:
    told = []
    for number, email in enumerate((ANN, "stranger@nowhere.example")):
        attack(own_world, email)
        person = Person(own_world, f"203.0.113.{number}")
        page = ask(person, email)
        text = re.sub(MARKS, "ID", person.http.get(page).text)
        statuses = [type_code(person, page, "00000000").status_code for _ in range(6)]
        told.append((text, statuses))
        own_world.clock.forward(3_601)
    assert told[0] == told[1]
    assert {mail.to for mail in box.mails} == {ANN}


def test_nothing_is_stored_that_lets_anybody_in(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    page = ask(person)
    type_code(person, page, box.code)
    with own_world.database.read() as connection:
        proofs = connection.execute(select(mailed_proof)).all()
        sessions = connection.execute(select(browser_session)).all()
    shown = str(proofs) + str(sessions)
    for secret in (box.code, box.link[18:], person.cookie("auth_agent_owner")):
        assert secret not in re.sub(r"18\d{8}", "", shown)


BOB = "bob@owner.example"


def _told(world: World, who: Any) -> dict[str, Any]:
    """Returns what a website learns of an agent that signs in now."""
    browser = world.browser()
    request_id = world.open(browser)
    assert world.answer(request_id, who).status_code == 200
    tokens = world.redeem(world.poll(browser, request_id)["code"]).json()
    found: dict[str, Any] = world.userinfo(tokens["access_token"]).json()
    claims = world.verified(tokens["id_token"], world.shop.client_id)
    assert (claims.get("email"), claims["email_verified"]) == (
        found.get("email"), found["email_verified"],
    )  # fmt: skip
    return found


def test_signing_in_verifies_no_agent(own_world: World, box: Postbox) -> None:
    bob = owner(own_world, box, BOB)
    told = _told(own_world, own_world.rival)
    assert (told.get("email"), told["email_verified"]) == (None, False)
    page = bob.get("/owner").text
    assert "Are these yours?" in page
    assert own_world.rival.agent_id in page
    assert f"/owner/agent?id={own_world.rival.agent_id}" not in page


def test_an_owner_claims_one_agent_and_no_other(own_world: World, box: Postbox) -> None:
    other = agents.add_agent(own_world.database, BOB, verified=False, now=own_world.context.now())
    bob = owner(own_world, box, BOB)
    mine = own_world.rival.agent_id
    assert bob.send("/owner", "/owner/agent/claim", id=mine).status_code == 303
    told = _told(own_world, own_world.rival)
    assert (told["email"], told["email_verified"]) == (BOB, True)
    assert _told(own_world, other)["email_verified"] is False
    with own_world.database.read() as connection:
        line = audit.c.outcome == "claimed by its owner"
        row = connection.execute(select(audit).where(line)).one()
    assert (row.agent_id, row.actor) == (mine, f"owner {BOB}")
    assert bob.send("/owner", "/owner/agent/claim", id=mine).status_code == 404
    assert bob.get("/owner/agent", id=mine).status_code == 200


def test_an_agent_that_is_not_hers_is_disabled(own_world: World, box: Postbox) -> None:
    bob, strange = owner(own_world, box, BOB), own_world.rival.agent_id
    assert bob.send("/owner", "/owner/agent/disown", id=strange).status_code == 303
    assert agent_row(own_world, strange).disabled_at is not None
    assert agent_row(own_world, strange).email_verified is False
    page = bob.get("/owner").text
    assert strange not in page
    assert bob.send("/owner", "/owner/agent/claim", id=strange).status_code == 404


def test_no_other_action_touches_an_unclaimed_agent(own_world: World, box: Postbox) -> None:
    browser, strange = own_world.browser(), own_world.rival
    request_id = own_world.open(browser)
    own_world.answer(request_id, strange)
    tokens = own_world.redeem(own_world.poll(browser, request_id)["code"]).json()
    bob = owner(own_world, box, BOB)
    assert "The Shop" not in bob.get("/owner").text
    assert "The Shop" not in bob.get("/owner/websites").text
    assert bob.get("/owner/agent", id=strange.agent_id).status_code == 404
    before = agent_row(own_world, strange.agent_id)
    for path in ("end-all", "disable", "second-factor", "rotate-secret"):
        send = bob.send("/owner", f"/owner/agent/{path}", id=strange.agent_id, needed="yes")
        assert send.status_code == 404
    there = {"id": strange.agent_id, "website": own_world.shop.client_id}
    assert bob.send("/owner", "/owner/agent/end-at", **there).status_code == 404
    assert agent_row(own_world, strange.agent_id) == before
    assert own_world.introspect(tokens["access_token"])["active"] is True


@pytest.mark.parametrize("action", ["claim", "disown"])
def test_nobody_claims_or_disowns_for_another_owner(
    own_world: World, box: Postbox, action: str
) -> None:
    ann = owner(own_world, box)
    before = agent_row(own_world, own_world.rival.agent_id)
    for agent_id in (own_world.rival.agent_id, own_world.agent.agent_id, "agent_none"):
        answer = ann.send("/owner", f"/owner/agent/{action}", id=agent_id)
        assert answer.status_code == 404
    assert agent_row(own_world, own_world.rival.agent_id) == before
    assert agent_row(own_world, own_world.agent.agent_id).disabled_at is None


def test_an_unclaimed_agent_is_shown_with_when_and_from_where(
    own_world: World, box: Postbox
) -> None:
    with acting("registration", "203.0.113.9"):
        agents.add_agent(
            own_world.database,
            BOB,
            name="<b>Your bank</b>",
            model="m-9",
            verified=False,
            agent_id="bank-agent",
            now=own_world.context.now() + 60,
        )
    page = owner(own_world, box, BOB).get("/owner").text
    card = page[page.index("unclaimed-1") : page.index("unclaimed-2")]
    for text in ("bank-agent", "&lt;b&gt;Your bank", "m-9", "203.0.113.9", "2027-01-15 08:01"):
        assert text in card, text


def test_an_owner_ends_a_sign_in_at_once(own_world: World, box: Postbox) -> None:
    shop, other = own_world.shop, own_world.other
    tokens = [own_world.tokens()["access_token"] for _ in range(2)]
    own_world.clock.forward(5)
    tokens.append(own_world.tokens()["access_token"])
    with own_world.database.begin() as connection:  # as if the first had been at another website
        first = own_world.introspect(tokens[0])["sid"]
        moved = update(token_family).where(token_family.c.id == first)
        connection.execute(moved.values(client_id=other.client_id))
    ann, agent_id = owner(own_world, box), own_world.agent.agent_id
    where = f"/owner/agent?id={agent_id}"
    for page in (where, "/owner/websites"):
        text = ann.http.get(page).text
        assert [text.count(words) for words in (">2 sign-ins<", ">1 sign-in<")] == [1, 1], page
        assert text.index("The Shop") < text.index("Other"), page  # the latest first
    assert "2027-01-15 08:00:05" in text
    for path, back in (("/owner/websites", "websites"), (where, "")):
        fields = {"id": agent_id, "website": shop.client_id, "back": back}
        answer = ann.send(path, "/owner/agent/end-at", **fields)
        assert answer.headers["location"].startswith(path)
    active = [own_world.introspect(token)["active"] for token in tokens[1:]]
    assert active == [False, False]
    text = ann.http.get("/owner/websites").text
    assert [text.count(words) for words in (">no<", ">1 sign-in<")] == [1, 1]
    ann.send(where, "/owner/agent/end-all", id=agent_id)
    assert ">1 sign-in<" not in ann.http.get(where).text


def test_an_owner_replaces_a_secret_and_disables_an_agent(own_world: World, box: Postbox) -> None:
    ann, agent_id = owner(own_world, box), own_world.agent.agent_id
    where = f"/owner/agent?id={agent_id}"
    page = ann.send(where, "/owner/agent/rotate-secret", id=agent_id)
    secret = re.search(r"ags_[\w-]+", page.text)[0]  # type: ignore[index]
    request_id = own_world.open(own_world.browser())
    assert own_world.answer(request_id).status_code == 401
    assert own_world.answer(request_id, agent_secret=secret).status_code == 200
    ann.send(where, "/owner/agent/disable", id=agent_id)
    request_id = own_world.open(own_world.browser())
    assert own_world.answer(request_id, agent_secret=secret).status_code == 401
    assert ann.send(where, "/owner/agent/rotate-secret", id=agent_id).status_code == 409


def test_an_owner_touches_nobody_elses_agent(own_world: World, box: Postbox) -> None:
    tokens = own_world.tokens()
    bob = owner(own_world, box, BOB)
    theirs, mine = own_world.agent.agent_id, own_world.rival.agent_id
    bob.send("/owner", "/owner/agent/claim", id=mine)
    assert bob.get("/owner/agent", id=theirs).status_code == 404
    home = f"/owner/agent?id={mine}"
    for path in ("end-all", "disable", "second-factor", "rotate-secret"):
        answer = bob.send(home, f"/owner/agent/{path}", id=theirs, needed="yes")
        assert answer.status_code == 404
    for agent_id in (theirs, mine):
        there = {"id": agent_id, "website": own_world.shop.client_id}
        bob.send(home, "/owner/agent/end-at", **there)
    assert own_world.introspect(tokens["access_token"])["active"] is True
    assert own_world.answer(own_world.open(own_world.browser())).status_code == 200


def test_no_form_acts_for_another_website(own_world: World, box: Postbox) -> None:
    ann = owner(own_world, box)
    for each in (each for each in OWNERS if each.method == "POST"):
        for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-origin"}):
            answer = ann.post(each.path, headers=headers, id=own_world.agent.agent_id, email=ANN)
            assert answer.status_code == 403, each.path
    assert len(box.mails) == 1
    assert ann.get("/owner").status_code == 200


def test_signing_out(own_world: World, box: Postbox) -> None:
    ann = owner(own_world, box)
    kept = ann.cookie("auth_agent_owner") or ""
    ann.send("/owner", "/owner/sign-out")
    ann.http.cookies.set("auth_agent_owner", kept)
    assert ann.get("/owner").status_code == 303


def test_cookies_survive_the_way_from_a_mail_program(own_world: World, box: Postbox) -> None:
    person = Person(own_world)
    answer = type_code(person, ask(person), box.code)
    session, mark = answer.headers.get_list("set-cookie")
    assert session.endswith("; Path=/; HttpOnly; SameSite=Lax")
    assert mark.endswith("; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000")


def test_without_mail_nobody_is_asked_for_an_address(build: Build) -> None:
    world = build(issuer="https://id.example", secrets=(Secret("s" * 32),))
    page = Person(world).get("/owner/sign-in").text
    assert "data-passkey" in page
    assert "email" not in page
    world = build(issuer="https://192.0.2.1", secrets=(Secret("s" * 32),))  # nor any passkey
    assert Person(world).get("/owner/sign-in").status_code == 503
