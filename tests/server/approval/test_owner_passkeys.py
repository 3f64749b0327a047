"""Owners' passkeys: each check of an answer, and what a mailed code may not do beside one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from auth_agent.server.approval import invitations
from auth_agent.server.approval.recovery import tell_of_notices, tell_of_ready
from auth_agent.server.console.owners.questions import subject
from auth_agent.server.registry.people import passkeys
from auth_agent.server.registry.people.passkeys import remove_owners_passkeys
from auth_agent.server.storage.tables.approvals import passkey
from tests.server.approval.owners import (
    ANN,
    ISSUER,
    Owner,
    Postbox,
    add_passkey,
    approve,
    by_mail,
    passkey_form,
    sign_in,
    with_passkey,
)
from tests.server.approval.test_questions import of_request, outcomes, setting, status, waiting
from tests.server.authenticator import UP, UV, Authenticator
from tests.server.conftest import Build
from tests.server.world import World

DAY = 86_400


@pytest.fixture
def box() -> Postbox:
    return Postbox()


@pytest.fixture
def own_world(build: Build, box: Postbox) -> World:
    """Starts a server with a name, whose mail goes into the box; Ann is asked always."""
    world = build(issuer=ISSUER, outbox=box)
    setting(world, "always")
    return world


def test_a_passkey_is_added_after_a_mailed_code_and_signs_in(
    own_world: World, box: Postbox
) -> None:
    ann = by_mail(own_world, box)
    device = add_passkey(ann, "My phone")
    assert "My phone" in ann.get("/owner/passkeys").text
    assert box.mails[-1].subject == "A passkey was added"
    assert own_world.agent.agent_id in with_passkey(own_world, device).get("/owner").text
    assert outcomes(own_world, "passkey") == ["added"]
    assert outcomes(own_world, "owner sign-in") == ["signed in", "signed in"]


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:8421"},
        {"rp": "evil.example"},
        {"crossOrigin": True},
        {"topOrigin": "https://evil.example"},
        {"flags": UP},
        {"flags": UV},
        {"type": "webauthn.create"},
        {"handle": None},
        {"handle": "c29tZWJvZHkgZWxzZQ"},
        {"count": 0},
        {"challenge": "AAAA"},
    ],
    ids=str,
)
def test_an_answer_with_one_thing_wrong_signs_nobody_in(
    own_world: World, box: Postbox, changes: dict[str, Any]
) -> None:
    device = add_passkey(by_mail(own_world, box))
    with_passkey(own_world, device)  # its counter is at one
    person = Owner(own_world)
    answer = sign_in(person, device, **changes)
    assert answer.status_code == 403
    assert person.get("/owner").status_code == 303
    device.count = 1
    assert sign_in(person, device).status_code == 303


def test_an_answer_works_once_soon_and_in_its_browser(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    path = "/owner/sign-in/passkey"
    one, two = Owner(own_world), Owner(own_world)
    options, fields = passkey_form(one, "/owner/sign-in", path)
    _, others = passkey_form(two, "/owner/sign-in", path)
    credential = device.get(options)
    assert two.post(path, **{**others, "credential": credential}).status_code == 403
    assert one.post(path, **{**fields, "credential": credential}).status_code == 303
    assert one.post(path, **{**fields, "credential": credential}).status_code == 403
    options, fields = passkey_form(two, "/owner/sign-in", path)
    own_world.clock.forward(301)
    answer = two.post(path, **{**fields, "credential": device.get(options)})
    assert answer.status_code == 403
    assert "has expired" in answer.text


@pytest.mark.parametrize("credential", ["", "{}", "[]", "x" * 20_000, '{"id": "", "response": 1}'])
def test_what_is_no_answer_of_a_passkey_is_refused(
    own_world: World, box: Postbox, credential: str
) -> None:
    add_passkey(by_mail(own_world, box))
    person = Owner(own_world)
    _, fields = passkey_form(person, "/owner/sign-in", "/owner/sign-in/passkey")
    answer = person.post("/owner/sign-in/passkey", **{**fields, "credential": credential})
    assert answer.status_code in (400, 403)


def test_a_stranger_with_a_passkey_of_his_own_is_nobody(own_world: World, box: Postbox) -> None:
    add_passkey(by_mail(own_world, box))
    stranger = Authenticator()
    stranger.handle = "c29tZWJvZHkgZWxzZQ"
    assert sign_in(Owner(own_world), stranger).status_code == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "http://evil.example"},
        {"rp": "evil.example"},
        {"crossOrigin": True},
        {"flags": UP},
        {"attestation": {"fmt": "android-safetynet", "attStmt": {"ver": "1", "response": 5}}},
        {"attestation": {"fmt": "packed", "attStmt": {"sig": b"x", "alg": -7, "x5c": [b"0"]}}},
        {"attestation": {"fmt": 5, "attStmt": []}},
    ],
    ids=str,
)
def test_a_passkey_with_one_thing_wrong_is_not_added(
    own_world: World, box: Postbox, changes: dict[str, Any]
) -> None:
    ann = by_mail(own_world, box)
    options, fields = passkey_form(ann, "/owner/passkeys", "/owner/passkeys/add")
    credential = Authenticator().create(options, **changes)
    answer = ann.post("/owner/passkeys/add", **{**fields, "credential": credential, "name": ""})
    assert answer.status_code == 403
    assert rows(own_world) == []


def test_a_passkey_is_added_in_the_session_that_asked_for_it(
    own_world: World, box: Postbox
) -> None:
    ann, again = by_mail(own_world, box), by_mail(own_world, box)
    options, fields = passkey_form(ann, "/owner/passkeys", "/owner/passkeys/add")
    _, others = passkey_form(again, "/owner/passkeys", "/owner/passkeys/add")
    made = Authenticator().create(options)
    answer = again.post("/owner/passkeys/add", **{**others, "credential": made, "name": ""})
    assert answer.status_code == 403
    changed = {**fields, "handle": others["handle"], "credential": made, "name": ""}
    assert ann.post("/owner/passkeys/add", **changed).status_code == 403
    own_world.clock.forward(301)
    late = ann.post("/owner/passkeys/add", **{**fields, "credential": made, "name": ""})
    assert late.status_code == 403
    assert "ign in again" in late.text


def test_an_approval_is_signed_and_the_signature_is_kept(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    browser, question = waiting(own_world)
    assert approve(with_passkey(own_world, device), question.id, device).status_code == 303
    tokens = own_world.redeem(own_world.poll(browser, question.request_id)["code"]).json()
    claims = own_world.verified(tokens["id_token"], own_world.shop.client_id)
    assert claims["amr"] == ["pwd", "user", "hwk", "mfa"]
    assert claims["acr"] == "urn:auth-agent:owner"
    kept = of_request(own_world, question.request_id)
    evidence = json.loads(kept.assertion)
    signed = json.loads(_decoded(evidence["client_data_json"]))
    about = f"owner\0{ANN}\0{subject(kept, 'approve')}"
    assert _decoded(signed["challenge"])[-32:] == hashlib.sha256(about.encode()).digest()
    assert kept.passkey_id == rows(own_world)[0].id


def test_an_answer_approves_exactly_what_the_page_showed(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    ann, path = with_passkey(own_world, device), "/owner/question/approve"
    (_, one), (_, two) = waiting(own_world), waiting(own_world)
    options, fields = passkey_form(ann, f"/owner/question?id={one.id}", path, decision="approve")
    credential = device.get(options)
    for changed in ({"id": two.id}, {"decision": "always"}):
        answer = ann.post(path, **{**fields, **changed, "credential": credential})
        assert answer.status_code == 403, answer.text
    again = with_passkey(own_world, device)  # another session of the same owner
    _, others = passkey_form(again, f"/owner/question?id={one.id}", path, decision="approve")
    assert again.post(path, **{**others, "credential": credential}).status_code == 403
    assert {status(own_world, each) for each in (one, two)} == {"waiting"}
    # An answer for signing in is none for approving.
    options, _ = passkey_form(Owner(own_world), "/owner/sign-in", "/owner/sign-in/passkey")
    answer = ann.post(path, **{**fields, "credential": device.get(options)})
    assert answer.status_code == 403
    assert approve(ann, one.id, device).status_code == 303
    assert status(own_world, one) == "approved"


def test_another_owners_passkey_approves_nothing(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    eves = add_passkey(by_mail(own_world, box, "eve@owner.example"))
    _, question = waiting(own_world)
    ann = with_passkey(own_world, device)
    assert approve(ann, question.id, eves).status_code == 403
    eve = with_passkey(own_world, eves)
    assert eve.get("/owner/question", id=question.id).status_code == 404
    for action in ("approve", "deny", "block"):
        sent = {"id": question.id, "decision": "approve", "credential": ""}
        token = eve.get("/owner").text.partition('name="form_token" value="')[2][:64]
        answer = eve.post(f"/owner/question/{action}", form_token=token, **sent)
        assert answer.status_code == 404
    assert status(own_world, question) == "waiting"


def test_a_mailed_code_beside_a_passkey_looks_and_denies_only(
    own_world: World, box: Postbox
) -> None:
    add_passkey(by_mail(own_world, box))
    own_world.clock.forward(60)
    reader = by_mail(own_world, box)  # who reads Ann's mail
    (_, one), (_, two) = waiting(own_world), waiting(own_world)
    page = f"/owner/question?id={one.id}"
    answer = reader.send(page, "/owner/question/approve", id=one.id, decision="approve")
    assert answer.status_code == 403
    agent = f"/owner/agent?id={own_world.agent.agent_id}"
    agent_id = {"id": own_world.agent.agent_id}
    for path, fields in (
        ("/owner/agent/approval", {"approval": "off"}),
        ("/owner/agent/second-factor", {}),
        ("/owner/agent/rotate-secret", {}),
    ):
        answer = reader.send(agent, path, **agent_id, **fields)
        assert answer.status_code == 403, path
        assert "passkey" in answer.text
    assert "data-passkey" not in reader.get("/owner/passkeys").text
    form = {"handle": rows(own_world)[0].user_handle, "credential": "", "name": ""}
    assert reader.send("/owner/passkeys", "/owner/passkeys/add", **form).status_code == 403
    gone = reader.send("/owner/passkeys", "/owner/passkeys/remove", id=rows(own_world)[0].id)
    assert gone.status_code == 403
    assert reader.send(page, "/owner/question/deny", id=one.id).status_code == 303
    assert reader.send(agent, "/owner/agent/approval", **agent_id, approval="always").is_redirect
    other = f"/owner/question?id={two.id}"
    assert reader.send(other, "/owner/question/block", id=two.id).status_code == 303
    assert (status(own_world, one), status(own_world, two)) == ("denied", "withdrawn")


def test_a_mail_reader_with_the_owners_passkey_is_the_owner(own_world: World, box: Postbox) -> None:
    """Leads from the mail's link to a sign-in by code; the approval itself needs the passkey."""
    device = add_passkey(by_mail(own_world, box))
    _, question = waiting(own_world)
    assert approve(by_mail(own_world, box), question.id, device).status_code == 303
    assert status(own_world, question) == "approved"


def test_a_lost_passkey_is_replaced_after_a_day_and_two_mails(
    own_world: World, box: Postbox
) -> None:
    lost = add_passkey(by_mail(own_world, box))
    ann = by_mail(own_world, box)
    assert ann.send("/owner/passkeys", "/owner/passkeys/recover").status_code == 303
    assert box.mails[-1].subject == "A new passkey was requested"
    ann.send("/owner/passkeys", "/owner/passkeys/recover")
    assert [mail.subject for mail in box.mails].count("A new passkey was requested") == 1
    own_world.clock.forward(DAY - 10)
    ann = by_mail(own_world, box)
    assert "data-passkey" not in ann.get("/owner/passkeys").text
    tell_of_ready(own_world.context)
    own_world.clock.forward(10)
    for _ in range(2):
        tell_of_ready(own_world.context)
    assert [mail.subject for mail in box.mails].count("You can add a new passkey now") == 1
    add_passkey(ann, "New phone")
    ann = by_mail(own_world, box)
    assert "data-passkey" not in ann.get("/owner/passkeys").text  # once
    assert len(rows(own_world)) == 2
    with_passkey(own_world, lost)  # the owner removes it


def test_of_recoveries_and_invitations_at_once_one_is_open(
    own_world: World, box: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks whether there is one before it writes: here all look before any writes."""
    ann, now = by_mail(own_world, box), own_world.context.now()
    looked = threading.Barrier(2)

    def late(function: Any) -> Any:
        def looking(*arguments: Any) -> Any:
            found = function(*arguments)
            with contextlib.suppress(threading.BrokenBarrierError):
                looked.wait(0.3)
            return found

        return looking

    def recover(_: int) -> bool:
        with own_world.database.begin() as connection:
            return passkeys.ask_for_recovery(connection, ANN, now)

    def invite(_: int) -> Any:
        return invitations.invite(own_world.database, ANN, now)

    monkeypatch.setattr(passkeys, "find_recovery", late(passkeys.find_recovery))
    monkeypatch.setattr(invitations, "void_invitations", late(invitations.void_invitations))
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(recover, range(2))) == 1
        looked.reset()
        links = [token for _, token in pool.map(invite, range(2))]
    assert outcomes(own_world, "passkey") == ["recovery asked for"]
    with own_world.database.begin() as connection:
        used = [invitations.use_invitation(connection, link.reveal(), now) for link in links]
    assert sorted(used, key=str) == sorted([None, ANN], key=str)
    assert ann.get("/owner").status_code == 200


def test_recoveries_are_no_flood_of_mails(own_world: World, box: Postbox) -> None:
    add_passkey(by_mail(own_world, box))
    reader = by_mail(own_world, box)
    answers = []
    for _ in range(12):
        answers.append(reader.send("/owner/passkeys", "/owner/passkeys/recover").status_code)
        reader.send("/owner/passkeys", "/owner/passkeys/cancel-recovery")
    assert answers == [303] * 10 + [429] * 2
    assert [mail.subject for mail in box.mails].count("A new passkey was requested") == 10


def test_a_recovery_is_cancelled_by_its_owner(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    reader = by_mail(own_world, box)
    reader.send("/owner/passkeys", "/owner/passkeys/recover")
    ann = with_passkey(own_world, device)
    for page in ("/owner", "/owner/passkeys"):
        assert "A new passkey was requested" in ann.get(page).text
    ann.send("/owner/passkeys", "/owner/passkeys/cancel-recovery")
    own_world.clock.forward(DAY + 60)
    assert "data-passkey" not in by_mail(own_world, box).get("/owner/passkeys").text
    assert outcomes(own_world, "passkey") == ["added", "recovery asked for", "recovery cancelled"]


def test_a_recovery_that_was_not_needed_is_none_for_the_next_reader_of_the_mail(
    own_world: World, box: Postbox
) -> None:
    add_passkey(by_mail(own_world, box))
    ann = by_mail(own_world, box)
    ann.send("/owner/passkeys", "/owner/passkeys/recover")
    removed = remove_owners_passkeys(
        own_world.database, own_world.agent.agent_id, own_world.context.now()
    )
    assert removed == (ANN, 1)
    add_passkey(by_mail(own_world, box), "New phone")  # an administrator has helped
    own_world.clock.forward(DAY + 60)
    assert "data-passkey" not in by_mail(own_world, box).get("/owner/passkeys").text


def test_an_owner_is_told_once_that_an_administrator_removed_the_passkeys(
    own_world: World, box: Postbox
) -> None:
    device, now = add_passkey(by_mail(own_world, box)), own_world.context.now()
    assert remove_owners_passkeys(own_world.database, own_world.agent.agent_id, now) == (ANN, 1)
    for _ in range(2):
        tell_of_notices(own_world.context)
    assert [mail.to for mail in box.mails if mail.subject == "Your passkeys are removed"] == [ANN]
    assert sign_in(Owner(own_world), device).status_code == 403
    # Old notices, and those that no mail can carry, are dropped.
    remove_owners_passkeys(own_world.database, own_world.agent.agent_id, now)
    box.can_reach = lambda _address: False  # type: ignore[method-assign]
    tell_of_notices(own_world.context)
    assert own_world.context.sweeper.sweep(now + DAY + 1) > 0
    tell_of_notices(own_world.context)
    assert [mail.subject for mail in box.mails].count("Your passkeys are removed") == 1


def test_a_passkey_that_was_found_again_ends_the_recovery(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    by_mail(own_world, box).send("/owner/passkeys", "/owner/passkeys/recover")
    add_passkey(with_passkey(own_world, device), "Second")
    own_world.clock.forward(DAY + 60)
    assert "data-passkey" not in by_mail(own_world, box).get("/owner/passkeys").text


def test_a_recovery_is_open_for_a_week(own_world: World, box: Postbox) -> None:
    add_passkey(by_mail(own_world, box))
    by_mail(own_world, box).send("/owner/passkeys", "/owner/passkeys/recover")
    own_world.clock.forward(8 * DAY + 60)
    assert "data-passkey" not in by_mail(own_world, box).get("/owner/passkeys").text


def test_passkeys_are_named_and_removed_which_signs_others_out(
    own_world: World, box: Postbox
) -> None:
    ann = by_mail(own_world, box)
    device = add_passkey(ann, "\u202egnorw")
    (row,) = rows(own_world)
    assert row.name == "Passkey"  # a name that turns the text around is none
    thief = with_passkey(own_world, device)
    ann.send("/owner/passkeys", "/owner/passkeys/rename", id=row.id, name="Key <b>")
    assert "Key &lt;b&gt;" in ann.get("/owner/passkeys").text
    assert ann.send("/owner/passkeys", "/owner/passkeys/remove", id="pk_other").status_code == 404
    assert ann.send("/owner/passkeys", "/owner/passkeys/remove", id=row.id).status_code == 303
    assert rows(own_world) == []
    assert box.mails[-1].subject == "A passkey was removed"
    assert thief.get("/owner").status_code == 303
    assert ann.get("/owner").status_code == 200
    assert sign_in(Owner(own_world), device).status_code == 403


def test_an_address_of_digits_has_no_passkeys_and_says_so(build: Build, box: Postbox) -> None:
    world = build(outbox=box)  # at http://127.0.0.1:8420
    setting(world, "always")
    ann = by_mail(world, box)
    page = ann.get("/owner/passkeys").text
    for words in ("IP address", "auth-agent serve --host localhost", "http://localhost:8420"):
        assert words in page
    assert "data-passkey" not in ann.get("/owner/sign-in").text
    browser, question = waiting(world)
    page = f"/owner/question?id={question.id}"
    answer = ann.send(page, "/owner/question/approve", id=question.id, decision="approve")
    assert answer.status_code == 303
    assert world.poll(browser, question.request_id)["status"] == "authenticated"


def test_a_counter_that_stands_still_is_a_copied_passkey(own_world: World, box: Postbox) -> None:
    device = add_passkey(by_mail(own_world, box))
    ann = with_passkey(own_world, device)
    _, question = waiting(own_world)
    assert approve(ann, question.id, device, count=1).status_code == 403
    assert status(own_world, question) == "waiting"


def rows(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(select(passkey).where(passkey.c.holder == ANN)))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
