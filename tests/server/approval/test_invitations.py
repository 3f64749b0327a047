"""Invitations: the first passkey of an owner whom no mail reaches, and nothing else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth_agent.server.approval.invitations import InvitationError, invite
from auth_agent.server.outbound.outbox import Outbox
from auth_agent.server.registry.people.passkeys import remove_owners_passkeys
from tests.server.approval.owners import (
    ANN,
    ISSUER,
    Owner,
    Postbox,
    add_passkey,
    approve,
    by_mail,
    with_passkey,
)
from tests.server.approval.test_questions import outcomes, setting, status, waiting
from tests.server.conftest import Build
from tests.server.world import World

PAGE = "/owner/invitation"


@pytest.fixture
def own_world(build: Build) -> World:
    """Starts a server with a name and without mail; Ann is asked always."""
    world = build(issuer=ISSUER, outbox=Outbox(None))
    setting(world, "always")
    return world


def link(world: World, address: str = ANN, lifetime: int = 3600) -> str:
    return invite(world.database, address, world.context.now(), lifetime)[1].reveal()


def accept(person: Owner, token: str) -> Any:
    return person.send("/owner/sign-in", PAGE, token=token)


def invited(world: World) -> Owner:
    person = Owner(world)
    answer = accept(person, link(world))
    assert (answer.status_code, answer.headers["location"]) == (303, "/owner/passkeys")
    return person


def test_an_invited_owner_adds_the_first_passkey_and_approves_with_it(own_world: World) -> None:
    ann = Owner(own_world)
    token = link(own_world, "Ann@OWNER.example")
    for _ in range(2):  # opening the page signs in nobody
        assert "Go on" in ann.get(PAGE, token=token).text
    assert ann.get("/owner").headers["location"].startswith("/owner/sign-in")
    assert accept(ann, token).status_code == 303
    device = add_passkey(ann)
    assert own_world.agent.agent_id in ann.get("/owner").text
    _, question = waiting(own_world)
    assert approve(with_passkey(own_world, device), question.id, device).status_code == 303
    assert status(own_world, question) == "approved"
    assert outcomes(own_world, "owner invitation") == ["made", "used"]
    assert outcomes(own_world, "passkey") == ["added"]


def test_before_the_passkey_is_added_an_invited_owner_may_do_nothing_else(
    own_world: World,
) -> None:
    _, question = waiting(own_world)
    ann = invited(own_world)
    for page in ("/owner", "/owner/history", f"/owner/question?id={question.id}"):
        assert ann.get(page).headers["location"] == "/owner/passkeys"
    for path in ("question/approve", "question/deny", "passkeys/recover", "agent/rotate-secret"):
        form = {"id": question.id, "decision": "approve"}
        answer = ann.send("/owner/passkeys", f"/owner/{path}", **form)
        assert (answer.status_code, "add one first" in answer.text) == (403, True), path
    assert status(own_world, question) == "waiting"
    own_world.clock.forward(301)
    assert ann.get("/owner/passkeys").headers["location"].startswith("/owner/sign-in")


def test_an_invitation_works_once_soon_and_only_the_newest(own_world: World) -> None:
    older, used = link(own_world), link(own_world)
    assert accept(Owner(own_world), older).status_code == 410
    assert accept(Owner(own_world), used).status_code == 303
    late = link(own_world, lifetime=600)
    own_world.clock.forward(600)
    for token in (used, late, "", "x" * 5_000):
        page = Owner(own_world).get(PAGE, token=token)
        assert (page.status_code, ANN in page.text) == (410, False)
    for token in (used, late):
        assert accept(Owner(own_world), token).status_code == 410
    assert Owner(own_world).post(PAGE, token=link(own_world)).status_code == 403  # not our form
    assert outcomes(own_world, "owner sign-in").count("signed in") == 1


def test_one_invitation_in_many_browsers_signs_in_one(own_world: World) -> None:
    token = link(own_world)
    people = [Owner(own_world) for _ in range(6)]
    with ThreadPoolExecutor(len(people)) as pool:
        answers = [each.status_code for each in pool.map(lambda who: accept(who, token), people)]
    assert sorted(answers) == [303, 410, 410, 410, 410, 410]


def test_an_invitation_replaces_no_passkey(build: Build) -> None:
    box = Postbox()
    world = build(issuer=ISSUER, outbox=box)
    token, early = link(world), Owner(world)
    assert accept(early, token).status_code == 303  # the page of the new passkey is open
    form = early.get("/owner/passkeys").text
    token = link(world)
    add_passkey(by_mail(world, box))  # Ann herself was quicker
    assert accept(Owner(world), token).status_code == 410
    page = early.get("/owner/passkeys")
    assert (page.status_code, "needs your passkey" in page.text) == (403, True)
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', form)
    assert found
    fields = {"form_token": found[1], "credential": "{}", "handle": "x"}
    assert early.post("/owner/passkeys/add", **fields).status_code == 403
    with pytest.raises(InvitationError, match="has a passkey already"):
        link(world)
    # Nor does a link of before work again, once an administrator has removed the passkey.
    now = world.context.now()
    assert remove_owners_passkeys(world.database, world.agent.agent_id, now) == (ANN, 1)
    assert accept(Owner(world), token).status_code == 410
    assert accept(Owner(world), link(world)).status_code == 303


def test_only_the_owner_of_an_agent_is_invited(own_world: World) -> None:
    for address in ("nobody@owner.example", "no address", ""):
        with pytest.raises(InvitationError):
            link(own_world, address)
    assert outcomes(own_world, "owner invitation") == []


def test_an_invitation_to_an_address_of_digits_says_what_is_missing(build: Build) -> None:
    world = build(issuer="http://127.0.0.1:8420", outbox=Postbox())
    person, token = Owner(world), link(world)
    person.http.base_url = "http://127.0.0.1:8420"
    assert "IP address" in person.get(PAGE, token=token).text
    assert accept(person, token).status_code == 409
